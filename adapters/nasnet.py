"""NASNet-A (Zoph et al., 2017, https://arxiv.org/abs/1707.07012), for CIFAR and ImageNet.

Wiring, names and defaults are those of the Slim model library's nasnet.py.
"""

from __future__ import annotations

from .nasnet_cells import (
    CellNetwork,
    Cells,
    Config,
    Map,
    Operation,
    Wiring,
    auxiliary_logits,
    check_end_point,
    classified,
    data_format_scope,
    imagenet_stem,
    in_data_format,
    nasnet_arg_scope,
    slim,
)

_AVG, _MAX, _NONE = Operation("avg_pool"), Operation("max_pool"), Operation("none")
_SEP3, _SEP5, _SEP7 = (Operation("separable", kernel) for kernel in (3, 5, 7))

# Figure 4 of the paper.
NORMAL_CELL = Wiring(
    blocks=(
        ((_SEP5, 0), (_SEP3, 1)),
        ((_SEP5, 1), (_SEP3, 1)),
        ((_AVG, 0), (_NONE, 1)),
        ((_AVG, 1), (_AVG, 1)),
        ((_SEP3, 0), (_NONE, 0)),
    ),
    outputs=(1, 2, 3, 4, 5, 6),
)
REDUCTION_CELL = Wiring(
    blocks=(
        ((_SEP5, 0), (_SEP7, 1)),
        ((_MAX, 0), (_SEP7, 1)),
        ((_AVG, 0), (_SEP5, 1)),
        ((_NONE, 3), (_AVG, 2)),
        ((_SEP3, 2), (_MAX, 0)),
    ),
    outputs=(3, 4, 5, 6),
)

CIFAR = Config(
    num_cells=18,
    num_conv_filters=32,
    stem_multiplier=3.0,
    drop_path_keep_prob=0.6,
    dense_dropout_keep_prob=1.0,
    total_training_steps=937500,
    skip_reduction_layer_input=0,
)
MOBILE = Config(
    num_cells=12,
    num_conv_filters=44,
    stem_multiplier=1.0,
    drop_path_keep_prob=1.0,
    dense_dropout_keep_prob=0.5,
    total_training_steps=250000,
    skip_reduction_layer_input=0,
)
LARGE = Config(
    num_cells=18,
    num_conv_filters=168,
    stem_multiplier=3.0,
    drop_path_keep_prob=0.7,
    dense_dropout_keep_prob=0.5,
    total_training_steps=250000,
    skip_reduction_layer_input=1,
)


def nasnet_cifar_arg_scope(weight_decay=5e-4, batch_norm_decay=0.9, batch_norm_epsilon=1e-5):
    return nasnet_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_mobile_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    return nasnet_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_large_arg_scope(weight_decay=5e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    return nasnet_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def build_nasnet_cifar(
    images,
    num_classes=10,
    is_training=True,
    config=None,
    current_step=None,
    create_aux_logits=False,
):
    config = CIFAR.changed(config)
    cells = Cells(config, config.num_cells + 2, is_training, current_step)
    with slim.arg_scope(data_format_scope(config, is_training)):
        net = slim.conv2d(
            in_data_format(images, config),
            int(config.num_conv_filters * config.stem_multiplier),
            3,
            scope="l1_stem_3x3",
        )
        net = Map(slim.batch_norm(net, scope="l1_stem_bn"), 0)
        return _nasnet(cells, None, net, num_classes, None, create_aux_logits)


def build_nasnet_mobile(
    images,
    num_classes=1001,
    is_training=True,
    final_endpoint=None,
    config=None,
    current_step=None,
    create_aux_logits=False,
):
    return _imagenet_nasnet(
        images,
        num_classes,
        is_training,
        final_endpoint,
        MOBILE.changed(config),
        current_step,
        create_aux_logits,
    )


def build_nasnet_large(
    images,
    num_classes=1001,
    is_training=True,
    final_endpoint=None,
    config=None,
    current_step=None,
    create_aux_logits=False,
):
    return _imagenet_nasnet(
        images,
        num_classes,
        is_training,
        final_endpoint,
        LARGE.changed(config),
        current_step,
        create_aux_logits,
    )


build_nasnet_cifar.default_image_size = 32
build_nasnet_mobile.default_image_size = 224
build_nasnet_large.default_image_size = 331


def _imagenet_nasnet(
    images, num_classes, is_training, final_endpoint, config, current_step, create_aux_logits
):
    check_end_point(final_endpoint, _cell_names(config), num_classes)
    # Two cells of the stem, two reduction cells.
    cells = Cells(config, config.num_cells + 4, is_training, current_step)
    with slim.arg_scope(data_format_scope(config, is_training)):
        before, net = imagenet_stem(cells, in_data_format(images, config), REDUCTION_CELL)
        return _nasnet(cells, before, net, num_classes, final_endpoint, create_aux_logits)


def _cell_names(config: Config):
    for number in range(config.num_cells):
        if number in config.reductions:
            yield f"Reduction_Cell_{config.reductions.index(number)}"
        yield f"Cell_{number}"


def _nasnet(cells, before, net, num_classes, final_endpoint, create_aux_logits):
    """All after the stem, whose last two maps are `before` and `net`."""
    config = cells.config
    end_points = {"Stem": net.net}
    if final_endpoint == "Stem":
        return net.net, end_points
    scaling = 1.0
    for number in range(config.num_cells):
        earlier = before
        if number in config.reductions:
            scaling *= config.filter_scaling_rate
            index = config.reductions.index(number)
            scope = f"reduction_cell_{index}"
            before, net = net, cells.cell(REDUCTION_CELL, net, before, scaling, 2, scope)
            end_points[f"Reduction_Cell_{index}"] = net.net
            if final_endpoint == f"Reduction_Cell_{index}":
                return net.net, end_points
            if not config.skip_reduction_layer_input:
                earlier = before
        before, net = net, cells.cell(NORMAL_CELL, net, earlier, scaling, 1, f"cell_{number}")
        end_points[f"Cell_{number}"] = net.net
        if final_endpoint == f"Cell_{number}":
            return net.net, end_points
        if create_aux_logits and num_classes and number == config.auxiliary_cell:
            end_points["AuxLogits"] = auxiliary_logits(cells, net.net, num_classes, f"aux_{number}")
    return classified(cells, net.net, num_classes, end_points, final_endpoint)


class NASNetCifar(CellNetwork):
    """NASNet-A for CIFAR-10: images (N, 32, 32, 3) float32 -> logits (N, 10)."""

    function = staticmethod(build_nasnet_cifar)
    arg_scope = staticmethod(nasnet_cifar_arg_scope)
    landmark = "l1_stem_3x3"
    default_image_size = 32
    minimum_image_size = 1
    head = ("final_layer/FC", "aux_11/aux_logits/FC")
    auxiliary = ("aux_11",)


class NASNetMobile(CellNetwork):
    """NASNet-A (4 @ 1056): images (N, 224, 224, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(build_nasnet_mobile)
    arg_scope = staticmethod(nasnet_mobile_arg_scope)
    landmark = "cell_stem_0"
    default_image_size = 224
    minimum_image_size = 3
    head = ("final_layer/FC", "aux_7/aux_logits/FC")
    auxiliary = ("aux_7",)


class NASNetLarge(CellNetwork):
    """NASNet-A (6 @ 4032): images (N, 331, 331, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(build_nasnet_large)
    arg_scope = staticmethod(nasnet_large_arg_scope)
    landmark = "cell_stem_0"
    default_image_size = 331
    minimum_image_size = 3
    head = ("final_layer/FC", "aux_11/aux_logits/FC")
    auxiliary = ("aux_11",)
