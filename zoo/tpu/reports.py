"""Compiling for TPUs, one program after the other, and the rows that say what came of it."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from zoo import registry
from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.processes import WorkerError
from zoo.tables import read_csv, write_csv
from zoo.tpu import compiler
from zoo.tpu.chips import chip
from zoo.tpu.processes import Limits, work
from zoo.tpu.requests import Request, versions

COMPILED, RUN = "compiled", "run"

# All columns in their order, whatever a row has: a file that grows keeps its header.
COLUMNS = (
    *("model", "form", "what", "step", "dtype", "chip", "chips", "batch", "img_size"),
    *("accepted", "message", "export_seconds", "compile_seconds"),
    *("argument_bytes", "temporary_bytes", "output_bytes", "aliased_bytes", "code_bytes"),
    *("hbm_bytes", "hbm_share", "flops", "bytes_accessed", "hbm_traffic", "fusions", "roofline_ms"),
    *("estimated_cycles", "predicted_ms", "predicted_images_per_sec", "prediction"),
    *("jax", "libtpu", "tensorflow", "keras"),
)
_KEYS = (*COLUMNS[: COLUMNS.index("accepted")], *COLUMNS[COLUMNS.index("jax") :])
_RUN_COLUMNS = (
    *COLUMNS[: COLUMNS.index("argument_bytes")],
    *("device", "measured_ms", "measured_images_per_sec"),
    *COLUMNS[COLUMNS.index("jax") :],
)


def compile_report(
    requests: Iterable[Request],
    *,
    out: str | os.PathLike | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], object] | None = None,
) -> Iterator[dict]:
    """Compiles programs for TPUs with the TPU's own compiler, on a machine that has none.

    Nothing runs: the compiler says whether it takes the program, what memory that needs, and what
    it expects of the time. Each is exported and compiled in processes of their own, so that one
    that hangs or dies is a row that says so.

    Args:
        requests: what to compile; `zoo.tpu.combinations` gives all of some kinds.
        out: a folder. Rows are written there as they come, to a CSV and a JSON file whose name has
            the versions; what they hold already is not compiled again, and the row is given.
        limits: of time and memory, of each process.
        progress: called with what is about to be done.

    Yields:
        A flat dict with `COLUMNS` as keys for each request; None is what there is not.

    Raises:
        UnsupportedEnvironmentError: JAX or libtpu is not there.
        ArgumentError: there is no folder `out`, or the file in it is something else.
    """
    compiler.check_installed()
    return _report("compile", COMPILED, COLUMNS, requests, out, limits, progress)


def run_report(
    requests: Iterable[Request],
    *,
    out: str | os.PathLike | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], object] | None = None,
) -> Iterator[dict]:
    """Runs the same programs on the TPU that this machine has, and times them.

    Arguments are as for `compile_report`; the rows go to a file of their own.

    Raises:
        UnsupportedEnvironmentError: there is no TPU.
    """
    return _report("run", RUN, _RUN_COLUMNS, requests, out, limits, progress)


def _report(verb, what, columns, requests, out, limits, progress) -> Iterator[dict]:
    rows = _Rows(out, f"tpu-{verb}", columns)
    with tempfile.TemporaryDirectory(prefix="zoo-tpu-") as folder:
        exports = _Exports(Path(folder), limits or Limits())
        if verb == "run" and (requests := list(requests)):
            # Before anything is exported.
            work("find", max(requests, key=lambda one: one.chips), Path(folder), exports.limits)
        for request in requests:
            row = _described(request, what)
            known = rows.find(row)
            if known is None or not _has_verdict(known):
                if progress is not None:
                    progress(" ".join(map(str, dataclasses.astuple(request))))
                row |= _answer(verb, request, exports)
                known = rows.add(row)
            yield known


def _has_verdict(row: Mapping) -> bool:
    """Whether it was compiled, or refused: what died or was stopped before is tried again."""
    return row["accepted"] or row["compile_seconds"] is not None


def _described(request: Request, what: str) -> dict:
    """What a row says before anything is done; by this, `_KEYS`, it is found again."""
    size = registry.info(request.model).input_size
    return {**dataclasses.asdict(request), "what": what, "img_size": size, **versions()}


def _answer(verb: str, request: Request, exports: _Exports) -> dict:
    found = {"hbm_bytes": chip(request.chip).hbm} if verb == "compile" else {}
    try:
        program, exported = exports.of(request)
        return found | exported | work(verb, request, program, exports.limits)
    except WorkerError as error:
        return found | {"accepted": False, "message": " ".join(str(error).split())}


class _Exports:
    """Exported programs; the last one is kept, since requests for other chips follow."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self.limits = folder, limits
        self._program: tuple | None = None
        self._found: dict | WorkerError = {}

    def of(self, request: Request) -> tuple[Path, dict]:
        file = self._folder / f"program.{'keras' if request.form == 'native' else 'stablehlo'}"
        if request.program != self._program:
            self._program = request.program
            try:
                self._found = work("export", request, file, self.limits)
            except WorkerError as error:
                self._found = error
        if isinstance(self._found, WorkerError):
            raise self._found
        return file, self._found


class _Rows:
    """The rows of a CSV file and of the JSON file beside it."""

    def __init__(self, out: str | os.PathLike | None, kind: str, columns: tuple[str, ...]) -> None:
        self._columns, self._rows = columns, []
        self._path = None
        if out is None:
            return
        if not Path(out).is_dir():
            raise ArgumentError(f"There is no folder {out} to write to.", next_step="make it.")
        named = "-".join(f"{package}{version}" for package, version in versions().items())
        self._path = Path(out) / f"{kind}-{named.replace('tensorflow', 'tf')}.csv"
        if self._path.exists():
            self._rows = [dict(row) for row in read_csv(self._path)]
            if any(set(row) != set(columns) for row in self._rows):
                raise ArgumentError(
                    f"{self._path} has other columns.", next_step="move it out of the way."
                )

    def find(self, described: Mapping) -> dict | None:
        def same(row) -> bool:
            return all(str(row[key]) == str(value) for key, value in described.items())

        return next((row for row in self._rows if same(row)), None)

    def add(self, row: Mapping) -> dict:
        row = {column: row.get(column) for column in self._columns}
        known = self.find({key: row[key] for key in _KEYS})
        self._rows = [other for other in self._rows if other is not known] + [row]
        if self._path is not None:
            write_csv(self._path, self._rows)
            _write_json(self._path.with_suffix(".json"), self._rows)
        return row


def _write_json(path: Path, rows: list[dict]) -> None:
    lines = ",\n ".join(json.dumps(row) for row in rows)
    with replacing(path) as (temporary,):
        temporary.write_text(f"[{lines}]\n")
