"""What the command says of an image of one color, against the TF1 graph in a Session of the
installed TensorFlow, which gets the color's value without any preprocessing code."""

import json
import shutil

import numpy as np
import pytest
import recipe

from zoo.cli import errors

SMALL = "mobilenet_v1_0.25_128"


def tf1_probabilities(values=recipe.weights, num_classes=1001):
    import tensorflow as tf

    from zoo.adapters.mobilenet_v1 import MobileNetV1

    v1 = tf.compat.v1
    pixel = (np.array([200, 30, 90]) / 255 - 0.5) * 2
    images = np.broadcast_to(pixel, (1, 128, 128, 3)).astype(np.float32)
    network = MobileNetV1(num_classes=num_classes, depth_multiplier=0.25)
    with tf.Graph().as_default(), v1.Session() as session:
        logits, _ = network.forward(tf.constant(images))
        for variable in v1.global_variables():
            value = values(variable.op.name, tuple(variable.shape.as_list()))
            session.run(variable.initializer, {variable.initializer.inputs[1]: value})
        return session.run(tf.nn.softmax(logits))[0]


@pytest.fixture(scope="module")
def expected():
    """(index, probability) of the three best classes, and the rest."""
    probabilities = tf1_probabilities()
    return [(int(i), float(probabilities[i])) for i in np.argsort(-probabilities)[:3]]


@pytest.fixture(scope="module")
def ten_classes(tmp_path_factory):
    """A checkpoint with a head of ten classes, under an outer scope."""
    from zoo.checkpoints import write_checkpoint

    values = {}

    def remembered(name, shape):
        return values.setdefault(f"tower_0/{name}", recipe.weights(name, shape))

    tf1_probabilities(remembered, num_classes=10)
    path = tmp_path_factory.mktemp("ten") / "ten.npz"
    write_checkpoint(path, values, "npz")
    return path


def test_the_best_classes_of_an_image(run, small_checkpoint, color_image, expected):
    result = run("predict", SMALL, color_image, "--ckpt", small_checkpoint, "--top", 3)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(int(line[2]), line[1]) for line in lines] == [
        (index, f"{probability:.4f}") for index, probability in expected
    ]
    assert {line[0] for line in lines} == {str(color_image)}


def test_json(run, small_checkpoint, color_image, expected):
    from zoo.images import imagenet_labels

    result = run("predict", SMALL, color_image, "--ckpt", small_checkpoint, "--json")
    (image,) = json.loads(result.stdout)
    assert image["image"] == str(color_image)
    assert len(image["predictions"]) == 5
    for row, (index, probability) in zip(image["predictions"], expected, strict=False):
        label = imagenet_labels()[index - 1]  # Index 0 is the background.
        assert (row["index"], row["synset"], row["name"]) == (index, label.synset, label.name)
        assert row["probability"] == pytest.approx(probability, rel=1e-4)


def test_a_bad_image_among_good_ones(run, small_checkpoint, color_image, tmp_path):
    bad, copy = tmp_path / "bad.jpg", tmp_path / "copy of it.png"
    bad.write_text("hello")
    shutil.copy(color_image, copy)
    arguments = ("predict", SMALL, color_image, bad, tmp_path / "none.png", copy)
    result = run(*arguments, "--ckpt", small_checkpoint, "--top", 1)
    assert result.exit_code == errors.FILE
    good = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in good] == [str(color_image), str(copy)]
    assert good[0][1:] == good[1][1:]
    assert str(bad) in result.stderr and str(tmp_path / "none.png") in result.stderr

    result = run(*arguments, "--ckpt", small_checkpoint, "--json")
    assert result.exit_code == errors.FILE
    assert ["error" in image for image in json.loads(result.stdout)] == [False, True, True, False]


@pytest.mark.parametrize("kind", ["text", "directory", "nothing"])
def test_nothing_is_loaded_for_what_is_no_image(run, tmp_path, monkeypatch, kind):
    from zoo import loading

    monkeypatch.setattr(loading, "load", None)
    path = tmp_path / "image.jpg"
    if kind == "text":
        path.write_text("hello")
    elif kind == "directory":
        path.mkdir()
    result = run("predict", SMALL, path)
    assert (result.exit_code, result.stdout) == (errors.FILE, "")
    assert str(path) in result.stderr


def test_a_head_of_ones_own_outer_scope_and_labels(run, ten_classes, color_image, tmp_path):
    probabilities = tf1_probabilities(num_classes=10)
    best = int(np.argmax(probabilities))
    own = ("--ckpt", ten_classes, "--strip-scope", "tower_0", "--num-classes", 10, "--top", 1)

    result = run("predict", SMALL, color_image, *own)
    assert result.stdout.split("\t")[1:] == [
        f"{probabilities[best]:.4f}",
        str(best),
        "-",
        f"class {best}\n",
    ]
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"kind {letter}\n" for letter in "abcdefghij"))
    result = run("predict", SMALL, color_image, *own, "--labels", labels)
    assert result.stdout.endswith(f"kind {'abcdefghij'[best]}\n")


def test_a_checkpoint_that_does_not_fit_says_what_to_pass(run, ten_classes, color_image):
    own = ("predict", SMALL, color_image, "--ckpt", ten_classes)
    result = run(*own, "--strip-scope", "tower_0")
    assert result.exit_code == errors.FILE
    assert "--num-classes 10" in result.stderr
    result = run(*own, "--num-classes", 10)
    assert result.exit_code == errors.FILE
    assert "--strip-scope tower_0" in result.stderr


def test_a_checkpoint_of_another_architecture(run, small_checkpoint, color_image):
    result = run("predict", "resnet_v1_50", color_image, "--ckpt", small_checkpoint)
    assert result.exit_code == errors.FILE
    assert "Give the name mobilenet_v1_0.25_128 with --ckpt" in result.stderr


def test_wrong_names_and_paths(run, color_image, tmp_path):
    assert run("predict", "nosuch", color_image).exit_code == errors.USAGE
    assert run("predict", SMALL, color_image, "--top", 0).exit_code == errors.USAGE
    result = run("predict", SMALL, color_image, "--ckpt", tmp_path / "none.ckpt")
    assert result.exit_code == errors.FILE
    result = run("predict", SMALL, color_image, "--labels", tmp_path / "none.txt")
    assert result.exit_code == errors.FILE
    assert str(tmp_path / "none.txt") in result.stderr


def test_offline_without_the_checkpoint(run, color_image, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    result = run("predict", SMALL, color_image)
    assert result.exit_code == errors.DOWNLOAD
    assert "offline" in result.stderr


def test_a_model_without_a_published_checkpoint(run, color_image):
    result = run("predict", "alexnet_v2", color_image)
    assert result.exit_code == errors.USAGE
    assert "--ckpt PATH" in result.stderr
