"""A network that was trained on ImageNet in TensorFlow 1 learns to tell surfaces apart.

    python examples/finetune.py          # a few minutes on two cores

The pictures are scikit-image's samples (`pip install scikit-image`; its data/README.txt has their
sources): bricks, grass, gravel, coins, stars, tissue and the moon, in grey, cut into patches, few
of each. The left halves are trained with and the right halves are tested with, so that no pixel is
in both. Then the same network learns the same from random values, for as long, to see what
ImageNet was worth.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from PIL import Image
from skimage import data

import zoo

NAME = "mobilenet_v1_1.0_224"
SURFACES = {
    "brick": data.brick,
    "coins": data.coins,
    "grass": data.grass,
    "gravel": data.gravel,
    "moon": data.moon,
    "stars": data.hubble_deep_field,
    "tissue": data.immunohistochemistry,
}
PATCH = 64  # pixels


def patches(side: str, count: int, seed: int) -> tf.data.Dataset:
    """(patch, class) out of the left or right halves, `count` of each surface."""
    random = np.random.RandomState(seed)
    images, labels = [], []
    for label, load in enumerate(SURFACES.values()):
        picture = np.asarray(Image.fromarray(load()).convert("L"))[..., np.newaxis]
        middle = picture.shape[1] // 2
        half = picture[:, :middle] if side == "left" else picture[:, middle:]
        for _ in range(count):
            top, left = (random.randint(0, size - PATCH + 1) for size in half.shape[:2])
            images.append(half[top : top + PATCH, left : left + PATCH])
            labels.append(label)
    return tf.data.Dataset.from_tensor_slices((np.stack(images), labels))


def main(count: int = 16, epochs: int = 3, size: int = 128) -> tuple[float, float]:
    """Accuracy on the right halves, from 0 to 1: pretrained, and from random values."""
    train, test = patches("left", count, seed=0), patches("right", 24, seed=1)
    options = {
        "validation": test,
        "class_names": list(SURFACES),
        "epochs": epochs,
        "batch_size": 16,
        "learning_rate": 1e-4,
        "head_learning_rate": 5e-3,
        "augmentation": None,
        "input_shape": (size, size, 3),
    }
    with tempfile.TemporaryDirectory() as folder:
        print(f"Fine-tuning {NAME} on {len(SURFACES) * count} patches ...")
        pretrained = zoo.finetune(NAME, train, folder=Path(folder, "pretrained"), **options)
        print(f"\n{pretrained}\nThe same network from random values ...")
        # It has nothing to lose: a higher rate suits it, and batch norm that is quick to follow.
        options |= {"weights": None, "learning_rate": 3e-4}
        options |= {"batch_norm": "live", "batch_norm_decay": 0.5}
        random = zoo.finetune(NAME, train, folder=Path(folder, "random"), **options)
    print(f"\nRight of {7 * 24} patches, on a chance of {1 / len(SURFACES):.0%}:")
    print(f"  pretrained          {pretrained.best['value']:.1%}")
    print(f"  from random values  {random.best['value']:.1%}")
    return pretrained.best["value"], random.best["value"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=16, help="patches of each surface")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=128, help="of the network's input, in pixels")
    main(**vars(parser.parse_args()))
