"""A network in plain Keras layers to train, with its auxiliary logits."""

from __future__ import annotations

import keras

from zoo.model import EndPoints, TF1Model
from zoo.native import to_native
from zoo.native.weight_map import WeightMap
from zoo.training.trainees import AUXILIARY, LOGITS, Trainee


def native_trainee(model: TF1Model) -> Trainee:
    """The network as `zoo.to_native` makes it, and beside it the auxiliary logits, if it has any.

    Those are no part of the model that is kept, as they are none of `zoo.to_native`'s: they serve
    training alone.
    """
    original = Trainee(model)
    if not original.has_auxiliary:
        return Trainee(to_native(model))
    images = keras.Input(model.input_shape[1:], name="images")
    both = EndPoints(model.network, [LOGITS, AUXILIARY])(images)
    converted = to_native(keras.Model(images, both, name=model.name))
    whole = keras.Model(converted.inputs[0], converted.output)
    outputs = whole.output[LOGITS]
    if model.output is not model.network.output:
        last = model.layers[-1]
        outputs = type(last).from_config(last.get_config())(outputs)
    native = keras.Model(whole.inputs[0], outputs, name=model.name)
    kept = {layer.name for layer in native.layers}
    whole.weight_map = converted.weight_map
    native.weight_map = WeightMap(
        [entry for entry in converted.weight_map if entry.layer in kept],
        [name for e in converted.weight_map if e.layer not in kept for name in e.tf1],
        model.model_name,
    )
    return Trainee(native, whole=whole)
