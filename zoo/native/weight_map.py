"""`WeightMap`: which TF1 variable each weight of a native model is."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from zoo.errors import ArgumentError, ConversionError, nearest_names
from zoo.native.nodes import Node, Variable


@dataclasses.dataclass(frozen=True)
class Entry:
    """One weight of a native model.

    Attributes:
        layer: the Keras layer's name.
        weight: the weight's name in the layer, such as "kernel".
        shape: of the weight.
        tf1: TF1 names of the variables that it is made of: one, if it is that variable.
        how: "same" for the same numbers in the same order; "folded" where a batch
            normalization went into it, or a kernel became a matrix; "constant" where no variable
            did.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    tf1: tuple[str, ...]
    how: str = "same"

    @property
    def path(self) -> str:
        return f"{self.layer}/{self.weight}"


class WeightMap(Sequence[Entry]):
    """TF1 names and the weights of a native model, each way.

    A sequence of `Entry`, in the order of the model's layers.

    Attributes:
        model: the registered name of the network, if it has one.
        left_out: TF1 names of variables that the native model does without.

    Example:
        >>> native = zoo.to_native(model)
        >>> native.weight_map.tf1_name("InceptionV3-Conv2d_1a_3x3", "kernel")
        'InceptionV3/Conv2d_1a_3x3/weights'
    """

    def __init__(
        self, entries: Sequence[Entry], left_out: Sequence[str] = (), model: str | None = None
    ) -> None:
        self._entries = tuple(entries)
        self.left_out = tuple(left_out)
        self.model = model

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):
        return self._entries[index]

    def __repr__(self) -> str:
        return f"WeightMap({self.model or 'network'}: {len(self)} weights)"

    def tf1_name(self, layer: str, weight: str) -> str:
        """The TF1 name of a weight that is one TF1 variable.

        Raises:
            ArgumentError: the model has no such weight, or it is made of several variables.
        """
        paths = {entry.path: entry for entry in self}
        path = f"{layer}/{weight}"
        if path not in paths:
            raise ArgumentError(
                "The native model has no weight of this name.",
                received=path,
                nearest=nearest_names(path, paths),
            )
        self._check_invertible([paths[path]])
        return paths[path].tf1[0]

    def native_path(self, tf1_name: str) -> tuple[str, str]:
        """(layer, weight) that a TF1 variable is.

        Raises:
            ArgumentError: the native model has no weight that is this variable.
        """
        for entry in self:
            if tf1_name in entry.tf1:
                return entry.layer, entry.weight
        known = [name for entry in self for name in entry.tf1]
        raise ArgumentError(
            "No weight of the native model is this TF1 variable.",
            received=tf1_name,
            nearest=nearest_names(tf1_name, known),
        )

    def tf1_arrays(self, native: keras.Model) -> Iterator[tuple[str, np.ndarray]]:
        """The native model's weights under their TF1 names, one at a time.

        Raises:
            ConversionError: weights were folded.
        """
        self._check_invertible(entry for entry in self if entry.how != "constant")
        weights = weights_of(native)
        for entry in self:
            if entry.how == "same":
                yield entry.tf1[0], keras.ops.convert_to_numpy(weights[entry.path])

    def _check_invertible(self, entries) -> None:
        for entry in entries:
            if entry.how != "same":
                raise ConversionError(
                    f"Weight {entry.path} is not one TF1 variable as it was."
                    if entry.how == "folded"
                    else f"Weight {entry.path} is a constant of the TF1 graph.",
                    received=", ".join(entry.tf1) or "no variable",
                    next_step="use the model of zoo.to_native without fold_batch_norm.",
                )

    def to_json(self) -> str:
        """The map as JSON: {"model", "weights": [{"tf1", "layer", "weight", "shape", "how"}],
        "left_out"}."""
        weights = [
            {
                "tf1": list(entry.tf1),
                "layer": entry.layer,
                "weight": entry.weight,
                "shape": list(entry.shape),
                "how": entry.how,
            }
            for entry in self
        ]
        facts = {"model": self.model, "weights": weights, "left_out": list(self.left_out)}
        return json.dumps(facts, indent=1)

    @classmethod
    def from_json(cls, text: str) -> WeightMap:
        """The map that `to_json` wrote.

        Raises:
            ArgumentError: the text is no such map.
        """
        try:
            facts = json.loads(text)
            entries = [
                Entry(
                    str(one["layer"]),
                    str(one["weight"]),
                    tuple(int(side) for side in one["shape"]),
                    tuple(str(name) for name in one["tf1"]),
                    str(one["how"]),
                )
                for one in facts["weights"]
            ]
            return cls(entries, [str(name) for name in facts["left_out"]], facts["model"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArgumentError(
                "This is no weight map.",
                received=f"{type(error).__name__}: {error}",
                accepted="JSON as WeightMap.to_json and `zoo map NAME --json` write it",
            ) from error

    def save(self, path: str | os.PathLike) -> None:
        """Writes `to_json()` to a file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | os.PathLike) -> WeightMap:
        """The map in a file that `save` wrote."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


def entry_of(layer: keras.layers.Layer, name: str, weight) -> Entry:
    """The entry of a weight of a node that became `layer`."""
    how = "same" if isinstance(weight, Variable) else "folded" if weight.names else "constant"
    shape = tuple(getattr(layer, name).shape)
    return Entry(layer.name, name, shape, tuple(weight.names), how)


def unused(nodes: Sequence[Node], names: Mapping[str, object]) -> list[str]:
    """TF1 names that no node has a weight of."""
    used = {name for node in nodes for name in node.names}
    return [name for name in names if name not in used]


def weights_of(native: keras.Model) -> dict[str, keras.Variable]:
    """ "layer/weight" -> variable, of every layer, also those inside nested models."""
    return {
        f"{layer.name}/{weight.name}": weight
        for layer in native._flatten_layers(include_self=False)
        for weight in layer._trainable_variables + layer._non_trainable_variables
    }
