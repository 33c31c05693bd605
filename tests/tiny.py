"""A small network of TF1 code with all that fine-tuning looks at: batch norm, a regularizer,
auxiliary logits, dropout and a head."""

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.model import TF1Model
from zoo.shim import TF1Network

SIDE = 8


def tiny_arg_scope(weight_decay=0.01):
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected], weights_regularizer=slim.l2_regularizer(weight_decay)
    ) as scope:
        return scope


def tiny(images, num_classes=3, is_training=True, keep_prob=1.0, aux=False, scope="Tiny"):
    end_points = {}
    with tf.variable_scope(scope):
        normalized = {"is_training": is_training, "decay": 0.9, "scale": True}
        net = slim.conv2d(
            images, 4, 3, 2, normalizer_fn=slim.batch_norm, normalizer_params=normalized, scope="a"
        )
        if aux:
            with tf.variable_scope("AuxLogits"):
                end_points["AuxLogits"] = slim.fully_connected(
                    tf.reduce_mean(net, [1, 2]), num_classes, activation_fn=None, scope="fc"
                )
        net = slim.conv2d(
            net, 6, 3, 2, normalizer_fn=slim.batch_norm, normalizer_params=normalized, scope="b"
        )
        net = slim.dropout(tf.reduce_mean(net, [1, 2]), keep_prob, is_training=is_training)
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
        end_points["Logits"] = logits
    return logits, end_points


class TinyNet(TF1Network):
    function = staticmethod(tiny)
    arg_scope = staticmethod(tiny_arg_scope)
    scope = "Tiny"
    default_image_size = SIDE
    head = ("Tiny/Logits/", "Tiny/AuxLogits/")
    auxiliary = ("Tiny/AuxLogits",)


def tiny_model(side=SIDE, dtype=None, **arguments) -> TF1Model:
    import keras

    keras.utils.set_random_seed(0)
    return TF1Model(
        TinyNet(name="tiny", dtype=dtype, **arguments),
        (side, side, 3),
        model_name="lenet",
        preprocessing="inception",
        image_size=side,
        label_offset=0,
        class_names=["blue", "green", "red"],
        name="tiny_model",
    )


def coloured(count=36, seed=0):
    """(images, labels): noise around three colours, preprocessed, float32 in about [-1, 1]."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % 3
    images = (
        random.normal(0, 0.5, (count, SIDE, SIDE, 3)) + (np.eye(3)[labels] - 0.5)[:, None, None]
    )
    return images.astype(np.float32), labels
