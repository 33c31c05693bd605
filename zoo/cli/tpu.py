"""The part of `zoo validate` that is about TPUs: compiled without one, or run on one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoo import tpu
from zoo.cli import errors, output
from zoo.cli.progress import hint
from zoo.tpu import estimates


def validate_on_tpu(
    names: Sequence[str],
    *,
    compile_only: bool,
    chip: Sequence[str] = ("v5e",),
    chips: int = 1,
    dtype: Sequence[str] = ("bfloat16",),
    step: Sequence[str] = ("inference",),
    form: Sequence[str] = ("shim",),
    batch: int = 64,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Compiles programs for TPUs, or runs them on this machine's, and shows a row for each.

    Args:
        names: registered names; ["all"] for every one.
        compile_only: asks the compiler alone; needs no TPU.
        out: a folder for CSV and JSON. What is in its files already is not done again.
        json: JSON instead of the table.

    Returns:
        The exit code: 0 if the compiler took every program.
    """
    names = tpu.every_model() if list(names) == ["all"] else names
    wanted = list(
        tpu.combinations(
            names, chip=chip, dtype=dtype, step=step, form=form, chips=chips, batch=batch
        )
    )
    report = tpu.compile_report if compile_only else tpu.run_report
    rows = _shown(report(wanted, out=out, progress=_say), json)
    if json:
        output.print_json(rows)
    elif compile_only and any(row["accepted"] for row in rows):
        hint(f"predicted times and speeds are a {estimates.LABEL}")
    return 0 if all(row["accepted"] for row in rows) else errors.NEGATIVE


def _say(what: str) -> None:
    if sys.stderr.isatty():
        hint(what)


def _shown(report: Iterable[dict], json: bool) -> list[dict]:
    """The rows, each shown as it comes: compiling takes minutes, and may be interrupted."""
    rows = []
    for row in report:
        rows.append(row)
        if not json:
            output.table(_HEADER, [_cells(row)])
            sys.stdout.flush()
    return rows


_HEADER = (
    *("MODEL", "FORM", "STEP", "DTYPE", "CHIPS", "BATCH", "WHAT", "MEMORY"),
    *("ROOFLINE MS", "MS", "IMAGES/S", ""),
)


def _cells(row: dict) -> tuple[str, ...]:
    what = ("model", "form", "step", "dtype")
    return (
        *(str(row[key]) for key in what),
        f"{row['chips']} x {row['chip']}",
        str(row["batch"]),
        row["what"],
        _number(row.get("hbm_share"), "{:.1%}"),
        _number(row.get("roofline_ms"), "{:.3f}"),
        _number(row.get("predicted_ms") or row.get("measured_ms"), "{:.3f}"),
        _number(
            row.get("predicted_images_per_sec") or row.get("measured_images_per_sec"), "{:.0f}"
        ),
        "accepted" if row["accepted"] else f"NOT ACCEPTED: {row['message']}",
    )


def _number(value: float | None, form: str) -> str:
    return output.NOTHING if value is None else form.format(value)
