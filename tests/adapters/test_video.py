"""What I3D and S3D-G have of their own: where time is convolved, gates, separable kernels."""

import networks
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import images as zoo_images
from zoo.errors import ArgumentError
from zoo.shim import run_skipped_initializers, skip_initializers, tf1_variables

CLIP = (4, 32, 32, 3)


def variables_of(network, *shape) -> dict[str, list[int]]:
    networks.trace(network, 1, *shape)
    return {name: list(v.shape) for name, v in tf1_variables(network).items()}


@pytest.mark.parametrize("arch", ["i3d", "s3dg"])
def test_moving_averages_take_the_biased_variance(make, run, images, arch):
    """TensorFlow 1.15.5: batch norm that is not fused stores it; decay 0.999, epsilon 0.001."""
    clips = images(2, *CLIP)
    network = make(arch, CLIP, num_classes=0, final_endpoint="Conv2d_1a_7x7")
    scope = "InceptionV1/Conv2d_1a_7x7/"
    variables = tf1_variables(network)
    convolved = tf.nn.conv3d(clips, variables[scope + "weights"].value, [1, 2, 2, 2, 1], "SAME")
    mean, variance = tf.nn.moments(convolved, [0, 1, 2, 3])
    names = [f"{scope}BatchNorm/moving_{kind}" for kind in ("mean", "variance")]
    before = [np.asarray(variables[name]) for name in names]
    run(network, clips, training=True)
    for name, old, new in zip(names, before, (mean, variance), strict=True):
        moved = (np.asarray(variables[name]) - old) / 0.001
        np.testing.assert_allclose(moved, new - old, atol=2e-3)


def test_i3d_with_separable_kernels(adapter):
    cls, _ = adapter("i3d")
    network = cls(separable_conv3d=True, final_endpoint="Mixed_3b")
    variables = variables_of(network, *CLIP)
    scope = "InceptionV1/Mixed_3b/Branch_1/Conv2d_0b_3x3"
    assert variables[f"{scope}/weights"] == [1, 3, 3, 96, 128]
    assert variables[f"{scope}/temporal/weights"] == [3, 1, 1, 128, 128]
    assert variables["InceptionV1/Conv2d_1a_7x7/weights"] == [7, 7, 7, 3, 64]
    assert not [name for name in variables if "self_gating" in name]


def test_i3d_with_renormalization(adapter):
    cls, _ = adapter("i3d")
    network = cls(use_renorm=True, final_endpoint="Conv2d_1a_7x7")
    names = {name.rpartition("/")[2] for name in variables_of(network, *CLIP)}
    assert {"renorm_mean", "renorm_stddev", "moving_stddev"} <= names


@pytest.mark.slow
def test_s3dg_convolves_over_time_and_gates_from_where_it_is_told(adapter):
    """The paper's top-heavy networks (section 3.2): two dimensions below, three above."""
    cls, _ = adapter("s3dg")
    network = cls(
        first_temporal_kernel_size=1,
        temporal_conv_startat="Mixed_4c",
        gating_startat="Mixed_5b",
        depth_multiplier=0.25,
    )
    variables = variables_of(network, *CLIP)
    assert variables["InceptionV1/Conv2d_1a_7x7/weights"] == [1, 7, 7, 3, 16]
    blocks = {name.split("/")[1] for name in variables if "/temporal/" in name}
    assert blocks == {f"Mixed_{n}" for n in ("4c", "4d", "4e", "4f", "5b", "5c")}
    gated = {name.split("/")[1] for name in variables if "/self_gating/" in name}
    assert gated == {"Mixed_5b", "Mixed_5c"}
    neither = cls(temporal_conv_startat=None, gating_startat=None)
    assert not [n for n in variables_of(neither, *CLIP) if "temporal" in n or "gating" in n]


def test_a_new_temporal_kernel_leaves_each_frame_as_it_is(adapter, images):
    cls, _ = adapter("s3dg")
    arguments = {"final_endpoint": "Conv2d_2c_3x3", "num_classes": 0, "depth_multiplier": 0.25}
    with skip_initializers():
        network = cls(gating_startat=None, **arguments)
        network(images(1, *CLIP))
    run_skipped_initializers(network, sorted(tf1_variables(network)))
    kernel = tf1_variables(network)["InceptionV1/Conv2d_2c_3x3/temporal/weights"]
    assert kernel.shape == (3, 1, 1, 48, 48)
    frames = np.random.RandomState(0).normal(size=(1, 5, 2, 2, 48)).astype(np.float32)
    np.testing.assert_allclose(tf.nn.conv3d(frames, kernel.value, [1] * 5, "SAME"), frames)


def test_gates_are_sigmoids_of_the_clips_mean(make, run, images):
    """Section 4.3 of the paper: y = sigmoid(W pool(x)) * x."""
    clips, size = images(2, 4, 32, 48, 3), (4, 32, 48, 3)
    name = "Conv2d_2c_3x3"
    gated = make("s3dg", size, final_endpoint=name, num_classes=0)
    plain = make("s3dg", size, final_endpoint=name, num_classes=0, gating_startat=None)
    x = np.asarray(run(plain, clips)[1][name])
    kernel = tf1_variables(gated)[f"InceptionV1/{name}/self_gating/transformer_W/weights"]
    weights = x.mean((1, 2, 3), keepdims=True) @ np.asarray(kernel)[0, 0, 0]
    expected = x / (1 + np.exp(-weights))
    np.testing.assert_allclose(run(gated, clips)[1][name], expected, rtol=1e-4, atol=1e-5)


def test_channels_first_is_the_same_network(adapter):
    cls, _ = adapter("s3dg")
    first, last = (
        cls(data_format=layout, final_endpoint="Mixed_3b", num_classes=5)
        for layout in ("NCDHW", "NDHWC")
    )
    assert variables_of(first, 3, 4, 32, 32) == variables_of(last, *CLIP)


def test_classifier_after_an_earlier_end_point_of_s3dg():
    arguments = {"weights": None, "input_shape": CLIP, "num_classes": 5, "depth_multiplier": 0.25}
    model = zoo.load("s3dg", final_endpoint="Mixed_3c", **arguments)
    assert model.output_shape == (None, 5)
    assert model.layers[-1].name == "predictions"
    assert "InceptionV1/Mixed_4b/Branch_0/Conv2d_0a_1x1/weights" not in model.tf1_variables


@pytest.mark.slow
def test_features_and_another_size_of_i3d():
    model = zoo.load("i3d", weights=None, final_endpoint="Mixed_3c", input_shape=CLIP)
    assert model.output_shape == (None, 2, 4, 4, 480)
    free = zoo.load("i3d", weights=None, num_classes=4, input_shape=(None, None, None, 3))
    assert free(np.zeros((1, 9, 40, 48, 3), np.float32)).shape == (1, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_temporal_kernel_size": 2},
        {"temporal_conv_startat": "Conv2d_1a_7x7"},
        {"gating_startat": "MaxPool_4a_3x3"},
        {"data_format": "NHWC"},
        {"depth_multiplier": 0},
        {"final_endpoint": "Mixed_6a"},
    ],
)
def test_wrong_arguments_say_what_is_accepted(adapter, trace, wrong):
    cls, _ = adapter("s3dg")
    with pytest.raises(ArgumentError) as raised:
        trace(cls(**wrong), 1, *CLIP)
    assert f"{next(iter(wrong))}={next(iter(wrong.values()))!r}" in str(raised.value)


def test_frames_of_clips_are_preprocessed_one_by_one(images):
    """As the same frames are, given as images: goldens/preprocessing is TensorFlow 1.15.5's."""
    arguments = {"weights": None, "num_classes": 2, "depth_multiplier": 0.25}
    model = zoo.load("s3dg", input_shape=(4, 32, 32, 3), final_endpoint="Mixed_3b", **arguments)
    clips = (images(2, 4, 40, 60, 3) + 1) / 2
    expected = np.stack([zoo_images.preprocess(clip, "inception", 32) for clip in clips])
    assert expected.shape == (2, 4, 32, 32, 3)
    np.testing.assert_array_equal(model.preprocess(clips), expected)
    np.testing.assert_array_equal(model.preprocess(tf.constant(clips)), expected)
    np.testing.assert_array_equal(model.preprocess(list(clips[0])), expected[:1])
    mapped = tf.data.Dataset.from_tensor_slices(clips).map(model.preprocess).batch(2)
    assert mapped.element_spec.shape == (None, 4, 32, 32, 3)
    np.testing.assert_allclose(next(iter(mapped)), expected, atol=1e-6)
    batched = tf.data.Dataset.from_tensor_slices(clips).batch(2).map(model.preprocess)
    assert batched.element_spec.shape == (None, 4, 32, 32, 3)
    np.testing.assert_allclose(next(iter(batched)), expected, atol=1e-6)
    assert model(model.preprocess(clips)).shape == (2, 2)
