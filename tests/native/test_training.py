"""Native networks train as the originals do: three steps of gradient descent side by side.

At a learning rate of 1e-6 and with dropout off, as two TensorFlow versions agree on one code: at
1e-3 a deep network's third step already differs by a percent between them.
"""

import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
from steps import STEEP, GradientDescent, as_tf1_moves, recorded_names

from zoo.native import to_native
from zoo.shim import tf1_variables

NO_DROPOUT = {"dropout_keep_prob": 1.0}
# Of 9 to 18 cells that are alike: with all, PNASNet's losses are as steep on small images as those
# of STEEP networks, and with one TensorFlow thread the third was 5e-4 off.
FEW_CELLS = {
    **{"dense_dropout_keep_prob": 1.0, "drop_path_keep_prob": 1.0, "use_aux_head": 0},
    "num_cells": 3,
}
# The recorded size: fully connected layers fit no other, and in deep networks batch norm over a
# few values blows up the rounding of two kernels.
FULL = object()

# Beginning of a golden's name -> image shape, one that its layers allow and a test can afford,
# and arguments.
CASES = {
    "alexnet": (FULL, NO_DROPOUT),
    "cifarnet": (FULL, NO_DROPOUT),
    "i3d": ((8, 64, 64, 3), NO_DROPOUT),
    "inception_resnet_v2": (FULL, {**NO_DROPOUT, "create_aux_logits": False}),
    "inception_v1": ((64, 64, 3), {**NO_DROPOUT, "global_pool": True}),
    "inception_v2": ((64, 64, 3), {**NO_DROPOUT, "global_pool": True}),
    "inception_v3": (
        FULL,
        {**NO_DROPOUT, "global_pool": True, "create_aux_logits": False},
    ),
    "lenet": (FULL, NO_DROPOUT),
    "mobilenet_edgetpu": (FULL, NO_DROPOUT),
    "mobilenet_v1": ((64, 64, 3), {**NO_DROPOUT, "global_pool": True}),
    "mobilenet_v2": (FULL, NO_DROPOUT),
    "mobilenet_v3": ((64, 64, 3), NO_DROPOUT),
    "nasnet_cifar": (FULL, {"config": FEW_CELLS}),
    "nasnet": ((64, 64, 3), {"config": FEW_CELLS}),
    "overfeat": (FULL, NO_DROPOUT),
    "pnasnet": ((64, 64, 3), {"config": FEW_CELLS}),
    "resnet": (FULL, {}),
    "s3dg": ((8, 64, 64, 3), NO_DROPOUT),
    "vgg": (FULL, NO_DROPOUT),
}

# TF 1.15.5 and TF 2.21 themselves differ by 1e-5, on resnet_v1_50 by 9e-5.
LOSSES = 1e-4
# Of the moving averages, in parts of the move and of the value.
OF_MOVE, OF_VALUE = 1e-2, 4e-5

# tests/validation/test_training_steps.py holds both forms of these against TensorFlow 1.15.5.
# In float32 the TF1 code of STEEP networks does not agree with itself.
TESTED_ELSEWHERE = (*recorded_names(), *STEEP)


@pytest.fixture(autouse=True)
def graphs_as_they_are(arch):
    """Without TensorFlow's optimizer of graphs, which takes longer than the three steps.

    Of clips with it: there it also decides which kernel gives the gradient of max pooling
    (docs/migrating.md), which is to be the same for both.
    """
    of_clips = arch.startswith(("i3d", "s3dg"))
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not of_clips})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def case(arch):
    shape, arguments = next(case for start, case in CASES.items() if arch.startswith(start))
    return networks.recorded_variables(arch)["input_shape"][
        1:
    ] if shape is FULL else shape, arguments


def test_three_steps(arch, recorded_model):
    shape, arguments = case(arch)
    model = recorded_model(arch, shape, **arguments)
    native = to_native(model)
    images, labels = recipe.images((2, *shape)), np.array([3, 5])
    before = {name: variable.numpy() for name, variable in tf1_variables(model).items()}
    step, native_step = GradientDescent(model), GradientDescent(native)
    losses, native_losses = [step(images, labels)], [native_step(images, labels)]
    after = {name: variable.numpy() for name, variable in tf1_variables(model).items()}
    native_after = as_tf1_moves(native, before, dict(native.weight_map.tf1_arrays(native)))
    for _ in range(2):
        losses.append(step(images, labels))
        native_losses.append(native_step(images, labels))
    np.testing.assert_allclose(native_losses, losses, rtol=LOSSES)
    for name in (name for name in after if name.endswith(("moving_mean", "moving_variance"))):
        moved = after[name] - before[name]
        got = native_after[name] - before[name]
        assert np.abs(moved).max() > 0, name
        # Of the move, not of the value: an average that stays where it is must fail.
        assert networks.relative_difference(got, moved) < OF_MOVE, name
        assert networks.relative_difference(native_after[name], after[name]) < OF_VALUE, name
