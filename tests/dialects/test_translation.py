"""Files of other libraries in the place of TF1 checkpoints."""

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

import zoo
from zoo.dialects import DIALECTS, look_at, open_checkpoint, open_weights
from zoo.dialects.translation import translate

TIMM = DIALECTS["timm"]
V3_SMALL = TIMM.counterpart(zoo.info("mobilenet_v3_small_minimalistic_1.0_224"))
INCEPTION = TIMM.counterpart(zoo.info("inception_v3"))


@pytest.fixture(scope="module")
def timm_file(recorded, tmp_path_factory):
    """A small network of timm's; the test of timm itself shows that it is one."""
    network = recorded(V3_SMALL.model)
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(V3_SMALL.tensor_map(network.shapes).to_peer(network.weights, 1), path)
    return path


def test_tf1_names_need_no_adjustment(small_checkpoint):
    assert look_at(small_checkpoint, zoo.info("mobilenet_v1_0.25_128")) is None


def test_a_file_without_background_makes_a_model_without(timm_file, caplog):
    found = look_at(timm_file, zoo.info(V3_SMALL.model))
    assert found.arguments == {"num_classes": 1000} and found.label_offset == 0
    assert "index 0 is the first label" in caplog.text


def test_what_is_settled_is_not_adjusted(timm_file, caplog):
    found = look_at(timm_file, zoo.info(V3_SMALL.model), given={"num_classes": 5})
    assert found.arguments == {} and "first label" not in caplog.text
    found = look_at(timm_file, zoo.info(V3_SMALL.model), given={"num_classes": 1000})
    assert found.label_offset == 0


def test_an_address_will_do(timm_file):
    found = look_at(f"file://{timm_file}", zoo.info(V3_SMALL.model))
    assert found.arguments == {"num_classes": 1000}


def test_another_network_is_named(timm_file):
    with pytest.raises(zoo.CheckpointMismatchError) as raised:
        look_at(timm_file, zoo.info("mobilenet_v3_small_1.0_224"))
    assert "timm: tf_mobilenetv3_small_minimal_100, 1000 classes" in str(raised.value)
    assert 'zoo.load("mobilenet_v3_small_minimalistic_1.0_224"' in str(raised.value)


def test_unknown_networks_are_told_from_unknown_names(tmp_path):
    save_file(
        {"conv1.weight": np.ones((1, 1, 1, 1)), "bn1.running_mean": np.ones(1)},
        tmp_path / "resnet50.safetensors",
    )
    with pytest.raises(zoo.CheckpointMismatchError, match="PyTorch's names") as raised:
        zoo.load("resnet_v1_50", source=str(tmp_path / "resnet50.safetensors"))
    assert "inception_v3" in raised.value.accepted and "(" not in raised.value.accepted
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["dense/kernel"] = np.ones((2, 2))
    with pytest.raises(zoo.CheckpointMismatchError, match="file of Keras") as raised:
        zoo.load("resnet_v1_50", source=str(tmp_path / "mine.h5"))
    assert "MobileNetV2" in raised.value.accepted


def test_only_what_is_read_is_turned(timm_file, recorded):
    network = recorded(V3_SMALL.model)
    spec = zoo.info(V3_SMALL.model)
    with open_checkpoint(timm_file, spec, network.shapes) as opened:
        assert len(opened) == 174 and opened.format == "safetensors"
        name = "MobilenetV3/Logits/Conv2d_1c_1x1/weights"
        assert opened.shape(name) == (1, 1, 1024, 1000)
        np.testing.assert_array_equal(opened.read(name), network.weights[name][..., 1:])


def test_a_network_without_its_classifier_still_knows_its_names(timm_file, recorded):
    spec = zoo.info(V3_SMALL.model)
    body = {n: s for n, s in recorded(V3_SMALL.model).shapes.items() if "Logits" not in n}
    with open_checkpoint(timm_file, spec, body) as opened:
        assert "MobilenetV3/Logits/Conv2d_1c_1x1/biases" in opened
        assert "classifier.bias" not in opened


def test_a_strange_tensor_keeps_its_name_and_a_wrong_shape_is_shown(timm_file, recorded):
    from safetensors.numpy import load_file

    tensors = load_file(timm_file)
    tensors |= {"more.weight": np.ones(3), "conv_stem.weight": np.ones((2, 2), np.float32)}
    save_file(tensors, timm_file.with_name("strange.safetensors"))
    spec, shapes = zoo.info(V3_SMALL.model), recorded(V3_SMALL.model).shapes
    with open_checkpoint(timm_file.with_name("strange.safetensors"), spec, shapes) as opened:
        assert "more.weight" in opened
        assert opened.shape("MobilenetV3/Conv/weights") == (2, 2)


def test_scales_that_the_network_leaves_out_are_not_dropped(recorded_shapes, tmp_path):
    shapes = recorded_shapes("inception_v3")
    zeros = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    tensors = INCEPTION.tensor_map(shapes).to_peer(zeros, 1)
    tensors["Conv2d_1a_3x3.bn.weight"][3] = 0.5
    save_file(tensors, tmp_path / "scaled.safetensors")
    with pytest.raises(zoo.CheckpointMismatchError, match="scales") as raised:
        translate(open_weights(tmp_path / "scaled.safetensors"), TIMM, INCEPTION, shapes)
    assert "batch_norm_scale=True" in str(raised.value)
    found = look_at(tmp_path / "scaled.safetensors", zoo.info("inception_v3"))
    assert found.arguments == {
        "create_aux_logits": False,
        "num_classes": 1000,
        "batch_norm_scale": True,
    }
