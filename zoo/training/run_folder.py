"""The folder of a fine-tuning run: the state to go on from, and the best model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.training.workers import Workers

BEST, LAST = "best.keras", "last.keras"

# Folders in which a process that was killed was writing.
_UNFINISHED = (".state.", ".best.", ".last.", ".labels.", ".curve.", ".report.")


class RunFolder:
    """The folder of a run.

    `state.json` says how far the run is and names the file with the arrays that belong to it; it
    is replaced when the new file is whole, so that at any time it is the last good state.

    Of several workers the chief alone reads and writes it, and tells the others: only its machine
    needs to have the folder, and all go on from the same step. What fails on the chief fails on
    all.

    Args:
        path: made if need be.
        settings: of the run; a folder that holds a run of others is refused.
        workers: who train together; each calls all methods.

    Raises:
        ArgumentError: the folder holds a run of other settings, or other files; or the workers
            were given different settings.
    """

    def __init__(
        self, path: str | os.PathLike, settings: dict, workers: Workers | None = None
    ) -> None:
        self.path = Path(path).expanduser()
        self.workers = workers or Workers()
        settings = json.loads(json.dumps(settings, default=_described))
        self.workers.check_alike(settings)
        self._state = self.workers.of_chief(lambda: self._opened(settings))

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
        self._state = self.workers.of_chief(lambda: self._saved(variables, facts))

    def note(self, **facts) -> None:
        """Changes what is told beside the arrays."""

        def write() -> dict:
            with self._telling_what_stays():
                return self._written({**self._state, **facts})

        self._state = self.workers.of_chief(write)

    def finish(self) -> None:
        """Notes that there is nothing to go on with, and drops the arrays."""
        self.note(done=True, arrays=None)
        if self.workers.is_chief:
            self._drop_arrays(but=None)

    def restore(self, variables: list) -> None:
        """Gives the variables the values of the last state, if there is one of this stage.

        Raises:
            ArgumentError: they are not those that were saved.
        """
        if self["arrays"] is not None:
            self.workers.of_chief(lambda: self._restored(variables))
            self.workers.share(variables)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Writes a model to a `.keras` file."""
        self.write(name, model.save)

    def write(self, name: str, make: Callable[[Path], object]) -> None:
        """Writes a file, whole or not at all: `make` is given a path to write to.

        Raises:
            OSError: it could not be written; says what the folder still has.
        """

        def write() -> None:
            with self._telling_what_stays(), replacing(self.path / name) as (made,):
                make(made)

        self.workers.of_chief(write)

    def restore_model(self, model: keras.Model, name: str) -> None:
        """Gives a model the weights of a `.keras` file that `save_model` wrote."""
        self.workers.of_chief(lambda: model.load_weights(self.path / name))
        self.workers.share(model.variables)

    def where(self) -> str:
        """The state in words."""
        return f"stage {self['stage'] + 1}, step {self['step']}"

    def _opened(self, settings: dict) -> dict:
        state = self._found(settings)
        if state is None:
            self.path.mkdir(parents=True, exist_ok=True)
            state = {"settings": settings, "stage": 0, "step": 0, "history": []}
            self._written(state)
        for unfinished in self.path.glob(".*"):
            if unfinished.is_dir() and unfinished.name.startswith(_UNFINISHED):
                for file in unfinished.iterdir():
                    file.unlink()
                unfinished.rmdir()
        return state

    def _found(self, settings: dict) -> dict | None:
        """The state to go on from, if a run took a step here."""
        if (self.path / "state.json").is_file():
            state = json.loads((self.path / "state.json").read_text(encoding="utf-8"))
            # One that never did, such as one with a mistyped scope, holds nobody up.
            if not state.get("arrays") and not state["history"]:
                return None
            self._check_settings(state["settings"], settings)
            return state
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ArgumentError(
                "The folder to train in holds something that is no fine-tuning.",
                received=str(self.path),
                next_step="pass a new folder.",
            )
        return None

    def _saved(self, variables: list, facts: dict) -> dict:
        state = {**self._state, **facts}
        arrays = f"state.{state['stage']}-{state['step']}.npz"
        with self._telling_what_stays():
            with replacing(self.path / arrays) as (made,), open(made, "wb") as file:
                values = (keras.ops.convert_to_numpy(variable) for variable in variables)
                np.savez(file, **{str(index): value for index, value in enumerate(values)})
            state = self._written({**state, "arrays": arrays})
        self._drop_arrays(but=arrays)
        return state

    def _written(self, state: dict) -> dict:
        with replacing(self.path / "state.json") as (made,):
            made.write_text(json.dumps(state, indent=1), encoding="utf-8")
        return state

    def _drop_arrays(self, but: str | None) -> None:
        for arrays in self.path.glob("state.*.npz"):
            if arrays.name != but:
                arrays.unlink()

    def _restored(self, variables: list) -> None:
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

    @contextlib.contextmanager
    def _telling_what_stays(self) -> Iterator[None]:
        """Errors of files say what the folder still has."""
        try:
            yield
        except OSError as error:
            kept = "Nothing was saved before."
            if self["done"]:
                kept = f"The training is complete; {self.path / BEST} stays."
            elif self["arrays"]:
                kept = f"The last good state, {self.where()}, stays in {self.path}: the same call "
                kept += "or command goes on from there."
            reason = f"{error.strerror or error}: the training could not be saved. {kept}"
            raise OSError(error.errno, reason) from error

    def _check_settings(self, theirs: dict, settings: dict) -> None:
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
