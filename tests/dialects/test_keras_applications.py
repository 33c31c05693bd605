"""keras.applications itself, with converted weights, against what TensorFlow 1.15.5 gave."""

import keras
import numpy as np
import pytest

from zoo.dialects import DIALECTS, keras_models

COUNTERPARTS = {str(one): one for one in DIALECTS["keras.applications"].counterparts()}
TOLERANCE = 1e-4  # as timm's; seen: 6e-6

# The others have the same tables, and other widths and depths.
RUN = [
    "InceptionV3",
    "InceptionResNetV2",
    "NASNetMobile",
    "VGG16",
    "MobileNet(alpha=0.25)",
    "MobileNet(alpha=1.0)",
    "MobileNetV2(alpha=0.35)",
    "MobileNetV2(alpha=1.4)",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_application_computes_the_same(name, recorded):
    counterpart = COUNTERPARTS[name]
    network = recorded(counterpart.model)
    weights = counterpart.tensor_map(network.shapes)
    tensors = weights.to_peer(network.weights, network.spec.label_offset)
    model = keras_models.make(counterpart, 1000)
    keras_models.assign(model, tensors)  # strict: all of them, and no others
    logits = np.asarray(model(network.images))
    if counterpart.difference:
        # What the table says is all that differs; should Keras change, the table must.
        assert network.differs(logits) > TOLERANCE
        model = corrected(model)
        keras_models.assign(model, tensors)
        logits = np.asarray(model(network.images))
    assert network.differs(logits) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NASNetLarge", "MobileNet(alpha=0.5)"])
def test_every_name_and_shape_is_the_applications(name, recorded_shapes):
    counterpart = COUNTERPARTS[name]
    shapes = keras_models.named_weights(keras_models.make(counterpart, 1000))
    entries = counterpart.tensor_map(recorded_shapes(counterpart.model)).entries
    assert {entry.peer: entry.peer_shape(1000) for entry in entries} == {
        name: tuple(weight.shape) for name, weight in shapes.items()
    }


def corrected(model):
    """NASNet whose strided pooling is of what lies inside the map, as TensorFlow's SAME."""

    def clone(layer):
        config = layer.get_config()
        if layer.name.startswith("reduction_pad"):
            return keras.layers.Activation("linear", name=layer.name)
        if layer.name.startswith(("reduction_left", "reduction_right")) and "padding" in config:
            config["padding"] = "same"
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=clone)


def test_layers_are_named_alike_however_many_were_made_before():
    counterpart = COUNTERPARTS["MobileNet(alpha=0.25)"]
    first = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1)])
    second = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1)])
    assert first.layers[0].name != second.layers[0].name
    assert list(keras_models.named_weights(first)) == list(keras_models.named_weights(second))
    assert "conv2d/kernel" in keras_models.named_weights(second)
    assert counterpart.arguments == {"alpha": 0.25}
