"""What TensorFlow 1.15.5 computed of the original code, as it was recorded.

In a checkout the files are those of tests/goldens, whose README.md files describe them; an
installed zoo carries them beside this file. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Of each end point and each gradient so many values were kept.
_SAMPLES = 64

# As tools/record_preprocessing.py has them: seed, height and width of a photo of noise, and which
# of the flattened output's values were kept.
_PHOTOS = ((1, 331, 500), (2, 97, 64), (3, 300, 300), (4, 257, 225), (5, 1, 3))
_STRIDES = {"inception": 307, "vgg": 307, "cifarnet": 7, "lenet": 7}


def folder() -> Path:
    """Where the recorded values are."""
    inside = Path(__file__).parent / "goldens"
    return inside if inside.exists() else Path(__file__).parents[2] / "tests" / "goldens"


def variables(golden: str) -> dict | None:
    """What a network consists of: variables, end points, regularization loss; None if that was
    not recorded."""
    path = folder() / "variables" / f"{golden}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else None


def outputs(golden: str) -> dict[str, np.ndarray] | None:
    """What a network computes with the recipe's weights and images: `logits`, and of each end
    point (`ep_names`) mean, standard deviation and samples; None if that was not recorded."""
    return _arrays(folder() / "outputs" / f"{golden}.npz")


def training_steps(golden: str) -> tuple[dict, dict[str, np.ndarray]] | None:
    """Three steps of gradient descent from the recipe's weights: (`input_shape`, `labels`,
    `learning_rate`, ...), and arrays; None if they were not recorded."""
    found = _arrays(folder() / "training_steps" / f"{golden}.npz")
    return None if found is None else (json.loads(str(found.pop("case"))), found)


def _arrays(path: Path) -> dict[str, np.ndarray] | None:
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def samples(array: np.ndarray) -> np.ndarray:
    """The values of an array that the recordings kept."""
    places = np.random.RandomState(1).choice(array.size, _SAMPLES)
    return np.asarray(array).ravel()[places]


@dataclass(frozen=True)
class Preprocessed:
    """A photo, and what the original preprocessing made of it.

    Attributes:
        photo: uint8 array of shape (height, width, channels).
        size: height and width of the output, pixels.
        values: every `stride`-th value of the flattened output.
    """

    name: str
    photo: np.ndarray
    size: tuple[int, int]
    values: np.ndarray
    stride: int


def preprocessed(kind: str) -> Iterator[Preprocessed]:
    """What was recorded of one kind of preprocessing."""
    path = folder() / "preprocessing.npz"
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            parts = name.split("_")
            if len(parts) != 3 or parts[0] != kind or not parts[2].startswith("photo"):
                continue
            height, width = map(int, parts[1].split("x"))
            shape = next(s for s in _PHOTOS if s[0] == int(parts[2].removeprefix("photo")))
            photo = _photo(*shape, channels=1 if kind == "lenet" else 3)
            yield Preprocessed(name, photo, (height, width), file[name], _STRIDES[kind])


def _photo(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    shape = (height, width, channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
