"""Every recorded network in its native form, on each backend of Keras's, against what TensorFlow
1.15.5 recorded of the original (goldens/outputs)."""

import networks
import numpy as np
import pytest
import recipe

from zoo.native import to_native

# Of the layers of nasnet_cifar, fewer.
NARROW = next(case for case in networks.recorded_cases() if case["arch"] == "nasnet_cifar")


def test_logits_on_every_backend(arch, recorded_model, backends_of, described, tmp_path):
    """As it trains and folded, in one test: making the model takes as long as the rest."""
    model = recorded_model(arch)
    native = to_native(model)
    shape = networks.recorded_variables(arch)["input_shape"]
    images = recipe.images(shape)
    expected = expected_logits(arch, model, images)
    # The goldens' own bounds: two TensorFlows differ by as much on the same code.
    bound = 3e-5 if arch == "mobilenet_v3_large" else 1e-5
    assert difference(native.predict_on_batch(images), expected) < bound
    for backend in backends_of(arch):
        result = backend.run(tmp_path, shape, **described(native))
        # Other kernels sum in another order; a wrong padding is off by 1e-2 and more.
        assert difference(result, expected) < 1e-4, backend.name
    del native
    folded = to_native(model, fold_batch_norm=True)
    assert difference(folded.predict_on_batch(images), expected) < 1e-4
    kinds = [type(layer).__name__ for layer in folded.layers]
    # After what a ResNet V2 adds or a NASNet concatenates there is no layer to fold into.
    stays = arch.startswith(("resnet_v2", "nasnet", "pnasnet"))
    assert ("BatchNormalization" in kinds) <= stays


@pytest.mark.slow
def test_a_narrow_nasnet_on_every_backend(recorded_model, backends, described, tmp_path):
    shape = (2, *NARROW["size"], 3)
    native = to_native(recorded_model("nasnet_cifar", shape[1:], **NARROW["arguments"]))
    for backend in backends:
        result = networks.samples(backend.run(tmp_path, shape, **described(native)))
        apart = networks.relative_difference(result, NARROW["samples"], NARROW["scale"])
        assert apart < 1e-4, backend.name


def expected_logits(arch, model, images):
    """Recorded; where it is not (widths of MobileNets and the like), the TF1 code's own on this
    TensorFlow, whose wiring tests/adapters holds against the recorded widths."""
    try:
        return np.load(networks.GOLDENS / f"outputs/{arch}.npz")["logits"]
    except FileNotFoundError:
        return model.predict_on_batch(images)


def difference(got, expected):
    return networks.relative_difference(np.reshape(got, np.shape(expected)), expected)
