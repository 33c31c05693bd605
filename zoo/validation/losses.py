"""The loss of the training steps, for TF1 graphs and today's TensorFlow alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from zoo.validation.observed import AUXILIARY_LOGITS, AUXILIARY_WEIGHT


def total_loss(
    logits: tf.Tensor,
    end_points: Mapping[str, tf.Tensor],
    labels: tf.Tensor,
    regularization: Sequence[tf.Tensor],
) -> tf.Tensor:
    """Slim's: cross entropy of logits and, where `end_points` has them, of auxiliary logits; and
    the regularization losses.

    Args:
        logits: (batch, classes), with or without sides of 1 between.
        end_points: by their TF1 names.
        labels: integers, (batch,).
        regularization: scalars.
    """
    loss = _cross_entropy(logits, labels) + tf.add_n([0.0, *regularization])
    if AUXILIARY_LOGITS in end_points:
        loss += AUXILIARY_WEIGHT * _cross_entropy(end_points[AUXILIARY_LOGITS], labels)
    return loss


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    logits = tf.cast(tf.reshape(logits, [labels.shape[0], -1]), tf.float32)
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
