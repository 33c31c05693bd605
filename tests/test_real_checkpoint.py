"""Google's MobileNet V1 1.0 224, trained on ImageNet: fetched, whole, and damaged.

Expected predictions were computed by TensorFlow 1.15.5 in the checkpoint's own graph.
"""

import numpy as np
import pytest
import skimage
import skimage.io

import zoo
from zoo import hub
from zoo.errors import CheckpointFormatError

NAME = "mobilenet_v1_1.0_224"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return zoo.load(NAME, classifier_activation=None)


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    """The real values in a V2 bundle."""
    path = tmp_path_factory.mktemp("real") / "model.ckpt"
    zoo.write_checkpoint(path, model.tf1_variables)
    return path


def photo(name):
    """The recording's own preprocessing: the central square at 224, anti-aliased, in [-1, 1]."""
    image = getattr(skimage.data, name)()
    side = min(image.shape[:2])
    top, left = ((size - side) // 2 for size in image.shape[:2])
    square = image[top : top + side, left : left + side]
    resized = skimage.transform.resize(square, (224, 224), anti_aliasing=True)
    return (resized[None] * 2 - 1).astype(np.float32)


@pytest.mark.parametrize("name, index, logit", [("chelsea", 286, 22.11), ("coffee", 968, 19.49)])
def test_photos_get_the_labels_and_logits_of_tensorflow_1_15(model, name, index, logit):
    logits = model(photo(name)).numpy()[0]
    assert logits.argmax() == index
    # Recorded to two digits; scikit-image's resize has moved a little since.
    assert abs(logits[index] - logit) < 0.05


def test_both_photos_are_named_rightly(model, tmp_path):
    for name, folder in (("chelsea", "n02124075"), ("coffee", "espresso")):
        (tmp_path / folder).mkdir()
        skimage.io.imsave(tmp_path / folder / f"{name}.png", getattr(skimage.data, name)())
    result = zoo.evaluate(model, tmp_path)
    assert (result.images, result.top1, result.top5) == (2, 100, 100)
    assert [row["index"] for row in result.by_class()] == [286, 968]
    assert result.comparison.verdict == "cannot tell"
    assert "2 of the 1000 classes" in result.comparison.why
    assert result.registered is None  # a model may have been trained since it was loaded


def test_it_is_the_tf1_graphs_function(model):
    assert zoo.compare_with_tf1_graph(model).passed


def test_a_byte_flipped_in_the_bundle_is_found(bundle, tmp_path):
    data = bundle.with_name(bundle.name + ".data-00000-of-00001")
    whole = data.read_bytes()
    index = bundle.with_name(bundle.name + ".index").read_bytes()
    (tmp_path / "model.ckpt.index").write_bytes(index)
    for place in np.random.RandomState(0).randint(0, len(whole), 4):
        octets = bytearray(whole)
        octets[place] ^= 1
        (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(octets)
        with pytest.raises(CheckpointFormatError):
            zoo.load(NAME, tf1_ckpt=tmp_path / "model.ckpt")


@pytest.mark.parametrize("part", [".index", ".data-00000-of-00001"])
def test_a_truncated_bundle_is_found(bundle, tmp_path, part):
    for name in (".index", ".data-00000-of-00001"):
        octets = bundle.with_name(bundle.name + name).read_bytes()
        keep = len(octets) * 2 // 3 if name == part else len(octets)
        (tmp_path / f"model.ckpt{name}").write_bytes(octets[:keep])
    with pytest.raises(CheckpointFormatError):
        zoo.load(NAME, tf1_ckpt=tmp_path / "model.ckpt")


def test_a_truncated_frozen_graph_is_found(model, tmp_path):
    frozen = hub.fetch(zoo.info(NAME).checkpoint).path
    (tmp_path / "graph.pb").write_bytes(frozen.read_bytes()[:9_000_000])
    with pytest.raises(CheckpointFormatError):
        zoo.load(NAME, tf1_ckpt=tmp_path / "graph.pb")


def test_a_byte_flipped_in_the_cache_is_found(model, monkeypatch, tmp_path):
    """A frozen graph has no checksums of its own: its published hash stands for them."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    path = hub.fetch(zoo.info(NAME).checkpoint).path
    octets = bytearray(path.read_bytes())
    octets[5_000_000] ^= 1
    path.write_bytes(octets)
    assert any(problem for _, problem in hub.verify_cached())
    again = hub.fetch(zoo.info(NAME).checkpoint).path  # found out, and fetched anew
    assert again.read_bytes() != bytes(octets)
