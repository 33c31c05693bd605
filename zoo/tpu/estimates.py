"""What the compiler's optimized program says of itself: fusions, memory traffic, cycles, time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from zoo.tpu.chips import Chip

# What a prediction is called wherever it is shown. 25 %: against two published speeds of ResNet-50
# such an estimate was 11 % high (v2) and 21 % low (v3).
LABEL = "compiler estimate, about +-25 %, not a measurement"


@dataclass(frozen=True)
class Estimate:
    """Counted in the entry computation, which runs once a step.

    Attributes:
        fusions: number of fusions.
        traffic: bytes from and to the chip's main memory: operands and results of each operation
            that lie there. What stays in the memory beside the arithmetic is not among them.
        cycles: sum of the cycles that the compiler expects its operations to take. Collectives,
            asynchronous copies, the host's input and the start of a program have none.
    """

    fusions: int
    traffic: int
    cycles: int

    def seconds(self, chip: Chip) -> float:
        """The predicted time of a step."""
        return self.cycles / chip.clock


def read_estimate(hlo: str) -> Estimate:
    """The estimate in an optimized HLO module of the TPU's compiler, as text.

    Raises:
        ValueError: the text has no entry computation.
    """
    entry = re.search(r"^ENTRY .*?^}", hlo, re.M | re.S)
    if entry is None:
        raise ValueError("the text has no ENTRY computation")
    operations = list(_operations(entry[0]))
    return Estimate(
        fusions=sum(operation.kind == "fusion" for operation in operations),
        traffic=_traffic(operations),
        cycles=sum(map(int, re.findall(r'"estimated_cycles":"?(\d+)"?', entry[0]))),
    )


def roofline_seconds(flops: float, traffic: float, chip: Chip, dtype: str) -> float:
    """The least time of a step: that of its operations, or of its memory traffic.

    Args:
        flops: multiplications and additions of one chip.
        traffic: bytes from and to its memory.
        dtype: which peak holds.
    """
    return max(flops / chip.peak[dtype], traffic / chip.bandwidth)


@dataclass(frozen=True)
class _Operation:
    """A line of HLO: %NAME = TYPE KIND(OPERANDS), ..."""

    name: str
    type: str
    kind: str
    operands: tuple[str, ...]


_LINE = re.compile(r"^ +(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([a-z][a-z0-9\-]*)\(([^)]*)\)", re.M)
_ARRAY = re.compile(r"([a-z]+)(\d*)[a-z0-9]*\[([\d,]*)\](\{[^}]*\})?")

# They name values, and move none.
_NAMES = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "after-all"}


def _operations(entry: str) -> Iterator[_Operation]:
    for name, type_, kind, operands in _LINE.findall(entry):
        yield _Operation(name, type_, kind, tuple(re.findall(r"%([\w.\-]+)", operands)))


def _traffic(operations: list[_Operation]) -> int:
    sizes = {operation.name: _bytes_in_main_memory(operation.type) for operation in operations}
    total = 0
    for operation in operations:
        if operation.kind in _NAMES:
            continue
        # What is asynchronous reads at its start and has written when it is done.
        if not operation.kind.endswith("-done"):
            total += sum(sizes.get(operand, 0) for operand in set(operation.operands))
        if not operation.kind.endswith("-start"):
            total += sizes[operation.name]
    return total


def _bytes_in_main_memory(type_: str) -> int:
    """Of an array, or all arrays of a tuple; S(n) in a layout says that it lies elsewhere."""
    total = 0
    for letters, bits, shape, layout in _ARRAY.findall(type_):
        if "S(" not in layout and letters != "token":
            size = int(bits or 8) / 8  # pred is a byte
            total += math.ceil(size * math.prod(map(int, filter(None, shape.split(",")))))
    return total
