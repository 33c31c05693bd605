"""`fit` and `evaluate` for any Keras 3 model, under any synchronous tf.distribute strategy.

Which one to use:

- One device: `model.fit`.
- `MirroredStrategy` (several GPUs of one machine): `model.fit` works. This `fit` takes the very
  steps that one device takes on the whole batch where Keras's does not: with an uneven last batch,
  with clipped or accumulated gradients, and with Keras's own batch normalization, whose moving
  averages Keras 3 leaves different on each replica.
- `MultiWorkerMirroredStrategy` (several machines): this `fit`; Keras's fails
  (https://github.com/keras-team/keras/issues/20585, open as of Keras 3.15).
- `TPUStrategy`: this `fit`; `zoo.training.tpu_strategy()` connects to the TPU.

Both run a plain loop: `strategy.run` of a replica's forward and backward pass, gradients summed
over replicas, the same update of the same variables on each, and Keras's own optimizers, losses,
metrics, callbacks and progress bar.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.training.batches import Batches, give_out
from zoo.training.checkpoints import EpochCheckpoints
from zoo.training.steps import evaluation_step, loss_reduction, training_step
from zoo.training.workers import is_chief

# They write files, which one worker is to do.
_WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
)


def fit(
    model: keras.Model,
    x,
    y=None,
    *,
    sample_weight=None,
    batch_size: int | None = None,
    epochs: int = 1,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_data=None,
    validation_steps: int | None = None,
    shuffle: bool = True,
    callbacks: list[keras.callbacks.Callback] | None = None,
    verbose: str | int = "auto",
    checkpoint_dir: str | Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> keras.callbacks.History:
    """Trains a compiled model under the strategy that it was made under.

    Each step is the step of one device on the whole batch, up to rounding: the loss is that of
    the whole batch whatever number of rows each replica has, regularization counts once,
    gradients are summed and only then clipped, and optimizer state is the same on all replicas
    and workers. Batch normalization, as in TF1, normalizes with each replica's own statistics,
    and its moving averages become the mean of the replicas'.

    With several workers, each calls this with the same arguments. Metrics, and so what callbacks
    decide, are the same on all. The chief alone shows progress and writes files:
    `ModelCheckpoint`, `CSVLogger` and `TensorBoard` do nothing on the others.

    Not used: the model's own `train_step`, `steps_per_execution`.

    Args:
        model: made and compiled within `strategy.scope()`.
        x: arrays, with `y` and `sample_weight`, or nested tuples and dicts of them. Or a
            `tf.data.Dataset` of whole batches, (x, y) or (x, y, sample_weight), with the same
            elements in the same order on every worker (give `shuffle` a seed): rows are split
            over replicas here. Or a dataset that you distributed yourself, for instance so
            that each worker reads files of its own: it is taken as it is, and no replica's part
            of it may be empty.
        batch_size: rows per step of all replicas together, for arrays; 32 by default.
        steps_per_epoch: steps in an epoch, over which the data go on, and start anew when they
            end; by default an epoch is one pass.
        validation_data: a tuple of arrays or a dataset, evaluated after each epoch.
        validation_steps: batches of it to evaluate; all by default.
        shuffle: draws arrays' rows in a new order for each epoch, the same on all workers.
        verbose: as in Keras: 0, 1 (bar) or 2 (a line for each epoch). "auto" is 1 on a
            terminal, else 2, and 0 on workers other than the chief.
        checkpoint_dir: weights and optimizer state are written here after each epoch, as
            `epoch-0001.weights.h5` and so on, the last three kept. Training goes on after the
            newest that is there, so the same call continues what was interrupted. All workers
            must see this folder.
        strategy: if given, checked to be the model's.

    Returns:
        What `model.fit` returns: `history.history["loss"]` has one number for each epoch.

    Raises:
        ArgumentError: the model was made or compiled outside the strategy's scope, has a
            `train_step` of its own or losses with different reductions; `jit_compile=True` with
            several replicas; or data that cannot be split.

    Example:
        >>> strategy = tf.distribute.MultiWorkerMirroredStrategy()  # TF_CONFIG names the workers
        >>> with strategy.scope():
        ...     model = zoo.load("resnet_v1_50")
        ...     model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> zoo.training.fit(model, dataset, epochs=10, checkpoint_dir="training")
    """
    strategy = _checked_strategy(model, strategy)
    if type(model).train_step is not keras.Model.train_step:
        raise ArgumentError(
            f"{type(model).__name__} has a train_step of its own, which would not be called.",
            next_step="override compute_loss or compute_metrics, which are called.",
        )
    if model.optimizer is None:
        raise ArgumentError("The model has no optimizer.", next_step="call model.compile(...).")
    _check_optimizer(model.optimizer, strategy)
    batches = give_out(strategy, x, y, sample_weight, batch_size=batch_size, shuffle=shuffle)
    _build(model, strategy, batches)
    validation = None
    if validation_data is not None:
        validation = _validation_batches(strategy, validation_data, batch_size)
        evaluate_step = evaluation_step(model, strategy, validation)

    writes = is_chief(strategy)
    checkpoints = checkpoint_dir and EpochCheckpoints(checkpoint_dir, writes=writes)
    if checkpoints:
        with strategy.scope():
            initial_epoch = max(initial_epoch, checkpoints.restore(model))
    callbacks = _callbacks(
        model, callbacks, writes, verbose, epochs=epochs, steps=steps_per_epoch or batches.steps
    )

    step_function = training_step(model, strategy, batches)
    stream = _Stream(batches)
    model.stop_training = False
    callbacks.on_train_begin()
    logs = {}
    for epoch in range(model._initial_epoch or initial_epoch, epochs):
        _reset_metrics(model, strategy)
        callbacks.on_epoch_begin(epoch)
        for step, element in enumerate(stream.epoch(steps_per_epoch)):
            callbacks.on_train_batch_begin(step)
            logs = _to_python(step_function(element))
            callbacks.on_train_batch_end(step, logs)
            if model.stop_training:
                break
        epoch_logs = dict(logs)
        if validation is not None:
            seen = _evaluate(
                model, strategy, validation, evaluate_step, callbacks, validation_steps
            )
            epoch_logs |= {f"val_{name}": value for name, value in seen.items()}
        callbacks.on_epoch_end(epoch, epoch_logs)
        logs = epoch_logs
        if checkpoints:
            checkpoints.save(model, epoch + 1)
        if model.stop_training:
            break
    with strategy.scope():
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)
    return model.history


def evaluate(
    model: keras.Model,
    x,
    y=None,
    *,
    sample_weight=None,
    batch_size: int | None = None,
    steps: int | None = None,
    callbacks: list[keras.callbacks.Callback] | None = None,
    verbose: str | int = "auto",
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, float]:
    """The loss and metrics of a compiled model, each row counted once, on all replicas.

    Args:
        model: made and compiled within `strategy.scope()`.
        x, y, sample_weight, batch_size: the data, as `fit` takes them.
        steps: batches to evaluate; all by default.
        callbacks: Keras's; their `on_test_*` methods are called.
        verbose: as for `fit`.
        strategy: if given, checked to be the model's.

    Returns:
        Name -> value, `loss` first, the same on all workers.

    Raises:
        ArgumentError: as for `fit`.
    """
    strategy = _checked_strategy(model, strategy)
    batches = give_out(strategy, x, y, sample_weight, batch_size=batch_size)
    _build(model, strategy, batches)
    callbacks = _callbacks(
        model, callbacks, is_chief(strategy), verbose, epochs=1, steps=steps or batches.steps
    )
    step_function = evaluation_step(model, strategy, batches)
    return _evaluate(model, strategy, batches, step_function, callbacks, steps)


class _Stream:
    """Elements, epoch by epoch."""

    def __init__(self, batches: Batches) -> None:
        self._distributed = batches.distributed
        self._iterator = None

    def epoch(self, steps: int | None) -> Iterator:
        """One pass over the data; or `steps` elements from where the last epoch stopped."""
        if steps is None:
            yield from self._one_pass()
            return
        for _ in range(steps):
            element = next(self._iterator, None) if self._iterator else None
            if element is None:
                self._iterator = self._one_pass()
                element = next(self._iterator)
            yield element

    def _one_pass(self) -> Iterator:
        is_empty = True
        for element in self._distributed:
            is_empty = False
            yield element
        if is_empty:
            raise ArgumentError("The data hold no batch.")


def _evaluate(model, strategy, batches: Batches, step_function, callbacks, steps) -> dict:
    _reset_metrics(model, strategy)
    callbacks.on_test_begin()
    logs = {}
    for step, element in enumerate(_Stream(batches).epoch(steps)):
        callbacks.on_test_batch_begin(step)
        logs = _to_python(step_function(element))
        callbacks.on_test_batch_end(step, logs)
    callbacks.on_test_end(logs)
    return logs


def _checked_strategy(model: keras.Model, strategy) -> tf.distribute.Strategy:
    made_under = model.distribute_strategy
    if strategy is not None and strategy is not made_under:
        raise ArgumentError(
            "The model was not made under this strategy.",
            received=f"{type(strategy).__name__}, and a model of {type(made_under).__name__}",
            next_step="make and compile the model within `with strategy.scope():`.",
        )
    if not model.compiled:
        raise ArgumentError("The model is not compiled.", next_step="call model.compile(...).")
    loss_reduction(model)
    replicas = made_under.num_replicas_in_sync
    if model.jit_compile and replicas > 1 and not isinstance(made_under, tf.distribute.TPUStrategy):
        raise ArgumentError(
            f"TensorFlow cannot compile a step of {replicas} replicas with XLA.",
            received="compile(jit_compile=True)",
            next_step="compile the model with jit_compile=False.",
        )
    return made_under


def _check_optimizer(optimizer: keras.optimizers.Optimizer, strategy) -> None:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    given = [
        f"{name}={getattr(inner, name)}"
        for name in ("gradient_accumulation_steps", "ema_overwrite_frequency")
        if getattr(inner, name, None)
    ]
    if given and strategy.num_replicas_in_sync > 1:
        raise ArgumentError(
            "Keras's optimizer decides inside the step whether to update, where TensorFlow's "
            "replicas cannot meet.",
            received=", ".join(given),
            next_step="use a larger batch in place of accumulation, and finalize_variable_values() "
            "in place of overwriting.",
        )


def _build(model: keras.Model, strategy, batches: Batches) -> None:
    """Makes all variables, of layers, metrics and optimizer, under the strategy."""
    symbols = tf.nest.map_structure(
        lambda spec: keras.KerasTensor(tuple(spec.shape), spec.dtype.name), batches.spec
    )
    with strategy.scope():
        model._symbolic_build(data_batch=symbols)
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    if not tf.distribute.has_strategy() and strategy is tf.distribute.get_strategy():
        return  # the default strategy, for which every variable will do
    optimizer_variables = model.optimizer.variables if model.optimizer is not None else []
    for variable in [*model.variables, *optimizer_variables]:
        if not strategy.extended.variable_created_in_scope(variable.value):
            raise ArgumentError(
                f"Variable {variable.path} was made outside the strategy's scope, so replicas "
                "do not each have it.",
                next_step="make the model, and its optimizer, within `with strategy.scope():`.",
            )


def _validation_batches(strategy, data, batch_size) -> Batches:
    if isinstance(data, tf.data.Dataset | tf.distribute.DistributedDataset):
        return give_out(strategy, data)
    return give_out(strategy, *keras.utils.unpack_x_y_sample_weight(data), batch_size=batch_size)


def _callbacks(model, callbacks, writes: bool, verbose, **params) -> keras.callbacks.CallbackList:
    callbacks = list(callbacks or ())
    if not writes:
        callbacks = [callback for callback in callbacks if not isinstance(callback, _WRITERS)]
    if verbose == "auto":
        verbose = (1 if sys.stdout.isatty() else 2) if writes else 0
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        **params,
    )


def _reset_metrics(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    with strategy.scope():
        model.reset_metrics()


def _to_python(logs: dict) -> dict:
    arrays = {name: value.numpy() for name, value in logs.items()}
    return {name: value.item() if value.size == 1 else value for name, value in arrays.items()}
