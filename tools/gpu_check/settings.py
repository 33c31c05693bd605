"""What is timed: a network, in one task, dtype and batch size."""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    network: str
    task: str
    dtype: str
    batch: int

    def __str__(self) -> str:
        return f"{self.network}, {self.task}, {self.dtype}, batches of {self.batch}"
