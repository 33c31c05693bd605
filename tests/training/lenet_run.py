"""One fine-tuning of LeNet, which one device or several workers are to do alike.

LeNet has no batch norm, and keeps all in dropout here: those two a replica does by itself.
"""

from pathlib import Path

import numpy as np
from PIL import Image

OPTIONS = {
    "dropout_keep_prob": 1.0,
    "validation": 0.25,
    "head_epochs": 1,
    "epochs": 2,
    "batch_size": 6,
    "optimizer": "momentum",
    "schedule": "cosine",
    "learning_rate": 0.01,
    "moving_average": 0.9,
    "augmentation": "keras",
    "save_every": 1,
    "tensorboard": False,
    "verbose": 0,
}
STEPS_PER_EPOCH = 4


def write_images(folder: Path) -> Path:
    """Noise of three brightnesses, 12 images each, 3 of which are held back."""
    random = np.random.RandomState(0)
    for label, name in enumerate(("dark", "grey", "light")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.randint(0, 128, (28, 28)) + 63 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.png")
    return folder
