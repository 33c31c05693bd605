"""Rows of measurements: the names of their files, what is measured already, what is new."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from zoo.benchmarks.forms import Setting, unavailable, version_of
from zoo.errors import UnsupportedEnvironmentError

LAYOUT = "channels_last"

_SHORT = {"tensorflow": "tf"}

# What tells one measurement from another. Its rows were timed in turn, and stay together.
_MEASUREMENT = ("model", "batch_size", "work", "dtype", "device")


def result_file_name(
    kind: str,
    device: str,
    dtype: str = "float32",
    *,
    layout: str | None = None,
    packages: Sequence[str] = ("tensorflow", "keras"),
) -> str:
    """KIND-DEVICE-DTYPE-LAYOUT-VERSIONS.csv, such as
    forms-cpu-float32-channels_last-tf2.21.0-keras3.15.1.csv.

    Args:
        kind: "forms" for throughput of inference, "training" for that of training, "startup"
            for time to start and to load.
        device: "cpu", or a GPU's name, such as "NVIDIA H100 80GB HBM3": nvidia_h100.
        layout: "channels_last"; None where it is of no account.
        packages: whose versions the name carries.
    """
    parts = [kind, plain_device_name(device), dtype, *([layout] if layout else [])]
    versions = [f"{_SHORT.get(name, name)}{metadata.version(name)}" for name in packages]
    return "-".join([*parts, *versions]) + ".csv"


def plain_device_name(device: str) -> str:
    """A GPU's name without its memory and what it is mounted on: nvidia_h100."""
    name = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
    return re.sub(r"_(\d+gb|sxm\d*|pcie|hbm\d\w*)(?=_|$)", "", name)


def device_name(device: str) -> str:
    """ "cpu", or the plain name of the first GPU, as NVIDIA's driver has it.

    Raises:
        UnsupportedEnvironmentError: there is no GPU.
    """
    if device == "cpu":
        return "cpu"
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True)
        if told.returncode == 0 and told.stdout.strip():
            return plain_device_name(told.stdout.splitlines()[0])
    raise UnsupportedEnvironmentError(
        "There is no GPU to measure on: nvidia-smi names none.",
        accepted="cpu",
        next_step="on a machine with one, install a driver and builds of TensorFlow, JAX or "
        "PyTorch for it.",
    )


def is_measured(
    rows: Iterable[Mapping[str, object]],
    setting: Setting,
    batch: int,
    forms: Iterable[str],
    rounds: int,
    device: str,
) -> bool:
    """Whether the rows have all these forms of a network at this batch size: measured in this
    setting, in as many rounds, by the versions that are installed."""
    wanted = {
        "model": setting.model,
        "batch_size": batch,
        "work": setting.work,
        "dtype": setting.dtype,
        "device": device,
        "threads": setting.threads,
        "rounds": rounds,
    }
    there = {
        row["form"]: row
        for row in rows
        if all(row.get(column) == value for column, value in wanted.items())
    }
    return all(form in there and _is_current(there[form], setting) for form in forms)


def _is_current(row: Mapping[str, object], setting: Setting) -> bool:
    form, reason = row["form"], row.get("skipped")
    if reason:
        now = unavailable(form, setting)
        return reason == now or (now is None and not str(reason).endswith("not installed"))
    return str(row.get("runtime")).split(",")[0] == version_of(form)


def merged(
    old: Iterable[Mapping[str, object]], new: Iterable[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """The new rows, after the old ones of what the new ones do not measure anew."""
    new = list(new)
    measured = {_measurement(row) for row in new}
    return [row for row in old if _measurement(row) not in measured] + new


def _measurement(row: Mapping[str, object]) -> tuple:
    return tuple(row.get(column) for column in _MEASUREMENT)
