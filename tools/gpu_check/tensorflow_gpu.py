"""TensorFlow's own build for GPUs, where it is installed: `zoo validate` and `zoo bench` on it.

`python -m gpu_check.tensorflow_gpu BUNDLE OUT [--cpu]`, which ../gpu_check.sh runs after the rest.
The bundle says which networks; their weights follow from names here too.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gpu_check.bundle import Bundle

_COUNT = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
# Of each command.
_SECONDS = 600


def main(folder: str, out: str, *options: str) -> int:
    if "--cpu" in options or not _sees_a_gpu():
        return 0
    status = 0
    for arguments in _commands(Bundle.read(Path(folder)), out):
        print("zoo", *arguments, flush=True)
        try:
            done = subprocess.run([sys.executable, "-m", "zoo", *arguments], timeout=_SECONDS)
            status = status or done.returncode
        except subprocess.TimeoutExpired:
            print(f"took more than {_SECONDS} seconds: ended", flush=True)
    return status


def _sees_a_gpu() -> bool:
    if importlib.util.find_spec("tensorflow") is None:
        return False
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True)
    seen = done.returncode == 0 and int(done.stdout.split()[-1]) > 0
    if not seen:
        print("TensorFlow is installed and sees no GPU", flush=True)
    return seen


def _commands(bundle: Bundle, out: str) -> Iterator[list[str]]:
    yield ["validate", *bundle.by_name, "--device", "gpu", "--out", out]
    timed = [network.name for network in bundle.networks if network.timed]
    inference = ",".join(map(str, bundle.batches))
    for dtype in ("float32", "bfloat16"):
        common = ["bench", *timed, "--device", "gpu", "--dtype", dtype, "--csv", out]
        common += ["--backend", "tensorflow"]
        yield [*common, "--batch", inference]
        yield [*common, "--batch", str(bundle.training_batch), "--training"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
