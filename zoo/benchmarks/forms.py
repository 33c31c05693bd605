"""The forms of a network that can be timed: those that zoo gives it, and those of its peers.

A form is a row of the table below. How each is made is in the file named after its process:
tensorflow_forms.py, backend_forms.py and peer_forms.py.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

from zoo import registry
from zoo.benchmarks.twins import find_twin, timm_twin
from zoo.errors import ArgumentError, nearest_names

WORKS = ("inference", "training")
DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("cpu", "gpu")


@dataclass(frozen=True)
class Setting:
    """How a network is run.

    Attributes:
        model: registered name.
        work: "inference", or "training": a step of gradient descent, moving averages included.
        dtype: of the computation; variables stay float32, as under Keras's mixed policies.
        device: "cpu" or "gpu".
        threads: of each process, on the CPU.
    """

    model: str
    work: str = "inference"
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 1

    @property
    def trains(self) -> bool:
        return self.work == "training"

    @property
    def policy(self) -> str:
        """Keras's name of it."""
        return self.dtype if self.dtype == "float32" else f"mixed_{self.dtype}"


@dataclass(frozen=True)
class Form:
    """One way to run a network.

    Attributes:
        worker: the process that it runs in; forms of one backend share theirs.
        mode: "session", "eager", "predict", "function" (tf.function), "xla" (jitted), or
            "compiled" (by torch.compile, ONNX Runtime or OpenVINO).
        what: it is, in words.
        file: what the process is given, as the TensorFlow process writes it; "" for nothing.
        package: what runs it, as pip names it.
        needs: other Python modules, none of which zoo's own installation brings.
        works, dtypes, devices: what it can do.
        is_peer: somebody else's.
    """

    worker: str
    mode: str
    what: str
    file: str = ""
    package: str = "tensorflow"
    needs: tuple[str, ...] = ()
    works: tuple[str, ...] = WORKS
    dtypes: tuple[str, ...] = DTYPES
    devices: tuple[str, ...] = DEVICES
    is_peer: bool = False


_INFERENCE = ("inference",)
_FLOAT32 = ("float32",)


def _tensorflow(mode: str, what: str, **rest) -> Form:
    return Form("tensorflow", mode, what, **rest)


def _on(backend: str, mode: str, what: str, file: str, **rest) -> Form:
    return Form(backend, mode, what, file, package=backend, **rest)


def _peer(worker: str, mode: str, what: str, **rest) -> Form:
    return Form(worker, mode, what, is_peer=True, **{"package": worker, **rest})


_FOLDED = {"works": _INFERENCE}
_OPENVINO = {"works": _INFERENCE, "dtypes": _FLOAT32, "devices": ("cpu",)}

# In this order within a round.
FORMS: dict[str, Form] = {
    "session": _tensorflow("session", "the TF1 function in a Session", dtypes=_FLOAT32),
    "shim": _tensorflow("function", "the loaded model in a tf.function"),
    "shim eager": _tensorflow("eager", "the loaded model, called"),
    "shim predict": _tensorflow("predict", "its predict_on_batch", works=_INFERENCE),
    "shim xla": _tensorflow("xla", "the loaded model, compiled by XLA"),
    "native": _tensorflow("function", "zoo.to_native in a tf.function"),
    "native eager": _tensorflow("eager", "zoo.to_native, called"),
    "native xla": _tensorflow("xla", "zoo.to_native, compiled by XLA"),
    "folded": _tensorflow("function", "with batch norm folded, in a tf.function", **_FOLDED),
    "folded xla": _tensorflow("xla", "folded, compiled by XLA", **_FOLDED),
    "frozen": _tensorflow("function", "folded, with its weights as constants", **_FOLDED),
    "jax native": _on("jax", "xla", "zoo.to_native on JAX, jitted", "native.keras"),
    "jax folded": _on("jax", "xla", "folded, on JAX, jitted", "folded.keras", **_FOLDED),
    "torch native": _on("torch", "compiled", "zoo.to_native on PyTorch", "native.keras"),
    "torch native eager": _on("torch", "eager", "the same, not compiled", "native.keras"),
    "torch folded": _on("torch", "compiled", "folded, on PyTorch", "folded.keras", **_FOLDED),
    "openvino folded": _on(
        "openvino", "compiled", "folded, on Keras's OpenVINO backend", "folded.keras", **_OPENVINO
    ),
    "openvino exported": _on(
        "openvino", "compiled", "folded, as Keras exports it", "folded.xml", **_OPENVINO
    ),
    "keras": _peer("keras", "function", "the twin in keras.applications"),
    "onnxruntime": _peer(
        "onnxruntime", "compiled", "the TF1 graph in ONNX Runtime",
        file="tf1.onnx", needs=("tf2onnx",), works=_INFERENCE, dtypes=_FLOAT32,
    ),
    "timm": _peer("timm", "eager", "timm's twin, channels last", needs=("torch",)),
    "timm compiled": _peer("timm", "compiled", "timm's twin, compiled", needs=("torch",)),
}  # fmt: skip

# What every other form's output is held against; always prepared, and timed where it can be.
REFERENCE = "session"

# What is timed if nothing is asked for: the ways of one process that most people have.
USUAL = ("session", "shim", "shim eager", "shim predict", "keras")


def choose(
    forms: Iterable[str] = (), backends: Iterable[str] = (), modes: Iterable[str] = ()
) -> list[str]:
    """Names of the forms that are meant, in the table's order; all if nothing is given.

    Args:
        forms: names in `FORMS`.
        backends: names of the processes, such as "jax" or "timm".
        modes: such as "eager".

    Raises:
        ArgumentError: an unknown name, or names that no form has together.
    """
    asked = {
        "form": (list(forms), list(FORMS)),
        "backend": (list(backends), _distinct(form.worker for form in FORMS.values())),
        "mode": (list(modes), _distinct(form.mode for form in FORMS.values())),
    }
    for kind, (given, known) in asked.items():
        for name in given:
            if name not in known:
                raise ArgumentError(
                    f"There is no such {kind} to measure.",
                    received=name,
                    accepted=", ".join(known),
                    nearest=nearest_names(name, known),
                )
    given_forms, given_backends, given_modes = (given for given, _ in asked.values())
    chosen = [
        name
        for name, form in FORMS.items()
        if (not given_forms or name in given_forms)
        and (not given_backends or form.worker in given_backends)
        and (not given_modes or form.mode in given_modes)
    ]
    if not chosen:
        having = [
            name
            for name, form in FORMS.items()
            if form.worker in given_backends or form.mode in given_modes
        ]
        raise ArgumentError(
            "No form has all of these together.",
            received=", ".join([*given_forms, *given_backends, *given_modes]),
            nearest=having,
        )
    return chosen


def check_setting(setting: Setting, forms: Sequence[str]) -> None:
    """Raises ArgumentError where none of the forms does this work, in this dtype, there."""
    for what, asked, known in (
        ("work", setting.work, WORKS),
        ("dtype", setting.dtype, DTYPES),
        ("device", setting.device, DEVICES),
    ):
        if asked not in known:
            raise ArgumentError(
                f"There is no such {what} to measure.",
                received=asked,
                accepted=", ".join(known),
                nearest=nearest_names(asked, known),
            )
    reasons = {form: cannot(form, setting) for form in forms}
    if all(reasons.values()):
        able = [form for form in FORMS if not cannot(form, setting)]
        raise ArgumentError(
            "None of these forms can be measured so.",
            received="; ".join(f"{form}: {reason}" for form, reason in reasons.items()),
            accepted=", ".join(able),
        )


def cannot(name: str, setting: Setting) -> str | None:
    """Why a form does not do this work, in this dtype, on this device; None if it does."""
    form = FORMS[name]
    for asked, able in (
        (setting.work, form.works),
        (setting.dtype, form.dtypes),
        (setting.device, form.devices),
    ):
        if asked not in able:
            return f"no {asked}: {', '.join(able)} alone"
    return None


def unavailable(name: str, setting: Setting) -> str | None:
    """Why a form cannot be measured here and for this network; None if it can, so far as one
    sees without starting it."""
    form, spec = FORMS[name], registry.info(setting.model)
    if reason := cannot(name, setting):
        return reason
    missing = [module for module in (form.package, *form.needs) if not _is_installed(module)]
    if missing:
        return f"{', '.join(missing)} not installed"
    if form.worker == "timm" and timm_twin(spec) is None:
        return "timm has no twin of it"
    if form.worker == "keras" and find_twin(spec) is None:
        return "keras.applications has no twin of it"
    return None


def version_of(name: str) -> str | None:
    """What runs a form, and which: "tensorflow 2.21.0"; None if it is not installed."""
    package = FORMS[name].package
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return None


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
