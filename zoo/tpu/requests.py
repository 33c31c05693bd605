"""What is to be compiled, and what it is known by in results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from importlib import metadata

from zoo import registry
from zoo.errors import ArgumentError
from zoo.tpu.chips import chip

FORMS = ("shim", "native")
STEPS = ("inference", "training")
DTYPES = ("bfloat16", "float32")

# What has a part in what the compiler makes of a request, and in what it says of it.
_PACKAGES = ("jax", "libtpu", "tensorflow", "keras")


@dataclasses.dataclass(frozen=True)
class Request:
    """One program to compile.

    Attributes:
        model: registered name.
        form: "shim", the TF1 code's own graph as StableHLO, or "native", `zoo.to_native` on JAX.
        step: "inference" or "training", a step of gradient descent.
        dtype: of images and activations; variables are float32.
        chip: kind of chip, a name in `CHIPS`.
        chips: how many; the batch is divided among them.
        batch: images in a batch, of all chips together.

    Raises:
        ArgumentError: an attribute is not one of these.
        UnknownModelError: no registered model has this name.
    """

    model: str
    form: str = "shim"
    step: str = "inference"
    dtype: str = "bfloat16"
    chip: str = "v5e"
    chips: int = 1
    batch: int = 64

    def __post_init__(self) -> None:
        for name, accepted in (("form", FORMS), ("step", STEPS), ("dtype", DTYPES)):
            if getattr(self, name) not in accepted:
                raise ArgumentError(
                    f"{name} is one of {', '.join(accepted)}.",
                    received=f"{name}={getattr(self, name)!r}",
                )
        object.__setattr__(self, "model", registry.info(self.model).name)
        chip(self.chip).topology(self.chips)
        if self.batch < 1 or self.batch % self.chips:
            raise ArgumentError(
                "The batch is divided among the chips, in equal parts of at least one image.",
                received=f"batch={self.batch}, chips={self.chips}",
            )

    @property
    def program(self) -> tuple:
        """What is compiled, whatever for: requests that agree in it share an export."""
        return (self.model, self.form, self.step, self.dtype, self.batch)


def combinations(
    names: Iterable[str],
    *,
    chip: Iterable[str] = ("v5e",),
    dtype: Iterable[str] = ("bfloat16",),
    step: Iterable[str] = ("inference",),
    form: Iterable[str] = ("shim",),
    chips: int = 1,
    batch: int = 64,
) -> Iterator[Request]:
    """Every combination; those that share an export follow each other."""
    for name in names:
        for one_form in form:
            for one_step in step:
                for one_dtype in dtype:
                    for one_chip in chip:
                        yield Request(name, one_form, one_step, one_dtype, one_chip, chips, batch)


def every_model() -> list[str]:
    """All registered names, the ones with the least work first."""
    specs = [registry.info(name) for name in registry.list_models()]
    specs.sort(key=lambda spec: (spec.parameters or 0) + 100 * spec.input_size**2)
    return [spec.name for spec in specs]


def versions() -> dict[str, str]:
    """Package -> version, "" where it is not installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ""
    return found
