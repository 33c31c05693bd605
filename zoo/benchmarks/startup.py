"""What it takes to start: imports, the light commands, and loading a checkpoint.

Each measurement is taken in a fresh Python process, several times, after one that only warms
the system's file cache and Python's compiled modules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo import registry
from zoo.benchmarks.spread import Spread
from zoo.errors import ArgumentError

# What is started -> the most seconds that zoo promises.
TARGETS = {"import zoo": 0.1, "zoo list": 0.5, "zoo --help": 0.5}
LOAD_SECONDS = 3.0
LOAD_MEMORY = 2.5  # sizes of the checkpoint

_IMPORT = """
import json, sys, time
start, cpu_start = time.perf_counter(), time.process_time()
import zoo
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
print(json.dumps([seconds, cpu, "tensorflow" in sys.modules]))
"""

_COMMAND = """
import json, sys, time
from zoo.cli import main
code = main()
sys.stderr.write("\\n" + json.dumps([time.process_time(), "tensorflow" in sys.modules]))
sys.exit(code)
"""

_WRITE = """
import sys
import zoo
from zoo.checkpoints import write_checkpoint
write_checkpoint(sys.argv[2], zoo.load(sys.argv[1], weights=None).tf1_variables)
"""

_LOAD = """
import json, sys, time
import tensorflow
start, cpu_start = time.perf_counter(), time.process_time()
from zoo.benchmarks import memory
before = memory.resident()
import zoo
model = zoo.load(sys.argv[1], tf1_ckpt=sys.argv[2])
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
print(json.dumps([seconds, cpu, memory.peak() - before, memory.resident() - before]))
"""


@dataclass(frozen=True)
class Startup:
    """How long something light takes.

    Attributes:
        what: "import zoo", within a running Python; or a command, Python's own start included.
        seconds: median and quartiles.
        cpu_seconds: median of the processor time, which a busy machine disturbs less.
        imports_tensorflow: whether it brought TensorFlow in, which it must not.
        target: the most seconds that zoo promises.
    """

    what: str
    seconds: Spread
    cpu_seconds: float
    imports_tensorflow: bool
    target: float

    @property
    def met(self) -> bool:
        return not self.imports_tensorflow and self.seconds.median <= self.target

    def to_dict(self) -> dict:
        """One flat row, for CSV and JSON."""
        return {
            "what": self.what,
            **_rounded(self.seconds),
            "cpu_seconds": round(self.cpu_seconds, 4),
            "target_seconds": self.target,
            "imports_tensorflow": self.imports_tensorflow,
        }


@dataclass(frozen=True)
class Load:
    """What `zoo.load(model, tf1_ckpt=...)` takes in a process that has imported TensorFlow.

    Attributes:
        model: registered name.
        checkpoint_bytes: size of the V2 checkpoint, index included.
        seconds: median and quartiles, the import of zoo, Keras and tf-slim included.
        cpu_seconds: median of the processor time.
        peak_bytes: most memory at once above that after TensorFlow's import, the median.
        kept_bytes: memory afterwards, above the same.
    """

    model: str
    checkpoint_bytes: int
    seconds: Spread
    cpu_seconds: float
    peak_bytes: int
    kept_bytes: int

    @property
    def peak_ratio(self) -> float:
        """The peak in sizes of the checkpoint."""
        return self.peak_bytes / self.checkpoint_bytes

    @property
    def met(self) -> bool:
        return self.seconds.median <= LOAD_SECONDS and self.peak_ratio <= LOAD_MEMORY

    def to_dict(self) -> dict:
        """One flat row, for CSV and JSON."""
        return {
            "what": f"load {self.model}",
            **_rounded(self.seconds),
            "cpu_seconds": round(self.cpu_seconds, 4),
            "target_seconds": LOAD_SECONDS,
            "checkpoint_bytes": self.checkpoint_bytes,
            "peak_bytes": self.peak_bytes,
            "kept_bytes": self.kept_bytes,
            "peak_over_checkpoint": round(self.peak_ratio, 3),
            "target_peak_over_checkpoint": LOAD_MEMORY,
        }


def measure_startup(times: int = 7) -> list[Startup]:
    """Measures `import zoo`, `zoo list` and `zoo --help`, each in `times` fresh processes."""
    _check_times(times)

    probes = {
        "import zoo": _time_import,
        "zoo list": lambda: _time_command("list"),
        "zoo --help": lambda: _time_command("--help"),
    }
    rows = []
    for what, probe in probes.items():
        probe()
        seconds, cpu, imported = zip(*(probe() for _ in range(times)), strict=True)
        rows.append(
            Startup(what, Spread.of(seconds), Spread.of(cpu).median, any(imported), TARGETS[what])
        )
    return rows


def _time_import() -> tuple[float, float, bool]:
    return tuple(json.loads(_python(_IMPORT).stdout))


def _time_command(*arguments: str) -> tuple[float, float, bool]:
    start = time.perf_counter()
    done = _python(_COMMAND, arguments)
    seconds = time.perf_counter() - start
    return seconds, *json.loads(done.stderr.splitlines()[-1])


def measure_load(
    name: str,
    *,
    times: int = 3,
    progress: Callable[[int, int, str], None] | None = None,
) -> Load:
    """Loads a V2 checkpoint of random values in `times` fresh processes.

    Args:
        name: a registered name.
        times: how often it is loaded, after once that is not counted.
        progress: called as (done, total, name) after each load.

    Raises:
        UnknownModelError: no registered model has this name.
        RuntimeError: the other process failed; the message has what it wrote.
    """
    _check_times(times)
    name = registry.info(name).name
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        prefix = str(Path(folder, "random.ckpt"))
        _python(_WRITE, (name, prefix))
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        loads = []
        for done in range(times + 1):
            loads.append(json.loads(_python(_LOAD, (name, prefix)).stdout))
            if progress:
                progress(done + 1, times + 1, f"loading {name}")
    seconds, cpu, peaks, kept = zip(*loads[1:], strict=True)
    return Load(
        model=name,
        checkpoint_bytes=size,
        seconds=Spread.of(seconds),
        cpu_seconds=Spread.of(cpu).median,
        peak_bytes=int(Spread.of(peaks).median),
        kept_bytes=int(Spread.of(kept).median),
    )


def _python(code: str, arguments: Iterable[str] = ()) -> subprocess.CompletedProcess:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"A fresh Python process failed:\n{done.stderr[-4000:]}")
    return done


def _rounded(seconds: Spread) -> dict[str, float]:
    return {
        "seconds": round(seconds.median, 4),
        "seconds_low": round(seconds.low, 4),
        "seconds_high": round(seconds.high, 4),
    }


def _check_times(times: int) -> None:
    if times < 1:
        raise ArgumentError("A measurement is taken once or more.", received=f"times={times}")
