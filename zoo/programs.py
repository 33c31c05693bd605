"""A model's graph as a StableHLO program with named inputs and outputs; needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

from zoo.errors import ArgumentError, CheckpointFormatError, CheckpointNotFoundError, nearest_names


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a program.

    Attributes:
        name: "images", "labels", the TF1 name of a variable, or what the model's output is called.
        shape: of all dimensions.
        dtype: as in NumPy, and "bfloat16".
        is_variable: whether it is a variable's value.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_variable: bool = False


@dataclasses.dataclass(frozen=True)
class StableHLO:
    """A model's graph as a program without state.

    Attributes:
        module: StableHLO's portable artifact.
        model: the model's name.
        training: whether it is a training step.
        inputs: in order: images, for a training step labels, then variables.
        outputs: in order: what inference gives, or the loss, and then new values of variables.
        learning_rate: that of the training step.
    """

    module: bytes = dataclasses.field(repr=False)
    model: str
    training: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    learning_rate: float | None = None

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """The inputs that are variables."""
        return tuple(tensor for tensor in self.inputs if tensor.is_variable)

    @property
    def text(self) -> str:
        """The program as text. Needs JAX."""
        return _exported(self).mlir_module()

    def manifest(self) -> dict:
        """All but the module, as plain data."""
        given = {**vars(self)}
        del given["module"]
        for part in ("inputs", "outputs"):
            given[part] = [dataclasses.asdict(tensor) for tensor in given[part]]
        return {"format": _FORMAT, **given}

    def write(self, file: str | os.PathLike) -> list[Path]:
        """Writes the module, and beside it FILE.json, the manifest; gives the paths of the two."""
        from zoo.atomic import replacing

        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        manifest = file.with_name(f"{file.name}.json")
        with replacing(manifest, file) as (described, module):
            described.write_text(json.dumps(self.manifest(), indent=1) + "\n")
            module.write_bytes(self.module)
        return [file, manifest]

    @classmethod
    def read(cls, file: str | os.PathLike) -> StableHLO:
        """The program in a file that `write` wrote, with FILE.json beside it.

        Raises:
            CheckpointNotFoundError, CheckpointFormatError: a file is not there, or is another.
        """
        file = Path(file)
        try:
            module = file.read_bytes()
            manifest = json.loads(file.with_name(f"{file.name}.json").read_text())
        except FileNotFoundError as error:
            raise CheckpointNotFoundError(f"There is no file {error.filename}.") from error
        except ValueError as error:
            raise CheckpointFormatError(f"{file}.json is no manifest of a program.") from error
        if not isinstance(manifest, dict) or manifest.pop("format", None) != _FORMAT:
            raise CheckpointFormatError(f"{file}.json is no manifest of a program.")
        for part in ("inputs", "outputs"):
            manifest[part] = tuple(
                Tensor(**{**tensor, "shape": tuple(tensor["shape"])}) for tensor in manifest[part]
            )
        return cls(module=module, **manifest)

    def in_jax(self) -> Callable:
        """The program as a function for `jax.jit`, on whatever device it is compiled for.

        Returns:
            For inference `(images, variables) -> {name: output}`, for a training step
            `(images, labels, variables) -> (loss, variables)`; `variables` is a dict by TF1 names
            and what comes back has the same names, so a loop may donate it.

        Raises:
            ImportError: JAX is not installed.
        """
        exported = _exported(self)
        new = [tensor.name for tensor in self.outputs if tensor.is_variable]

        def flat(variables: dict) -> list:
            missing = [tensor.name for tensor in self.variables if tensor.name not in variables]
            if missing:
                raise ArgumentError(
                    "The program takes variables that are not given.",
                    received=f"{len(variables)} variables, without {', '.join(missing[:4])}",
                    nearest=nearest_names(missing[0], variables),
                )
            return [variables[tensor.name] for tensor in self.variables]

        def infer(images, variables):
            results = exported.call(images, *flat(variables))
            return {t.name: result for t, result in zip(self.outputs, results, strict=True)}

        def train(images, labels, variables):
            loss, *values = exported.call(images, labels, *flat(variables))
            return loss, {**variables, **dict(zip(new, values, strict=True))}

        return train if self.training else infer


_FORMAT = "zoo-stablehlo-1"


def _exported(program: StableHLO):
    """The program as a `jax.export.Exported`.

    JAX makes one of a function of its own; here of one that has the program's inputs and outputs,
    and the program takes its place.
    """
    import jax
    import jax.numpy as jnp

    def stand_in(*_):
        return tuple(jnp.zeros(tensor.shape, tensor.dtype) for tensor in program.outputs)

    specs = [jax.ShapeDtypeStruct(tensor.shape, tensor.dtype) for tensor in program.inputs]
    # It was made for no device in particular.
    anywhere = [jax.export.DisabledSafetyCheck.platform()]
    made = jax.export.export(jax.jit(stand_in, keep_unused=True), disabled_checks=anywhere)(*specs)
    return dataclasses.replace(made, mlir_module_serialized=program.module)
