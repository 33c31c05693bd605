"""Record what TensorFlow 1.15.5 makes of Slim's own training preprocessing.

    python3.7 tools/record_augmentation.py SLIM     # an environment with TensorFlow 1.15.5

SLIM is research/slim of a checkout of tensorflow/models. Writes tests/goldens/augmentation.json,
the expected values of tests/training/test_augmentation.py: for each kind, the mean and the standard
deviation over many draws of a few numbers of the image that is drawn.
"""

import json
import pathlib
import sys

import numpy as np

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"
SIZE, DRAWS = 32, 4000


def photo():
    """A uint8 image with colours and edges, (60, 80, 3): brighter to the right and to the top."""
    rows, columns = np.mgrid[:60, :80]
    waves = [np.sin(rows / (3 + 2 * c)) * 25 + columns * (1 + 0.4 * c) - rows for c in range(3)]
    return np.clip(np.stack(waves, -1) + 90, 0, 255).astype(np.uint8)


def numbers(image):
    """What is looked at of a drawn image: the colours' means, the contrast, right less left, top
    less bottom, the saturation, a corner, the contrast between neighbours."""
    half = SIZE // 2
    return [
        *image.mean((0, 1)),
        image.std(),
        image[:, half:].mean() - image[:, :half].mean(),
        image[:half].mean() - image[half:].mean(),
        image.std(-1).mean(),
        image[0, 0, 0],
        np.abs(np.diff(image, axis=1)).mean(),
    ]


def main(slim):
    sys.path.insert(0, slim)
    import tensorflow as tf
    from preprocessing import preprocessing_factory

    assert tf.__version__ == "1.15.5", tf.__version__
    recorded = {}
    for kind in ("inception", "vgg", "cifarnet"):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(1)
            image = tf.constant(photo() if kind != "cifarnet" else photo()[14:46, 24:56])
            preprocess = preprocessing_factory.get_preprocessing(
                {"inception": "inception_v1", "vgg": "vgg_16"}.get(kind, kind), is_training=True
            )
            drawn = preprocess(image, SIZE, SIZE)
            rows = np.array([numbers(session.run(drawn)) for _ in range(DRAWS)])
        recorded[kind] = {"mean": rows.mean(0).tolist(), "std": rows.std(0).tolist()}
    recorded["draws"] = DRAWS
    text = json.dumps(recorded, indent=1)
    (GOLDENS / "augmentation.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
