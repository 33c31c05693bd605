"""What a fine-tuning run keeps in its folder: the state to go on from, and the best model."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from pathlib import Path

import keras
import numpy as np

from zoo.dialects.files import complete_or_absent
from zoo.errors import ArgumentError, TrainingError

BEST, LAST = "best.keras", "last.keras"

# Folders in which a process that was killed was writing.
_UNFINISHED = (".state.", ".best.", ".last.", ".curve.", ".report.")


class RunFolder:
    """The folder of a run.

    `state.json` says how far the run is and names the file with the arrays that belong to it; it
    is replaced when the new file is whole, so that at any time it is the last good state.

    Args:
        path: made if need be.
        settings: of the run; a folder that holds a run of others is refused.

    Raises:
        ArgumentError: the folder holds a run of other settings, or other files.
    """

    def __init__(self, path: str | os.PathLike, settings: dict) -> None:
        self.path = Path(path).expanduser()
        settings = json.loads(json.dumps(settings, default=_described))
        if (self.path / "state.json").is_file():
            self._state = json.loads((self.path / "state.json").read_text(encoding="utf-8"))
            self._check_settings(settings)
        else:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ArgumentError(
                    "The folder to train in holds something that is no fine-tuning.",
                    received=str(self.path),
                    next_step="pass a new folder.",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._write({"settings": settings, "stage": 0, "step": 0, "history": []})
        for unfinished in self.path.glob(".*"):
            if unfinished.is_dir() and unfinished.name.startswith(_UNFINISHED):
                for file in unfinished.iterdir():
                    file.unlink()
                unfinished.rmdir()

    def __getitem__(self, key: str):
        return self._state.get(key)

    @property
    def history(self) -> list[dict]:
        """A row for each epoch that is behind: stage, epoch, metrics."""
        return self._state["history"]

    def save(self, variables: list, **facts) -> None:
        """Writes a new state.

        Raises:
            OSError: it could not be written; the last good one is still there, and says so.
        """
        state = {**self._state, **facts}
        arrays = f"state.{state['stage']}-{state['step']}.npz"
        try:
            with complete_or_absent(self.path / arrays) as made, open(made, "wb") as file:
                values = (keras.ops.convert_to_numpy(variable) for variable in variables)
                np.savez(file, **{str(index): value for index, value in enumerate(values)})
            self._write({**state, "arrays": arrays})
        except OSError as error:
            raise self._not_saved(error) from error
        for old in self.path.glob("state.*.npz"):
            if old.name != arrays:
                old.unlink()

    def note(self, **facts) -> None:
        """Changes what is told beside the arrays."""
        try:
            self._write({**self._state, **facts})
        except OSError as error:
            raise self._not_saved(error) from error

    def finish(self) -> None:
        """Notes that there is nothing to go on with, and drops the arrays."""
        self.note(done=True, arrays=None)
        for arrays in self.path.glob("state.*.npz"):
            arrays.unlink()

    def restore(self, variables: list) -> None:
        """Gives the variables the values of the last state, if there is one of this stage.

        Raises:
            ArgumentError: they are not those that were saved.
        """
        if self["arrays"] is None:
            return
        with np.load(self.path / self["arrays"], allow_pickle=False) as arrays:
            shapes = [tuple(variable.shape) for variable in variables]
            if len(arrays) != len(shapes) or any(
                arrays[str(index)].shape != shape for index, shape in enumerate(shapes)
            ):
                raise ArgumentError(
                    "The folder's state is that of another model.",
                    received=f"{len(arrays)} arrays in {self.path / self['arrays']}",
                    accepted=f"{len(shapes)} of the model's and its optimizer's shapes",
                )
            for index, variable in enumerate(variables):
                variable.assign(arrays[str(index)])

    def save_model(self, model: keras.Model, name: str) -> None:
        """Writes a model to a `.keras` file, whole or not at all."""
        try:
            with complete_or_absent(self.path / name) as made:
                model.save(made)
        except OSError as error:
            raise self._not_saved(error) from error

    def _write(self, state: dict) -> None:
        with complete_or_absent(self.path / "state.json") as made:
            made.write_text(json.dumps(state, indent=1), encoding="utf-8")
        self._state = state

    def _not_saved(self, error: OSError) -> OSError:
        kept = "Nothing was saved before."
        if self["done"]:
            kept = f"The training is complete; {self.path / BEST} stays."
        elif self["arrays"]:
            kept = f"The last good state, {self.where()}, stays in {self.path}: the same call goes "
            kept += "on from there."
        reason = f"{error.strerror or error}: the training could not be saved. {kept}"
        return OSError(error.errno, reason)

    def where(self) -> str:
        """The state in words."""
        return f"stage {self['stage'] + 1}, step {self['step']}"

    def _check_settings(self, settings: dict) -> None:
        theirs = self["settings"]
        differing = [key for key in settings if settings[key] != theirs.get(key)]
        if differing:
            raise ArgumentError(
                "The folder holds a fine-tuning with other settings.",
                received="; ".join(f"{k}={settings[k]}, not {theirs.get(k)}" for k in differing),
                accepted=f"the settings of {self.path}, to go on with it",
                next_step="pass another folder for a new training.",
            )


def _described(setting) -> object:
    """As it is said in JSON; Keras numbers the names of its objects anew."""
    if not hasattr(setting, "get_config"):
        return str(setting)
    config = {key: value for key, value in setting.get_config().items() if key != "name"}
    return {"class": type(setting).__name__, **config}


def digest(labels: np.ndarray) -> str:
    """By which data are known again."""
    return hashlib.sha256(labels.tobytes()).hexdigest()[:16]


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

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if not np.isfinite(float((logs or {}).get("loss", 0))):
            self._stop("The loss is no number any more")
        ends_epoch = self._step % self._steps_per_epoch == 0
        if ends_epoch:
            return  # the end of the epoch saves, with its metrics
        if self._interrupted.is_set() or (self._every and self._step % self._every == 0):
            self._save()
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        if self._interrupted.is_set():
            raise KeyboardInterrupt  # what is behind was saved at the end of its epoch

    def on_epoch_end(self, epoch, logs=None):
        row = {name.replace("Logits_acc", "acc"): float(v) for name, v in (logs or {}).items()}
        row = {"stage": self._stage, "epoch": epoch + 1, **row}
        self._save(history=[*self._folder.history, row], stopped=bool(self.model.stop_training))

    def _save(self, **facts) -> None:
        variables = state_of(self.model)
        total = sum(float(keras.ops.sum(v)) for v in self.model.trainable_variables)
        if not np.isfinite(total):
            self._stop("The weights are no numbers any more")
        self._folder.save(variables, stage=self._stage, step=self._step, **facts)

    def _stop(self, what: str) -> None:
        kept = f"its last good state, {self._folder.where()}" if self._folder["arrays"] else None
        best = " and best.keras" if (self._folder.path / BEST).exists() else ""
        raise TrainingError(
            f"{what} after step {self._step} of stage {self._stage + 1}.",
            received=f"loss {self._loss_text()}",
            next_step="train with a lower learning rate, in another folder"
            + (f"; {self._folder.path} keeps {kept}{best}." if kept else "."),
        )

    def _loss_text(self) -> str:
        return f"{float(self.model._loss_tracker.result()):g}"


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
