"""The stages of a fine-tuning: the head first, then all or chosen variables, as Slim's scripts."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable

import keras
import tensorflow as tf

from zoo.errors import ArgumentError, TrainingError
from zoo.training import distributed
from zoo.training.optimizers import RMSProp, with_slims_settings
from zoo.training.progress import JoinEpoch, KeepBest, KeepState, StopEarly, state_of
from zoo.training.run_folder import LAST
from zoo.training.schedules import learning_rate as scheduled
from zoo.training.trainees import AUXILIARY, LOGITS, gives_probabilities

# Name -> what makes it, and the learning rates of the new head and of the rest. Those of "rmsprop"
# are Slim's, of scripts/finetune_inception_v3_on_flowers.sh and train_image_classifier.py.
OPTIMIZERS: dict[str, tuple[Callable, float, float]] = {
    "adam": (keras.optimizers.Adam, 1e-3, 1e-4),
    "momentum": (lambda *a, **k: keras.optimizers.SGD(*a, momentum=0.9, **k), 1e-2, 1e-3),
    "rmsprop": (functools.partial(with_slims_settings, RMSProp), 1e-2, 1e-4),
    "sgd": (keras.optimizers.SGD, 1e-2, 1e-3),
}


@dataclasses.dataclass(frozen=True)
class _Stage:
    """A part of the run: which variables are trained, how long, at what rate."""

    names: list[str]
    epochs: int
    rate: float | None


class Training:
    """The stages of a run, from wherever its folder says that it is.

    Args:
        trainee: the network.
        pipeline: its batches.
        run: the folder.
        settings: the arguments of `zoo.finetune` by name.
        strategy: of `tf.distribute`, under which the network was made; None for one device.
        save_every, tensorboard, verbose: as in `zoo.finetune`.
    """

    def __init__(
        self, trainee, pipeline, run, settings, *, strategy, save_every, tensorboard, verbose
    ) -> None:
        self._trainee, self._pipeline, self._run = trainee, pipeline, run
        self._strategy = strategy
        self._settings, self._save_every = settings, save_every
        self._tensorboard, self._verbose = tensorboard, verbose
        self._frozen = settings["batch_norm"] == "frozen"

    def run_stages(self, interrupted: threading.Event) -> None:
        """Trains until all is done; stops after a step when asked to.

        Raises:
            TrainingError: it cannot go on.
            KeyboardInterrupt: after the state was saved.
        """
        if self._run["done"]:
            return
        stages = self._stages()
        for number, stage in enumerate(stages):
            if number < self._run["stage"] or stage.epochs == 0:
                continue
            with self._trainee.training_only(stage.names, batch_norm_frozen=self._frozen):
                self._run_stage(number, stage, interrupted)
        self._run.save_model(self._trainee.model, LAST)
        self._run.finish()

    def _stages(self) -> list[_Stage]:
        given = self._settings
        head = self._trainee.head()
        chosen = list(self._trainee.variables)
        if given["trainable_scopes"] is not None:
            chosen = [*self._trainee.within(given["trainable_scopes"]), *head]
        elif given["freeze_until"] is not None:
            chosen = [*self._trainee.after(given["freeze_until"]), *head]
        idle = () if self._pipeline.auxiliary else self._trainee.auxiliary
        head, chosen = ([n for n in names if not n.startswith(idle)] for names in (head, chosen))
        return [
            _Stage(head, given["head_epochs"], self._rate("head_learning_rate", 1)),
            _Stage(chosen, given["epochs"], self._rate("learning_rate", 2)),
        ]

    def _rate(self, argument: str, place: int) -> float | None:
        optimizer = self._settings["optimizer"]
        if self._settings[argument] is not None or not isinstance(optimizer, str):
            return self._settings[argument]
        return OPTIMIZERS[optimizer][place]

    def _run_stage(self, number: int, stage: _Stage, interrupted) -> None:
        model = self._compiled(stage)
        steps_per_epoch = self._pipeline.steps_per_epoch
        if self._run["stage"] != number:
            self._run.save(state_of(model), stage=number, step=0, stopped=False)
        while True:
            # Also after a part of an epoch: `fit` ends with the averages in place of the weights.
            if self._run["arrays"]:
                self._run.restore(state_of(model))
            step = self._run["step"]
            if step >= stage.epochs * steps_per_epoch or self._run["stopped"]:
                break
            epoch, behind = divmod(step, steps_per_epoch)
            self._fit(
                model,
                number,
                step,
                interrupted,
                initial_epoch=epoch,
                epochs=epoch + 1 if behind else stage.epochs,
                steps_per_epoch=steps_per_epoch - behind,
            )
        model.optimizer.finalize_variable_values(model.trainable_variables)

    def _compiled(self, stage: _Stage) -> keras.Model:
        auxiliary = self._pipeline.auxiliary
        model = self._trainee.logits_model(
            batch_norm_frozen=self._frozen,
            auxiliary=auxiliary,
            regularized=self._settings["decoupled_weight_decay"] is None,
        )
        if not model.trainable_variables:
            raise ArgumentError(
                "No variable is left to train.",
                received=f"trainable_scopes={self._settings['trainable_scopes']}, "
                f"batch_norm={self._settings['batch_norm']!r}",
            )

        def cross_entropy():
            return keras.losses.CategoricalCrossentropy(
                from_logits=not gives_probabilities(self._trainee.model),
                label_smoothing=self._settings["label_smoothing"],
            )

        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        losses = {LOGITS: cross_entropy(), AUXILIARY: cross_entropy()}
        weights = {LOGITS: 1.0, AUXILIARY: self._settings["auxiliary_weight"]}
        model.compile(
            self._optimizer(stage),
            losses if auxiliary else losses[LOGITS],
            loss_weights=weights if auxiliary else None,
            metrics={LOGITS: [accuracy]} if auxiliary else [accuracy],
        )
        model.optimizer.build(model.trainable_variables)
        return model

    def _optimizer(self, stage: _Stage) -> keras.optimizers.Optimizer:
        given, average = self._settings["optimizer"], self._settings["moving_average"]
        decay = self._settings["decoupled_weight_decay"]
        options = {} if decay is None else {"weight_decay": decay}
        options |= {} if average is None else {"use_ema": True, "ema_momentum": average}
        if stage.rate is not None:
            options["learning_rate"] = scheduled(
                self._settings["schedule"],
                stage.rate,
                steps_per_epoch=self._pipeline.steps_per_epoch,
                epochs=stage.epochs,
            )
        if isinstance(given, str):
            optimizer = OPTIMIZERS[given][0](**options)
        else:
            optimizer = type(given).from_config({**given.get_config(), **options})
        if decay is not None:
            kept = {id(v) for v in self._trainee.regularized()} or {
                id(v) for v in self._trainee.whole.weights if len(v.shape) > 1
            }
            rest = [v for v in self._trainee.whole.trainable_variables if id(v) not in kept]
            optimizer.exclude_from_weight_decay(var_list=rest)
        policies = {layer.compute_dtype for layer in self._trainee.model._flatten_layers()}
        if "float16" in policies:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _fit(self, model, stage: int, step: int, interrupted, **span) -> None:
        validation = self._pipeline.validation(self._strategy)
        options = {
            "validation_data": validation,
            "callbacks": self._callbacks(stage, step, interrupted, validation is not None),
            "verbose": self._verbose,
            "shuffle": False,
            **span,
        }
        try:
            if self._strategy is None:
                model.fit(self._pipeline.training(stage, step), **options)
            else:
                batches = self._pipeline.given_out(self._strategy, stage, step)
                distributed.fit(model, batches, strategy=self._strategy, **options)
        except tf.errors.ResourceExhaustedError as error:
            raise self._out_of_memory(error) from error

    def _callbacks(self, stage: int, step: int, interrupted, validated: bool) -> list:
        prefix = "val_" if validated else ""
        name = f"{LOGITS}_accuracy" if self._pipeline.auxiliary else "accuracy"
        per_epoch = self._pipeline.steps_per_epoch
        patience = self._settings["patience"]
        behind = step % per_epoch
        callbacks = [JoinEpoch(self._run["part"] if behind else None, behind, per_epoch)]
        if patience is not None:
            past = [row for row in self._run.history if row["stage"] == stage]
            callbacks.append(StopEarly(past, monitor=prefix + "loss", patience=patience))
        callbacks.append(
            KeepState(self._run, stage, step, per_epoch, self._save_every, interrupted)
        )
        if self._settings["moving_average"] is not None:
            callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
        callbacks.append(KeepBest(self._run, self._trainee.model, prefix + name, stage))
        if self._tensorboard:
            logs = str(self._run.path / "logs" / f"stage-{stage + 1}")
            callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        return callbacks

    def _out_of_memory(self, error: tf.errors.ResourceExhaustedError) -> TrainingError:
        size = self._settings["batch_size"]
        replicas = self._strategy.num_replicas_in_sync if self._strategy else 1
        smaller = size // 2 // replicas * replicas
        return TrainingError(
            "Memory ran out in a step.",
            received=f"batch_size={size}"
            + (f" on {replicas} replicas" if replicas > 1 else "")
            + f"; TensorFlow says: {error.message.splitlines()[0]}",
            next_step=f"pass batch_size={smaller} and another folder."
            if smaller
            else 'pass a smaller input_shape=, or dtype="mixed_bfloat16".',
        )
