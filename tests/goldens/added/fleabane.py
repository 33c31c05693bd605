import tensorflow.compat.v1 as tf
import tf_slim as slim


def fleabane_arg_scope(weight_decay=0.0005, batch_norm_decay=0.99):
    with slim.arg_scope(
        [slim.conv2d],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        normalizer_fn=slim.batch_norm,
        normalizer_params={"decay": batch_norm_decay, "epsilon": 0.001, "scale": True},
    ) as scope:
        return scope


def fleabane(
    inputs,
    num_classes=11,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope="Fleabane",
):
    end_points = {}
    with tf.variable_scope(scope, "Fleabane", [inputs], reuse=reuse):
        with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
            net = slim.conv2d(inputs, 8, [3, 3], stride=2, scope="Conv_1")
            end_points["Conv_1"] = net
            net = slim.max_pool2d(net, [2, 2], scope="Pool_1")
            net = slim.conv2d(net, 16, [3, 3], scope="Conv_2")
            end_points["Conv_2"] = net
            with tf.variable_scope("Logits"):
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name="AvgPool")
                net = slim.dropout(net, dropout_keep_prob, scope="Dropout")
                net = slim.conv2d(
                    net,
                    num_classes,
                    [1, 1],
                    activation_fn=None,
                    normalizer_fn=None,
                    scope="Conv_3",
                )
                logits = tf.squeeze(net, [1, 2], name="Squeeze")
            end_points["Logits"] = logits
            end_points["Predictions"] = slim.softmax(logits, scope="Predictions")
    return logits, end_points
