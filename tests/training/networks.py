"""Small networks and data that the scripts share."""

import keras
import numpy as np
import tensorflow as tf
import tf_slim as slim

from zoo.shim import track_tf1_style_variables

ROWS = 13  # batches of 4, 4, 4 and 1: the last has fewer rows than replicas

random = np.random.RandomState(0)
IMAGES = random.normal(size=(ROWS, 4, 4, 3)).astype(np.float32)
TARGETS = random.normal(size=(ROWS, 2)).astype(np.float32)
WEIGHTS = random.uniform(0.2, 2, size=ROWS).astype(np.float32)


class SlimNet(keras.layers.Layer):
    """TF1 code with an L2 regularizer, as Slim's networks have it."""

    def __init__(self, *, normalized: bool) -> None:
        super().__init__()
        self.normalized = normalized

    @track_tf1_style_variables
    def call(self, images, training=False):
        if self.normalized:
            images = slim.batch_norm(images, decay=0.9, is_training=training, scope="norm")
        net = slim.conv2d(
            images, 3, [3, 3], scope="conv", weights_regularizer=slim.l2_regularizer(0.1)
        )
        return slim.fully_connected(slim.flatten(net), 2, activation_fn=None, scope="logits")


def network(
    normalization: str = "", *, optimizer=None, reduction="sum_over_batch_size", **compiled
):
    """`normalization` of the inputs: "", "keras" or "slim"."""
    images = keras.Input((4, 4, 3))
    net = images
    if normalization == "keras":
        net = keras.layers.BatchNormalization(momentum=0.9)(net)
    outputs = SlimNet(normalized=normalization == "slim")(net)
    model = keras.Model(images, outputs)
    for seed, variable in enumerate(model.trainable_variables):
        if len(variable.shape) > 1:
            variable.assign(np.random.RandomState(seed).normal(0, 0.2, variable.shape))
    model.compile(
        optimizer or with_momentum(),
        keras.losses.MeanSquaredError(reduction=reduction),
        metrics=["mae"],
        weighted_metrics=["mse"],
        **compiled,
    )
    return model


def with_momentum() -> keras.optimizers.Optimizer:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)
    return keras.optimizers.SGD(schedule, momentum=0.9)


def far_apart(one: list, other: list) -> float:
    """The largest difference between two lists of arrays."""
    return max(
        float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
        for a, b in zip(one, other, strict=True)
    )


def histories_apart(one, other) -> float:
    assert set(one.history) == set(other.history)
    return far_apart(
        [one.history[key] for key in one.history], [other.history[key] for key in one.history]
    )


def replicas_apart(model) -> float:
    """The largest difference between what replicas hold of the model and its optimizer."""
    worst = 0.0
    for variable in [*model.variables, *model.optimizer.variables]:
        values = [part.numpy() for part in variable.value.values]
        worst = max(worst, far_apart(values[1:], values[:-1]))
    return worst


def batches(rows: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((IMAGES[:rows], TARGETS[:rows])).batch(4)
