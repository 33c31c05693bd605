"""Which ways of running a network there are to be validated, and which go together.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

from zoo.errors import ArgumentError, nearest_names
from zoo.validation.results import Setting

DEVICES = ("cpu", "gpu", "tpu")
FORMS = ("shim", "native")
DTYPES = ("float32", "bfloat16", "float16")

# Backend of Keras -> modes, the default first. JAX compiles by XLA or not at all; PyTorch runs
# line by line.
MODES = {
    "tensorflow": ("function", "eager", "xla"),
    "jax": ("xla", "eager"),
    "torch": ("eager",),
}


def setting(
    *,
    form: str = "shim",
    mode: str | None = None,
    dtype: str = "float32",
    backend: str = "tensorflow",
    device: str = "cpu",
) -> Setting:
    """A setting that can be run, of arguments as `zoo.validate` takes them.

    Raises:
        ArgumentError: there is no such value, or the values do not go together.
    """
    _check("device", device, DEVICES)
    _check("form", form, FORMS)
    _check("dtype", dtype, DTYPES)
    _check("backend", backend, MODES)
    mode = MODES[backend][0] if mode is None else mode
    _check("mode", mode, MODES["tensorflow"])
    if mode not in MODES[backend]:
        raise ArgumentError(
            f"Keras's {backend} backend does not run models in this mode.",
            received=f"mode={mode!r}",
            accepted=" or ".join(f"mode={one!r}" for one in MODES[backend]),
        )
    if form == "shim" and backend != "tensorflow":
        raise ArgumentError(
            "TF1 code runs on TensorFlow alone.",
            received=f"form='shim', backend={backend!r}",
            next_step="form='native' is the same network in plain Keras, which runs on all three.",
        )
    if dtype == "float16" and device == "cpu" and backend != "tensorflow":
        raise ArgumentError(
            f"{backend} has no float16 convolutions on a CPU that are worth the time.",
            received="dtype='float16'",
            accepted="dtype='bfloat16', or device='gpu'",
        )
    if device == "tpu":
        raise ArgumentError(
            "Gradients and end points are not compared on a TPU.",
            received="device='tpu'",
            accepted="device='cpu' or 'gpu'",
            next_step="`zoo validate NAME --device tpu` compiles and, where there is a TPU, runs "
            "programs for it.",
        )
    return Setting(device=device, form=form, mode=mode, dtype=dtype, backend=backend)


def _check(name: str, value: str, accepted) -> None:
    if value not in accepted:
        raise ArgumentError(
            f"There is no such {name} to validate in.",
            received=f"{name}={value!r}",
            accepted=", ".join(map(repr, accepted)),
            nearest=nearest_names(str(value), accepted),
        )
