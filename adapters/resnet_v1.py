"""ResNet v1, 50 to 200 layers (He et al., 2015, https://arxiv.org/abs/1512.03385).

Wiring, names and defaults are those of the Slim model library's resnet_v1.py: batch norm and
ReLU follow each convolution, and the last unit of a block strides, not the first of the next.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import resnet_utils
from tf_slim.nets.resnet_v1 import bottleneck

from zoo.shim import TF1Network

from .heads import check_depth_multiplier, check_final_endpoint, global_average, squeeze_spatial
from .residual import (
    ROOT_STRIDE,
    check_output_stride,
    resnet_arg_scope,
    resnet_block,
    stack_blocks_dense,
    stopping_points,
)


def resnet_v1(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    spatial_squeeze=True,
    store_non_strided_activations=False,
    reuse=None,
    scope=None,
    final_endpoint=None,
):
    """conv1, pool1, `blocks`, the mean over height and width, and the logits."""
    check_output_stride(output_stride)
    with tf.variable_scope(scope, "resnet_v1", [inputs], reuse=reuse) as sc:
        check_final_endpoint(final_endpoint, stopping_points(sc.name, blocks, "bottleneck_v1"))
        collection = f"{sc.original_name_scope}_end_points"
        with (
            slim.arg_scope(
                [slim.conv2d, bottleneck, stack_blocks_dense], outputs_collections=collection
            ),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            net = resnet_utils.conv2d_same(inputs, 64, 7, stride=2, scope="conv1")
            stopped = final_endpoint == f"{sc.name}/conv1"
            if not stopped:
                net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
                net, stopped = stack_blocks_dense(
                    net,
                    blocks,
                    output_stride and output_stride // ROOT_STRIDE,
                    store_non_strided_activations,
                    final_endpoint,
                )
            end_points = slim.utils.convert_collection_to_dict(collection)
            if stopped:
                return net, end_points

            if global_pool:
                net = end_points["global_pool"] = global_average(net, name="pool5")
            if not num_classes:
                return net, end_points
            net = slim.conv2d(
                net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="logits"
            )
            end_points[f"{sc.name}/logits"] = net
            if spatial_squeeze:
                net = end_points[f"{sc.name}/spatial_squeeze"] = squeeze_spatial(net)
            end_points["predictions"] = slim.softmax(net, scope="predictions")
            return net, end_points


def _resnet_v1(name, units):
    """The network with so many bottleneck units in each of its four blocks."""

    def network(
        inputs,
        num_classes=1000,
        is_training=True,
        global_pool=True,
        output_stride=None,
        spatial_squeeze=True,
        store_non_strided_activations=False,
        min_base_depth=8,
        depth_multiplier=1,
        reuse=None,
        scope=name,
        final_endpoint=None,
    ):
        check_depth_multiplier(depth_multiplier)
        blocks = [
            resnet_block(
                f"block{number}",
                bottleneck,
                base_depth=max(int(depth * depth_multiplier), min_base_depth),
                num_units=num_units,
                stride=stride,
            )
            for number, (depth, num_units, stride) in enumerate(
                zip((64, 128, 256, 512), units, (2, 2, 2, 1), strict=True), 1
            )
        ]
        return resnet_v1(
            inputs,
            blocks,
            num_classes,
            is_training,
            global_pool=global_pool,
            output_stride=output_stride,
            spatial_squeeze=spatial_squeeze,
            store_non_strided_activations=store_non_strided_activations,
            reuse=reuse,
            scope=scope,
            final_endpoint=final_endpoint,
        )

    network.__name__ = network.__qualname__ = name
    network.default_image_size = 224
    return network


resnet_v1_50 = _resnet_v1("resnet_v1_50", (3, 4, 6, 3))
resnet_v1_101 = _resnet_v1("resnet_v1_101", (3, 4, 23, 3))
resnet_v1_152 = _resnet_v1("resnet_v1_152", (3, 8, 36, 3))
resnet_v1_200 = _resnet_v1("resnet_v1_200", (3, 24, 36, 3))


class ResNetV1_50(TF1Network):
    """ResNet v1 with 50 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(resnet_v1_50)
    arg_scope = staticmethod(resnet_arg_scope)
    scope = "resnet_v1_50"
    default_image_size = 224
    minimum_image_size = 1
    head = ("resnet_v1_50/logits",)


class ResNetV1_101(TF1Network):
    """ResNet v1 with 101 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(resnet_v1_101)
    arg_scope = staticmethod(resnet_arg_scope)
    scope = "resnet_v1_101"
    default_image_size = 224
    minimum_image_size = 1
    head = ("resnet_v1_101/logits",)


class ResNetV1_152(TF1Network):
    """ResNet v1 with 152 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(resnet_v1_152)
    arg_scope = staticmethod(resnet_arg_scope)
    scope = "resnet_v1_152"
    default_image_size = 224
    minimum_image_size = 1
    head = ("resnet_v1_152/logits",)


class ResNetV1_200(TF1Network):
    """ResNet v1 with 200 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(resnet_v1_200)
    arg_scope = staticmethod(resnet_arg_scope)
    scope = "resnet_v1_200"
    default_image_size = 224
    minimum_image_size = 1
    head = ("resnet_v1_200/logits",)
