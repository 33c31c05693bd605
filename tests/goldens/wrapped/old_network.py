"""A network as somebody wrote it for TensorFlow 1, which zoo has no adapter for.

It runs unchanged under TensorFlow 1.15 (tools/record_wrapped.py) and, through `zoo.wrap`, on
Keras 3.
"""

import tensorflow.compat.v1 as tf


def old_network(images, is_training=False, classes=5):
    with tf.variable_scope("old_net"):
        with tf.variable_scope("stem"):
            kernel = tf.get_variable(
                "kernel",
                [3, 3, 3, 8],
                initializer=tf.truncated_normal_initializer(stddev=0.1),
                regularizer=lambda weights: 1e-3 * tf.nn.l2_loss(weights),
            )
            bias = tf.get_variable("bias", [8], initializer=tf.zeros_initializer())
            net = tf.nn.conv2d(images, kernel, strides=[1, 2, 2, 1], padding="SAME")
            net = tf.nn.relu(tf.nn.bias_add(net, bias))
        net = tf.layers.conv2d(net, 8, 3, padding="same", use_bias=False)
        net = tf.layers.batch_normalization(net, momentum=0.9, training=is_training)
        net = tf.nn.relu6(net)
        net = tf.layers.max_pooling2d(net, 2, 2)
        net = tf.layers.dropout(tf.layers.flatten(net), 0.5, training=is_training)
        return tf.layers.dense(net, classes, name="logits")
