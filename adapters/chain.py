"""Networks that are one chain of layers with a classifier of three: VGG, AlexNet, OverFeat.

A layer is (name, function, arguments). The fully connected layers are convolutions, as in the
Slim library, so that a network can slide over a larger image.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from .heads import check_final_endpoint, check_map, global_average, squeeze_spatial


def conv(name: str, depth: int, kernel_size: int, stride: int = 1, **arguments):
    return (
        name,
        slim.conv2d,
        dict(num_outputs=depth, kernel_size=kernel_size, stride=stride, **arguments),
    )


def pool(name: str, kernel_size: int, stride: int = 2):
    return name, slim.max_pool2d, {"kernel_size": kernel_size, "stride": stride}


def classify_by_chain(
    inputs,
    features,
    fc6,
    fc7,
    fc8,
    *,
    is_training,
    dropout_keep_prob,
    spatial_squeeze,
    reuse,
    scope,
    global_pool,
    final_endpoint,
):
    """Runs `features`, then `fc6` and `fc7` with dropout after each, then `fc8`.

    Args:
        inputs: images, (N, H, W, 3).
        features: the layers up to the classifier.
        fc6, fc7: the two hidden layers of the classifier.
        fc8: the layer that gives the logits, or None: the features before it are returned.
        final_endpoint: the end point to stop at, by its full name (`vgg_16/pool5`), up to fc7.

    Returns:
        (logits or features, end points by their full names).
    """
    with tf.variable_scope(scope, values=[inputs], reuse=reuse) as sc:
        hidden = [*features, fc6, fc7]
        check_final_endpoint(final_endpoint, [f"{sc.name}/{name}" for name, _, _ in hidden])

        def dropout(net, name):
            return slim.dropout(net, dropout_keep_prob, is_training=is_training, scope=name)

        net, end_points = inputs, {}
        for name, layer, arguments in hidden:
            if name == "fc6" and arguments["padding"] == "VALID":
                check_map(
                    net,
                    arguments["kernel_size"],
                    "fc6",
                    "fc_conv_padding='SAME' with global_pool=True takes smaller images.",
                )
            if name == "fc7":
                net = dropout(net, "dropout6")
            net = layer(net, scope=name, **arguments)
            end_points[f"{sc.name}/{name}"] = net
            if final_endpoint == f"{sc.name}/{name}":
                return net, end_points

        if global_pool:
            net = end_points["global_pool"] = global_average(net)
        if fc8 is None:
            return net, end_points
        name, layer, arguments = fc8
        net = dropout(net, "dropout7")
        net = layer(net, scope=name, activation_fn=None, normalizer_fn=None, **arguments)
        if spatial_squeeze:
            net = squeeze_spatial(net, name="fc8/squeezed")
        end_points[f"{sc.name}/fc8"] = net
        return net, end_points
