"""PNASNet-5 (Liu et al., 2017, https://arxiv.org/abs/1712.00559).

Wiring, names and defaults are those of the Slim model library's pnasnet.py.
"""

from __future__ import annotations

from .nasnet_cells import (
    CellNetwork,
    Cells,
    Config,
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

_MAX, _NONE = Operation("max_pool"), Operation("none")
_SEP3, _SEP5, _SEP7 = (Operation("separable", kernel) for kernel in (3, 5, 7))

# Figure 1 of the paper; the one cell of the network, with stride 2 where the map is halved.
CELL = Wiring(
    blocks=(
        ((_SEP5, 1), (_MAX, 1)),
        ((_SEP7, 0), (_MAX, 0)),
        ((_SEP5, 0), (_SEP3, 0)),
        ((_SEP3, 4), (_MAX, 0)),
        ((_SEP3, 1), (_NONE, 0)),
    ),
    outputs=(2, 3, 4, 5, 6),
)

MOBILE = Config(
    num_cells=9,
    num_conv_filters=54,
    stem_multiplier=1.0,
    drop_path_keep_prob=1.0,
    dense_dropout_keep_prob=0.5,
    total_training_steps=250000,
    skip_reduction_layer_input=1,
)
LARGE = Config(
    num_cells=12,
    num_conv_filters=216,
    stem_multiplier=3.0,
    drop_path_keep_prob=0.6,
    dense_dropout_keep_prob=0.5,
    total_training_steps=250000,
    skip_reduction_layer_input=1,
)


def pnasnet_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=0.001):
    return nasnet_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


pnasnet_mobile_arg_scope = pnasnet_large_arg_scope = pnasnet_arg_scope


def build_pnasnet_mobile(
    images,
    num_classes=1001,
    is_training=True,
    final_endpoint=None,
    config=None,
    current_step=None,
    create_aux_logits=False,
):
    config = MOBILE.changed(config)
    return _pnasnet(
        images, num_classes, is_training, final_endpoint, config, current_step, create_aux_logits
    )


def build_pnasnet_large(
    images,
    num_classes=1001,
    is_training=True,
    final_endpoint=None,
    config=None,
    current_step=None,
    create_aux_logits=False,
):
    config = LARGE.changed(config)
    return _pnasnet(
        images, num_classes, is_training, final_endpoint, config, current_step, create_aux_logits
    )


build_pnasnet_mobile.default_image_size = 224
build_pnasnet_large.default_image_size = 331


def _pnasnet(
    images, num_classes, is_training, final_endpoint, config, current_step, create_aux_logits
):
    names = [f"Cell_{number}" for number in range(config.num_cells)]
    check_end_point(final_endpoint, names, num_classes)
    cells = Cells(config, config.num_cells + 2, is_training, current_step)
    with slim.arg_scope(data_format_scope(config, is_training)):
        before, net = imagenet_stem(cells, in_data_format(images, config), CELL)
        end_points = {"Stem": net.net}
        if final_endpoint == "Stem":
            return net.net, end_points
        scaling, earlier = 1.0, None
        for number in range(config.num_cells):
            halves = number in config.reductions
            scaling *= config.filter_scaling_rate if halves else 1
            # Without the skip, a cell that halves gets what the one before it got.
            if config.skip_reduction_layer_input or not halves:
                earlier = before
            stride, scope = (2 if halves else 1), f"cell_{number}"
            before, net = net, cells.cell(CELL, net, earlier, scaling, stride, scope)
            end_points[f"Cell_{number}"] = net.net
            if final_endpoint == f"Cell_{number}":
                return net.net, end_points
            if create_aux_logits and num_classes and number == config.auxiliary_cell:
                end_points["AuxLogits"] = auxiliary_logits(
                    cells, net.net, num_classes, f"aux_{number}"
                )
        return classified(cells, net.net, num_classes, end_points, final_endpoint)


class PNASNetMobile(CellNetwork):
    """PNASNet-5 mobile: images (N, 224, 224, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(build_pnasnet_mobile)
    arg_scope = staticmethod(pnasnet_mobile_arg_scope)
    landmark = "cell_stem_0"
    default_image_size = 224
    minimum_image_size = 3
    head = ("final_layer/FC", "aux_5/aux_logits/FC")
    auxiliary = ("aux_5",)


class PNASNetLarge(CellNetwork):
    """PNASNet-5 large: images (N, 331, 331, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(build_pnasnet_large)
    arg_scope = staticmethod(pnasnet_large_arg_scope)
    landmark = "cell_stem_0"
    default_image_size = 331
    minimum_image_size = 3
    head = ("final_layer/FC", "aux_7/aux_logits/FC")
    auxiliary = ("aux_7",)
