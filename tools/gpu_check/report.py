"""Files and lines about a run: CSV, JSON, a log, and tables at the end."""

from __future__ import annotations

import datetime
import json
import re
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpu_check.bundle import BFLOAT16, EXACT, TF32
from zoo.tables import write_csv

# Columns of the table at the end.
_SPEED = ("samples_per_sec", "latency", "memory_mb", "of_roofline", "over_best_peer")


class Report:
    """What is known so far, and where it goes.

    Args:
        folder: for the files; made if it is not there.
        seconds: that the run has.

    Attributes:
        facts: of the run: device, versions, ceilings.
        comparisons, speeds: rows.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.started = time.monotonic()
        self.facts: dict = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "budget_seconds": seconds,
        }
        self.comparisons: list[dict] = []
        self.speeds: list[dict] = []
        self._lock = threading.RLock()
        self._said: list[str] = []

    def say(self, line: str = "") -> None:
        """Prints a line, with the time since the start, and keeps it for the log."""
        with self._lock:
            for one in line.split("\n"):
                stamped = f"[{time.monotonic() - self.started:5.0f} s] {one}".rstrip()
                self._said.append(stamped)
                print(stamped, flush=True)

    def compared(self, row: dict) -> None:
        """One more row of the comparison."""
        with self._lock:
            self.comparisons.append(row)
            if "skipped" in row:
                if row["skipped"] != "out of time":
                    self.say(f"skipped: {_named(row)}: {row['skipped']}")
                return
            verdict = "as recorded" if row["passed"] else "DIFFERS"
            self.say(f"{_named(row)}: {verdict}, {row['difference']} of {row.get('tolerance')}")

    def save(self) -> list[Path]:
        """Writes all files anew: whatever happens later, they are whole."""
        with self._lock:
            self.facts["seconds"] = round(time.monotonic() - self.started, 1)
            files = [
                *self._tables("equivalence", self.comparisons, (EXACT, BFLOAT16)),
                *self._tables("throughput", self.speeds, (TF32, BFLOAT16)),
            ]
            facts = {**self.facts, "equivalence": self.comparisons, "throughput": self.speeds}
            path = self.folder / f"{self._name('check')}.json"
            path.write_text(json.dumps(facts, indent=1) + "\n")
            log = path.with_suffix(".log")
            log.write_text("\n".join(self._said) + "\n")
            return [*files, path, log]

    def _tables(self, kind: str, rows: list[dict], dtypes: Iterable[str]) -> list[Path]:
        written = []
        for dtype in dtypes:
            of_dtype = [row for row in rows if row["dtype"] == dtype]
            if of_dtype:
                name = self._name(kind, f"-{dtype}-nhwc")
                written.append(write_csv(self.folder / f"{name}.csv", of_dtype))
        return written

    def _name(self, kind: str, what: str = "") -> str:
        """gpu_KIND-DEVICE-DTYPE-LAYOUT-PACKAGEVERSION-..."""
        device = self.facts.get("device", {}).get("name", "unknown")
        plain = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
        versions = self.facts.get("versions", {})
        packages = [
            f"-{name}{versions[name].partition('+')[0]}" for name in _NAMED if name in versions
        ]
        return f"gpu_{kind}-{plain}{what}{''.join(packages)}"

    @property
    def failed(self) -> list[dict]:
        """Comparisons further apart than they may be."""
        return [row for row in self.comparisons if not row.get("passed", True)]

    def summary(self) -> str:
        """Both tables, in text."""
        compared = [row for row in self.comparisons if "skipped" not in row]
        lines = [
            f"{len(compared)} comparisons, {len(self.failed)} failed; "
            f"{len(self.comparisons) - len(compared)} skipped",
            *(f"FAILED: {_named(row)}: {row['difference']}" for row in self.failed),
        ]
        rows = [row for row in self.speeds if "skipped" not in row]
        if rows:
            lines += ["", *_columns(rows)]
        return "\n".join(lines)


# In names of files.
_NAMED = ("jax", "torch", "keras")


def _named(row: dict) -> str:
    return f"{row['form']}: {row['model']}, {row['what']}, {row['dtype']}"


def _columns(rows: Sequence[dict]) -> list[str]:
    table = [("setting", "form", *_SPEED)]
    for row in rows:
        setting = f"{row['model']} {row['task']} {row['dtype']} {row['batch_size']}"
        table.append((setting, row["form"], *(str(row.get(key, "")) for key in _SPEED)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
