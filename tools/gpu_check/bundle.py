"""What a bundle holds: networks without their weights, which follow from the names of variables.

bundle.json             what made it, batch sizes, and a description of each network
wheels/                 Keras and what it needs
zoo/                    the package
networks/NAME/native.json.gz      the native form's Keras configuration
              weights.json.gz     its weight map
              constants.npz       values of the TF1 graph that no variable has
              recorded.npz        TensorFlow 1.15.5's logits
              TASK-DTYPE-BATCH.stablehlo (.json)    the TF1 code's own graph
"""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpu_check.roofline import Work
from zoo.programs import StableHLO

INFERENCE, TRAINING = "inference", "training"
# float32 as TensorFlow has it on a CPU, for equivalence; float32 with TF32 allowed in products,
# for speed; bfloat16.
EXACT, TF32, BFLOAT16 = "float32", "tf32", "bfloat16"


class NativeFiles:
    """The native form of a network without its weights.

    Attributes:
        folder: its files.
    """

    folder: Path

    @property
    def config(self) -> dict:
        """Of `keras.Model.to_json`."""
        return _unpacked(self.folder / "native.json.gz")

    @property
    def weight_map(self) -> dict:
        """Of `zoo.native.WeightMap.to_json`."""
        return _unpacked(self.folder / "weights.json.gz")

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """ "layer/weight" -> value."""
        return dict(np.load(self.folder / "constants.npz", allow_pickle=False))


@dataclass(frozen=True)
class TrainingCase(NativeFiles):
    """Three steps of gradient descent that TensorFlow 1.15.5 recorded of a network.

    Attributes:
        folder: its files.
    """

    folder: Path

    @functools.cached_property
    def recorded(self) -> dict[str, np.ndarray]:
        """The arrays that tools/record_goldens.py describes."""
        return dict(np.load(self.folder / "recorded.npz", allow_pickle=False))

    @property
    def case(self) -> dict:
        """input_shape, labels, learning_rate and what else was given."""
        return json.loads(str(self.recorded["case"]))

    def program(self) -> StableHLO:
        return StableHLO.read(self.folder / "step.stablehlo")


@dataclass(frozen=True)
class Network(NativeFiles):
    """One network of a bundle.

    Attributes:
        folder: its files.
        name: as registered.
        golden: what its recorded values are called.
        image_shape: without the batch.
        recorded_batch: images in the batch that was recorded.
        classes: of its logits.
        work: of each layer that multiplies, for one image.
        timm: arguments of `timm.create_model` for its twin; None without one.
        timed: whether its speed is measured.
        left_out: files of programs that could not be made, and why.
    """

    folder: Path
    name: str
    golden: str
    image_shape: tuple[int, ...]
    recorded_batch: int
    classes: int
    work: tuple[Work, ...]
    timm: dict | None
    timed: bool
    left_out: dict[str, str]

    @property
    def recorded_logits(self) -> np.ndarray:
        return np.load(self.folder / "recorded.npz", allow_pickle=False)["logits"]

    @property
    def training(self) -> TrainingCase | None:
        """None where no steps were recorded."""
        folder = self.folder / "training"
        return TrainingCase(folder) if folder.exists() else None

    def program(self, task: str, dtype: str, batch: int) -> StableHLO:
        """The TF1 code's graph.

        Raises:
            LookupError: the bundle does not have this one.
        """
        file = program_file(task, dtype, batch)
        path = self.folder / file
        if not path.exists():
            raise LookupError(f"not in the bundle: {self.left_out.get(file, file)}")
        return StableHLO.read(path)


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder.

    Attributes:
        made_by: versions of what made it.
        batches: of inference.
        training_batch: of training steps.
        networks: the one with the least work first.
    """

    made_by: dict[str, str]
    batches: tuple[int, ...]
    training_batch: int
    networks: tuple[Network, ...]

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        facts = json.loads((folder / "bundle.json").read_text())
        networks = [
            Network(
                folder=folder / "networks" / one["name"],
                **{
                    **one,
                    "image_shape": tuple(one["image_shape"]),
                    "work": tuple(Work(*layer) for layer in one["work"]),
                },
            )
            for one in facts["networks"]
        ]
        networks.sort(key=lambda network: sum(layer.operations for layer in network.work))
        return cls(
            made_by=facts["made_by"],
            batches=tuple(facts["batches"]),
            training_batch=facts["training_batch"],
            networks=tuple(networks),
        )

    @functools.cached_property
    def by_name(self) -> dict[str, Network]:
        return {network.name: network for network in self.networks}


def program_file(task: str, dtype: str, batch: int) -> str:
    return f"{task}-{dtype}-{batch}.stablehlo"


def _unpacked(path: Path) -> dict:
    return json.loads(gzip.decompress(path.read_bytes()))
