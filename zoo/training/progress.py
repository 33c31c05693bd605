"""Callbacks of a fine-tuning run: they keep its state and its best model, and stop it."""

from __future__ import annotations

import signal
import threading

import keras
import numpy as np

from zoo.errors import TrainingError
from zoo.training.run_folder import BEST, RunFolder


class JoinEpoch(keras.callbacks.Callback):
    """Makes the metrics of an epoch that was gone on with those of all its steps, by changing
    `logs`. It comes first, so that all other callbacks see that.

    Args:
        part: metrics of its steps that are behind; None where there are none.
        behind: how many those are.
        steps_per_epoch: of the stage.
    """

    def __init__(self, part: dict | None, behind: int, steps_per_epoch: int) -> None:
        super().__init__()
        self._part, self._behind, self._steps_per_epoch = part or {}, behind, steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        self._join(logs, batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self._join(logs, self._steps_per_epoch - self._behind)
        self._part = {}

    def _join(self, logs: dict, steps: int) -> None:
        """Steps have as many images each, so means are weighted with their number."""
        for name, value in self._part.items():
            both = self._behind * value + steps * float(logs[name])
            logs[name] = both / (self._behind + steps)


class KeepState(keras.callbacks.Callback):
    """Saves the state at the end of each epoch, every so many steps, and when interrupted; and
    stops where the loss is no number, so that no such state is saved.

    Args:
        folder: where to.
        stage: number of the stage.
        step: steps of the stage that are behind.
        steps_per_epoch: of the stage.
        every: steps between two states; None for none within an epoch.
        interrupted: set when the user asks to stop.
    """

    def __init__(self, folder, stage, step, steps_per_epoch, every, interrupted) -> None:
        super().__init__()
        self._folder, self._stage, self._step = folder, stage, step
        self._steps_per_epoch, self._every, self._interrupted = steps_per_epoch, every, interrupted
        self._loss = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        self._loss = float((logs or {}).get("loss", 0))
        if not np.isfinite(self._loss):
            self._stop("The loss is no number any more")
        ends_epoch = self._step % self._steps_per_epoch == 0
        if ends_epoch:
            return  # the end of the epoch saves, with its metrics
        interrupted = self._is_interrupted()
        if interrupted or (self._every and self._step % self._every == 0):
            self._save(part={name: float(value) for name, value in (logs or {}).items()})
        if interrupted:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        if self._is_interrupted():
            raise KeyboardInterrupt  # what is behind was saved at the end of its epoch

    def on_epoch_end(self, epoch, logs=None):
        row = {name.replace("Logits_acc", "acc"): float(v) for name, v in (logs or {}).items()}
        row = {"stage": self._stage, "epoch": epoch + 1, **row}
        history, stopped = [*self._folder.history, row], bool(self.model.stop_training)
        self._save(part=None, history=history, stopped=stopped)

    def _is_interrupted(self) -> bool:
        """Whether any worker's user asks to stop: then all do, after the same step."""
        return self._folder.workers.any(self._interrupted.is_set())

    def _save(self, **facts) -> None:
        variables = state_of(self.model)
        total = sum(float(keras.ops.sum(v)) for v in self.model.trainable_variables)
        if not np.isfinite(total):
            self._stop("The weights are no numbers any more")
        self._folder.save(variables, stage=self._stage, step=self._step, **facts)

    def _stop(self, what: str) -> None:
        kept = f"its last good state ({self._folder.where()})" if self._folder["arrays"] else None
        best = " and best.keras" if (self._folder.path / BEST).exists() else ""
        raise TrainingError(
            f"{what} after step {self._step} of stage {self._stage + 1}.",
            received=f"loss {self._loss:g}",
            next_step="train with a lower learning rate, in another folder"
            + (f"; {self._folder.path} keeps {kept}{best}." if kept else "."),
        )


class KeepBest(keras.callbacks.Callback):
    """Writes `best.keras` whenever an epoch is better than all before it.

    Args:
        folder: where to.
        model: what is saved; it shares its variables with the model that is trained.
        monitor: name of the metric; one with "loss" in it is better when lower.
        stage: number of the stage.
    """

    def __init__(self, folder: RunFolder, model: keras.Model, monitor: str, stage: int) -> None:
        super().__init__()
        self._folder, self._saved, self._monitor, self._stage = folder, model, monitor, stage

    def on_epoch_end(self, epoch, logs=None):
        value = float(logs[self._monitor])
        best = self._folder["best"]
        if best is not None and not is_better(value, best["value"], self._monitor):
            return
        self._folder.save_model(self._saved, BEST)
        best = {"metric": self._monitor, "value": value, "stage": self._stage, "epoch": epoch + 1}
        self._folder.note(best=best)


class StopEarly(keras.callbacks.EarlyStopping):
    """Keras's, which after a resume counts the epochs before it too.

    Args:
        past: rows of the stage's epochs that are behind.
        **options: as for `keras.callbacks.EarlyStopping`.
    """

    def __init__(self, past: list[dict], **options) -> None:
        super().__init__(**options)
        self._past = past

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch, row in enumerate(self._past):
            self.on_epoch_end(epoch, row)


def is_better(value: float, than: float, metric: str) -> bool:
    return value < than if "loss" in metric else value > than


def state_of(model: keras.Model) -> list:
    """All that the next step depends on: weights, seeds of random layers, optimizer."""
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    weights = {id(v): v for v in model.variables if id(v) not in metrics}
    return [*weights.values(), *model.optimizer.variables]


class Interruptible:
    """Within it, the first Ctrl-C sets the event that it gives; the second interrupts at once."""

    def __enter__(self) -> threading.Event:
        self._asked, self._before = threading.Event(), None
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a shell's background
        if threading.current_thread() is threading.main_thread() and not ignored:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self._asked

    def __exit__(self, *exception) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, *_) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()
