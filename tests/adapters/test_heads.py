"""What all heads and bodies have in common: pooling, squeezing, stopping early, clear errors.

Expected values are laws (numpy on the network's own features and weights) or shapes that follow
from the wiring.
"""

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError, InputShapeError
from zoo.shim import tf1_variables

# One network of each kind of head, where its features end, and a small image size.
NETWORKS = {
    "inception_v1": ("Mixed_5c", 64),
    "inception_v2": ("Mixed_5c", 64),
    "inception_v3": ("Mixed_7c", 139),
    "resnet_v1_50": ("resnet_v1_50/block4", 64),
    "mobilenet_v1_025": ("Conv2d_13_pointwise", 64),
    "alexnet_v2": ("alexnet_v2/fc7", 256),
}
LOGITS = {
    "inception_v1": "InceptionV1/Logits/Conv2d_0c_1x1",
    "inception_v2": "InceptionV2/Logits/Conv2d_1c_1x1",
    "inception_v3": "InceptionV3/Logits/Conv2d_1c_1x1",
    "resnet_v1_50": "resnet_v1_50/logits",
    "mobilenet_v1_025": "MobilenetV1/Logits/Conv2d_1c_1x1",
    "alexnet_v2": "alexnet_v2/fc8",
}
each_network = pytest.mark.parametrize("arch", NETWORKS)


@pytest.mark.slow
@each_network
def test_global_pool_is_the_mean_at_any_size(arch, make, run, images, relative_difference):
    last, size = NETWORKS[arch]
    # Auxiliary logits have variables of a shape that goes with the size of the images.
    one_size = {"create_aux_logits": False} if arch == "inception_v3" else {}
    network = make(arch, (size, size + 32, 3), num_classes=10, global_pool=True, **one_size)
    batch = images(2, size, size + 32, 3)
    logits, end_points = run(network, batch)
    mean = np.mean(end_points[last], axis=(1, 2))
    assert relative_difference(np.squeeze(end_points["global_pool"]), mean) < 1e-5

    variables = tf1_variables(network)
    kernel, biases = (np.asarray(variables[f"{LOGITS[arch]}/{n}"]) for n in ("weights", "biases"))
    expected = mean @ kernel[0, 0] + biases
    assert relative_difference(logits, expected) < 1e-5

    # The same, where the size is known only when the model is called.
    image = keras.Input((None, None, 3))
    model = keras.Model(image, network(image))
    assert model.output_shape == (None, 10)
    assert relative_difference(model(batch), expected) < 1e-5


@pytest.mark.slow
@each_network
def test_without_classes_there_is_no_head(arch, adapter, trace):
    _, size = NETWORKS[arch]
    cls, arguments = adapter(arch)
    network = cls(**arguments, num_classes=0, global_pool=True)
    features, end_points = trace(network, 2, size, size, 3)
    assert features.shape == end_points["global_pool"].shape and "Logits" not in end_points
    assert not [name for name in tf1_variables(network) if name.startswith(network.head)]


FINAL_END_POINTS = {
    "inception_v1": ("Conv2d_2c_3x3", "Mixed_5c"),
    "inception_v2": ("Mixed_4a",),
    "inception_v3": ("Mixed_5b",),
    "resnet_v1_50": ("resnet_v1_50/conv1", "resnet_v1_50/block2"),
    "resnet_v2_50": ("resnet_v2_50/block2/unit_3/bottleneck_v2",),
    "mobilenet_v1_025": ("Conv2d_0", "Conv2d_5_depthwise", "Conv2d_13_pointwise"),
    "alexnet_v2": ("alexnet_v2/pool2", "alexnet_v2/fc6"),
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", FINAL_END_POINTS)
def test_final_endpoint_stops_the_network(arch, make, run, images, relative_difference):
    size = {"inception_v3": 139, "alexnet_v2": 224}.get(arch, 64)
    batch = images(2, size, size, 3)
    whole = make(arch, (size, size, 3), num_classes=10)
    _, end_points = run(whole, batch)
    for name in FINAL_END_POINTS[arch]:
        part = make(arch, (size, size, 3), final_endpoint=name)
        features, up_to_it = run(part, batch)
        assert relative_difference(features, np.asarray(end_points[name])) < 1e-5
        assert list(up_to_it)[-1] == name

        created, all_names = list(tf1_variables(part)), list(tf1_variables(whole))
        assert created == all_names[: len(created)]
        assert not any(variable.startswith(part.head) for variable in created)


@pytest.mark.parametrize(
    ("arch", "size", "wrong", "right"),
    [
        ("inception_v1", 64, "Mixed_5d", "Mixed_5b"),
        ("inception_v2", 64, "mixed_4a", "Mixed_4a"),
        ("inception_v3", 139, "Mixed_7d", "Mixed_7c"),
        ("resnet_v1_50", 64, "resnet_v1_50/block5", "resnet_v1_50/block4"),
        ("resnet_v2_50", 64, "resnet_v2_50/block0", "resnet_v2_50/block4"),
        ("mobilenet_v1", 64, "Conv2d_14_pointwise", "Conv2d_4_pointwise"),
        ("vgg_16", 224, "vgg_16/pool6", "vgg_16/pool5"),
    ],
)
def test_an_unknown_final_endpoint_is_named_with_its_nearest(
    arch, size, wrong, right, adapter, trace
):
    cls, _ = adapter(arch)
    with pytest.raises(ArgumentError, match="no such end point") as error:
        trace(cls(final_endpoint=wrong), 1, size, size, 3)
    assert right in error.value.nearest
    assert right in error.value.accepted


@pytest.mark.parametrize("arch", ["inception_v2", "inception_v3", "resnet_v1_50", "mobilenet_v1"])
def test_a_depth_multiplier_of_nothing_is_refused(arch, adapter, trace):
    cls, _ = adapter(arch)
    with pytest.raises(ArgumentError, match="above zero"):
        trace(cls(depth_multiplier=0), 1, 139, 139, 3)


@pytest.mark.parametrize(
    ("arch", "size", "arguments"),
    [
        ("inception_v1", 256, {}),
        ("mobilenet_v1_025", 320, {}),
        ("resnet_v1_50", 64, {"global_pool": False}),
        ("alexnet_v2", 288, {}),
    ],
)
def test_a_map_of_logits_is_not_squeezed(arch, size, arguments, adapter, trace):
    cls, defaults = adapter(arch)
    with pytest.raises(ArgumentError, match="spatial_squeeze=False"):
        trace(cls(**defaults, **arguments), 1, size, size, 3)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["inception_v3", "alexnet_v2", "overfeat", "vgg_a"])
def test_the_smallest_image_is_the_smallest_that_works(arch, adapter, trace):
    if arch == "inception_v3":
        arguments = {"num_classes": 10, "create_aux_logits": False}
    else:
        arguments = {"num_classes": 10, "global_pool": True, "fc_conv_padding": "SAME"}
    cls, _ = adapter(arch)
    smallest = cls.minimum_image_size
    logits, _ = trace(cls(**arguments), 1, smallest, smallest, 3)
    assert logits.shape == (1, 10)
    with pytest.raises(InputShapeError, match=str(smallest)):
        trace(cls(**arguments), 1, smallest - 1, smallest, 3)

    class Unchecked(cls):
        minimum_image_size = 1

    with pytest.raises(ValueError, match="Negative dimension"):  # TensorFlow's own words
        trace(Unchecked(**arguments), 1, smallest - 1, smallest, 3)
