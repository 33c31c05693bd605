"""Stacking residual units at a chosen output stride, for both generations of ResNets."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import resnet_utils

from zoo.errors import ArgumentError

ROOT_STRIDE = 4  # of conv1 and pool1 together
OUTPUT_STRIDES = (4, 8, 16, 32)


def resnet_arg_scope(
    weight_decay=0.0001,
    batch_norm_decay=0.997,
    batch_norm_epsilon=1e-5,
    batch_norm_scale=True,
    activation_fn=tf.nn.relu,
    use_batch_norm=True,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
):
    """Batch norm with gamma after every convolution, and an L2 loss on every kernel.

    pool1 pads with 'SAME', which keeps features aligned with the image.
    """
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": batch_norm_scale,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
    }
    with slim.arg_scope(
        [slim.conv2d],
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
        weights_initializer=slim.variance_scaling_initializer(),
        activation_fn=activation_fn,
        normalizer_fn=slim.batch_norm if use_batch_norm else None,
        normalizer_params=batch_norm,
    ):
        with slim.arg_scope([slim.batch_norm], **batch_norm):
            with slim.arg_scope([slim.max_pool2d], padding="SAME") as scope:
                return scope


def resnet_block(scope, unit, base_depth, num_units, stride) -> resnet_utils.Block:
    """`num_units` bottlenecks of `base_depth` to 4 * `base_depth`; the last one strides."""
    widths = {"depth": base_depth * 4, "depth_bottleneck": base_depth}
    units = [dict(widths, stride=1)] * (num_units - 1) + [dict(widths, stride=stride)]
    return resnet_utils.Block(scope, unit, units)


def check_output_stride(output_stride: int | None) -> None:
    """Raises ArgumentError unless the blocks can reach this stride."""
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise ArgumentError(
            "The network cannot reach this output stride.",
            received=f"output_stride={output_stride!r}",
            accepted=f"None or one of {', '.join(map(str, OUTPUT_STRIDES))}",
        )


def stopping_points(scope: str, blocks, unit_name: str) -> list[str]:
    """The names of the end points that a ResNet can stop at, in their order."""
    names = [f"{scope}/conv1"]
    for block in blocks:
        for unit in range(1, len(block.args) + 1):
            names.append(f"{scope}/{block.scope}/unit_{unit}/{unit_name}")
        names.append(f"{scope}/{block.scope}")
    return names


@slim.add_arg_scope
def stack_blocks_dense(
    net,
    blocks,
    output_stride=None,
    store_non_strided_activations=False,
    final_endpoint=None,
    outputs_collections=None,
):
    """Runs the blocks; past `output_stride` units dilate instead of striding.

    Args:
        net: what the root block gave, (N, H, W, C).
        output_stride: the stride of the result relative to `net`, or None for all strides.
        store_non_strided_activations: keep each block's end point at its input's resolution,
            and stride after it.
        final_endpoint: the full name of the unit or block to stop after.

    Returns:
        (result, whether `final_endpoint` was reached).
    """
    stride = rate = 1
    for block in blocks:
        with tf.variable_scope(block.scope, values=[net]) as block_scope:
            units, stride_after = list(block.args), 1
            if store_non_strided_activations:
                stride_after = units[-1]["stride"]
                units[-1] = dict(units[-1], stride=1)

            for number, unit in enumerate(units, 1):
                with tf.variable_scope(f"unit_{number}", values=[net]) as unit_scope:
                    if stride == output_stride:
                        net = block.unit_fn(net, rate=rate, **dict(unit, stride=1))
                        rate *= unit["stride"]
                    else:
                        net = block.unit_fn(net, rate=1, **unit)
                        stride *= unit["stride"]
                if final_endpoint and final_endpoint.startswith(f"{unit_scope.name}/"):
                    return net, True

            net = slim.utils.collect_named_outputs(outputs_collections, block_scope.name, net)
            if final_endpoint == block_scope.name:
                return net, True

            if stride == output_stride:
                rate *= stride_after
            else:
                net = resnet_utils.subsample(net, stride_after)
                stride *= stride_after
    return net, False
