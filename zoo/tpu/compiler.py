"""The TPU's own compiler, without a TPU: libtpu through JAX.

Every interface that is not JAX's stable one is in this file: `jax.experimental.topologies`, and
what libtpu wants of the environment. It was seen to work with jax 0.10.2 and libtpu 0.0.52, which
the extra `tpu` of zoo's package pins.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from zoo.errors import UnsupportedEnvironmentError
from zoo.tpu.chips import Chip

# What a machine with four chips would say of itself. Without it libtpu asks for a metadata server.
# It must be there before libtpu is loaded, and so when a process starts.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "TPU_HOST_BOUNDS": "1,1,1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def check_installed() -> None:
    """Raises UnsupportedEnvironmentError where JAX or libtpu is not installed."""
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedEnvironmentError(
            "Compiling for TPUs takes JAX and libtpu, the TPU's compiler.",
            received=f"{' and '.join(missing)} not installed",
            next_step="on Linux, x86-64: `pip install jax==0.10.2 libtpu==0.0.52`, or zoo's extra "
            "`tpu`.",
        )


def devices(chip: Chip, chips: int) -> Sequence[Any]:
    """Devices to compile for; there are none of them here.

    Raises:
        UnsupportedEnvironmentError: libtpu is not there, or does not know the chip.
    """
    check_installed()
    from jax.experimental import topologies

    topology = chip.topology(chips)
    try:
        found = topologies.get_topology_desc(topology, platform="tpu", **chip.options)
    except Exception as error:  # RuntimeError, and what of JAX's own is not public
        raise UnsupportedEnvironmentError(
            f"The TPU's compiler does not start for {chip.name}.",
            received=f"topology {topology}: {short(error)}",
            next_step="`pip install jax==0.10.2 libtpu==0.0.52` has what was seen to work.",
        ) from error
    return found.devices[:chips]


def short(error: Exception) -> str:
    """What an error of the compiler says, without the dump of the program that follows."""
    text = " ".join(str(error).split("\n\n")[0].split())
    return text if len(text) <= 400 else f"{text[:397]}..."
