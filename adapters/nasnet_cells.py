"""What NASNet and PNASNet share: the convolutional cell, the stem, the heads, the arg scope.

A cell (Zoph et al., 2017, https://arxiv.org/abs/1707.07012, section 3) makes five states, each
the sum of two operations on two earlier ones; the cell's wiring is what the search found. Names,
defaults and details are those of the Slim model library's nasnet_utils.py and nasnet.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.errors import ArgumentError, InputShapeError, nearest_names
from zoo.shim import TF1Network

from .heads import check_final_endpoint, check_map


def nasnet_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon):
    """Bare convolutions, with an L2 loss on their kernels; batch norm stands on its own."""
    with (
        slim.arg_scope(
            [slim.fully_connected, slim.conv2d, slim.separable_conv2d],
            weights_regularizer=slim.l2_regularizer(float(weight_decay)),
            weights_initializer=slim.variance_scaling_initializer(mode="FAN_OUT"),
            activation_fn=None,
        ),
        slim.arg_scope([slim.fully_connected], scope="FC"),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], biases_initializer=None),
        slim.arg_scope(
            [slim.batch_norm],
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
            scale=True,
            fused=True,
        ) as scope,
    ):
        return scope


@dataclasses.dataclass(frozen=True)
class Config:
    """Hyper-parameters, under the names that the original's configurations have.

    Attributes:
        num_cells: normal cells, without the stem's and the reduction cells.
        num_conv_filters: width of a state in the first cells.
        stem_multiplier: widens the stem's convolution.
        drop_path_keep_prob: of the last cell, at the end of training; training alone.
        dense_dropout_keep_prob: before the classifier.
        total_training_steps: over which drop path grows to its full rate.
        skip_reduction_layer_input: 1 where the cell after a reduction skips over it.
        filter_scaling_rate: how much wider cells are after each reduction.
        num_reduction_layers: how often the map is halved after the stem.
        use_aux_head: 0 leaves out the auxiliary head, whatever else is said.
        data_format: "NHWC" or "NCHW", inside the network; images are NHWC.
        use_bounded_activation: ReLU6 for ReLU, and states cut to [-6, 6], for quantization.
    """

    num_cells: int
    num_conv_filters: int
    stem_multiplier: float
    drop_path_keep_prob: float
    dense_dropout_keep_prob: float
    total_training_steps: int
    skip_reduction_layer_input: int
    filter_scaling_rate: float = 2.0
    num_reduction_layers: int = 2
    use_aux_head: int = 1
    data_format: str = "NHWC"
    use_bounded_activation: bool = False

    def changed(self, changes: Mapping[str, object] | None) -> Config:
        """This configuration, with other values for some of its names."""
        accepted = [field.name for field in dataclasses.fields(self)]
        for name in changes or ():
            if name not in accepted:
                raise ArgumentError(
                    f"The network's configuration has no {name!r}.",
                    received=f"config={dict(changes)!r}",
                    accepted=", ".join(accepted),
                    nearest=nearest_names(str(name), accepted),
                )
        changed = dataclasses.replace(self, **(changes or {}))
        if changed.data_format not in ("NHWC", "NCHW"):
            raise ArgumentError(
                "The network has no such data format.",
                received=f"data_format={changed.data_format!r}",
                accepted="'NHWC' or 'NCHW'",
            )
        return changed

    @property
    def reductions(self) -> list[int]:
        """The normal cells at which the map is halved."""
        parts = self.num_reduction_layers + 1
        return [int(float(part) / parts * self.num_cells) for part in range(1, parts)]

    @property
    def auxiliary_cell(self) -> int | None:
        """The normal cell that the auxiliary head stands on: the last before the second halving."""
        halvings = self.reductions
        return halvings[1] - 1 if self.use_aux_head and len(halvings) >= 2 else None


class Operation(NamedTuple):
    kind: str  # "separable", "avg_pool", "max_pool" or "none"
    kernel: int = 3


class Wiring(NamedTuple):
    """A cell as it was found.

    Attributes:
        blocks: five sums of two (operation, state) pairs. State 0 is the cell's input, state 1 the
            input of the cell before, state 2 the first sum, and so on.
        outputs: the states that are nobody's input; together they are the cell's output.
    """

    blocks: tuple
    outputs: tuple[int, ...]


class Map(NamedTuple):
    """A feature map, and how many times it has been halved."""

    net: tf.Tensor
    halvings: int


class Cells:
    """Builds the cells of one network.

    Args:
        config: the network's.
        total_cells: number of all of its cells: drop path grows with a cell's depth.
        is_training: whether drop path is active.
        current_step: training steps done so far; see `drop_path_rate`.
    """

    def __init__(
        self,
        config: Config,
        total_cells: int,
        is_training: bool,
        current_step: float | Callable | None,
    ) -> None:
        self.config = config
        self.axis = 3 if config.data_format == "NHWC" else 1
        self.activation = tf.nn.relu6 if config.use_bounded_activation else tf.nn.relu
        self._total_cells = total_cells
        self._is_training = is_training
        self._current_step = current_step
        self._made = 0

    def cell(
        self,
        wiring: Wiring,
        net: Map,
        before: Map | None,
        scaling: float,
        stride: int,
        scope: str,
    ) -> Map:
        """The next cell.

        Args:
            net: its input.
            before: the input of the cell before, if there was one.
            scaling: its width, in units of `num_conv_filters`.
            stride: 2 halves the map.
        """
        width = int(self.config.num_conv_filters * scaling)
        with tf.variable_scope(scope):
            second = net.net if before is None else self._fitted(before, net.halvings, width)
            first = self._conv(self.activation(net.net), width, "1x1", "beginning_bn")
            states = [first, second]
            for number, block in enumerate(wiring.blocks):
                with tf.variable_scope(f"comb_iter_{number}"):
                    states.append(self._sum(block, states, width, stride))
            with tf.variable_scope("cell_output"):
                outputs = [self._output(number, states[number], width) for number in wiring.outputs]
                result = tf.concat(outputs, self.axis)
        self._made += 1
        return Map(result, net.halvings + (stride == 2))

    def _width(self, net: tf.Tensor) -> int:
        return net.shape[self.axis]

    def _conv(self, net, width, scope, batch_norm_scope, stride=1):
        net = slim.conv2d(net, width, 1, stride=stride, scope=scope)
        return slim.batch_norm(net, scope=batch_norm_scope)

    def _fitted(self, before: Map, halvings: int, width: int):
        """The input of the cell before, of the size and width of this cell's own."""
        # The original compares the maps' widths in pixels, which must then be known.
        if before.halvings != halvings:
            return self._factorized_reduction(self.activation(before.net), width)
        if self._width(before.net) != width:
            return self._conv(self.activation(before.net), width, "prev_1x1", "prev_bn")
        return before.net

    def _factorized_reduction(self, net, width):
        """Half the size: half of the channels from even places, the others from odd ones."""
        spatial = slice(1, 3) if self.axis == 3 else slice(2, 4)
        padding = [[0, 0]] * 4
        padding[spatial] = [[0, 1]] * 2
        begin = [0] * 4
        begin[spatial] = [1] * 2
        shifted = tf.slice(tf.pad(net, padding), begin, [-1] * 4)
        shifted.set_shape(net.shape)
        widths = (width // 2, width - width // 2)
        paths = [
            slim.conv2d(slim.avg_pool2d(path, 1, stride=2, padding="VALID"), part, 1, scope=scope)
            for path, part, scope in zip(
                (net, shifted), widths, ("path1_conv", "path2_conv"), strict=True
            )
        ]
        return slim.batch_norm(tf.concat(paths, self.axis), scope="final_path_bn")

    def _sum(self, block, states, width, stride):
        terms = []
        for side, (operation, number) in zip(("left", "right"), block, strict=True):
            with tf.variable_scope(side):
                # What the cell has made itself is halved already.
                its_stride = stride if number < 2 else 1
                terms.append(self._apply(operation, states[number], width, its_stride))
        total = terms[0] + terms[1]
        return tf.nn.relu6(total) if self.config.use_bounded_activation else total

    def _apply(self, operation: Operation, net, width, stride):
        bounded = self.config.use_bounded_activation
        fits = self._width(net) == width
        if operation.kind == "none":
            net = tf.nn.relu6(net) if bounded else net
            if fits and stride == 1:
                return net
            net = net if bounded else tf.nn.relu(net)
            return self._bounded(self._conv(net, width, "1x1", "bn_1", stride))
        if operation.kind == "separable":
            net = self._two_separable(net, width, operation.kernel, stride)
        else:
            pool = {"avg_pool": slim.avg_pool2d, "max_pool": slim.max_pool2d}[operation.kind]
            net = tf.nn.relu6(net) if bounded else net
            net = pool(net, operation.kernel, stride=stride, padding="SAME")
            net = net if fits else self._conv(net, width, "1x1", "bn_1")
        return self._drop_path(self._bounded(net))

    def _two_separable(self, net, width, kernel, stride):
        for number in (1, 2):
            net = slim.separable_conv2d(
                self.activation(net),
                width,
                kernel,
                depth_multiplier=1,
                stride=stride if number == 1 else 1,
                scope=f"separable_{kernel}x{kernel}_{number}",
            )
            net = slim.batch_norm(net, scope=f"bn_sep_{kernel}x{kernel}_{number}")
        return net

    def _bounded(self, net):
        return tf.clip_by_value(net, -6, 6) if self.config.use_bounded_activation else net

    def _output(self, number, net, width):
        if self._width(net) == width:
            return net
        with tf.variable_scope(f"reduction_{number}"):
            return self._conv(net, width, "path_conv", "path_bn")

    def _drop_path(self, net):
        """Zero for some images of the batch, and larger for the others to make up for it."""
        if not self._is_training or self.config.drop_path_keep_prob >= 1:
            return net
        keep = 1 - self.drop_path_rate()
        kept = tf.floor(keep + tf.random_uniform([tf.shape(net)[0], 1, 1, 1]))
        return net * tf.cast(kept / keep, net.dtype)

    def drop_path_rate(self) -> float | tf.Tensor:
        """How often a path of the current cell is dropped.

        It grows in proportion to the cell's depth, and over `total_training_steps` from 0. The
        step is `current_step`, or else the global step of the TF1 graph being built. Where there
        is neither, the full rate holds from the start: the original makes a global step itself,
        but a variable of the network's own would be one that checkpoints lack. The original's
        stem goes by the global step even where a step is given; here all cells go by that step.
        """
        depth = (self._made + 1) / self._total_cells
        rate = depth * (1 - self.config.drop_path_keep_prob)
        step = self._current_step
        step = step() if callable(step) else step
        step = tf.train.get_global_step() if step is None else step
        if step is None:
            return rate
        return rate * tf.minimum(1.0, tf.cast(step, tf.float32) / self.config.total_training_steps)


def imagenet_stem(cells: Cells, images, wiring: Wiring) -> tuple[Map, Map]:
    """A convolution and two cells, of an eighth of the size: the last two maps."""
    config = cells.config
    net = slim.conv2d(
        images,
        int(32 * config.stem_multiplier),
        [3, 3],
        stride=2,
        padding="VALID",
        scope="conv0",
    )
    before, net = None, Map(slim.batch_norm(net, scope="conv0_bn"), 0)
    for number in range(2):
        scaling = config.filter_scaling_rate ** (number - 2)
        made = cells.cell(wiring, net, before, scaling, 2, f"cell_stem_{number}")
        before, net = net, made
    return before, net


def data_format_scope(config: Config, is_training: bool):
    """Arg scope of everything in the network."""
    with (
        slim.arg_scope([slim.dropout, slim.batch_norm], is_training=is_training),
        slim.arg_scope(
            [
                slim.avg_pool2d,
                slim.max_pool2d,
                slim.conv2d,
                slim.batch_norm,
                slim.separable_conv2d,
            ],
            data_format=config.data_format,
        ) as scope,
    ):
        return scope


def in_data_format(images, config: Config):
    return images if config.data_format == "NHWC" else tf.transpose(images, [0, 3, 1, 2])


def auxiliary_logits(cells: Cells, net, num_classes, scope):
    """The classifier on a cell in the middle, whose loss helps in training."""
    axes = (1, 2) if cells.axis == 3 else (2, 3)
    leave_out = "create_aux_logits=False leaves them out."
    if any(net.shape[axis] is None for axis in axes):
        raise InputShapeError(
            "The auxiliary logits have a kernel as large as their map.",
            received=f"a map of unknown size, {tuple(net.shape)}",
            next_step=leave_out,
        )
    with tf.variable_scope(scope), tf.variable_scope("aux_logits"):
        net = cells.activation(net)
        channels_last = net if cells.axis == 3 else tf.transpose(net, [0, 2, 3, 1])
        check_map(channels_last, 5, "the auxiliary logits' pooling", leave_out)
        net = slim.avg_pool2d(net, [5, 5], stride=3, padding="VALID")
        net = slim.conv2d(net, 128, [1, 1], scope="proj")
        net = cells.activation(slim.batch_norm(net, scope="aux_bn0"))
        net = slim.conv2d(net, 768, [net.shape[axis] for axis in axes], padding="VALID")
        net = cells.activation(slim.batch_norm(net, scope="aux_bn1"))
        return slim.fully_connected(slim.flatten(net), num_classes)


def classified(cells: Cells, net, num_classes, end_points, final_endpoint):
    """The head on the last cell: (logits, end points), or features for `num_classes` 0."""
    with tf.variable_scope("final_layer"):
        net = tf.reduce_mean(cells.activation(net), (1, 2) if cells.axis == 3 else (2, 3))
        end_points["global_pool"] = net
        if final_endpoint == "global_pool" or not num_classes:
            return net, end_points
        net = slim.dropout(net, cells.config.dense_dropout_keep_prob, scope="dropout")
        logits = end_points["Logits"] = slim.fully_connected(net, num_classes)
        if final_endpoint != "Logits":
            end_points["Predictions"] = tf.nn.softmax(logits, name="predictions")
    return end_points[final_endpoint or "Logits"], end_points


def check_end_point(final_endpoint, cell_names, num_classes) -> None:
    """Raises ArgumentError for an end point that the network does not have."""
    head = ("global_pool", "Logits", "Predictions") if num_classes else ("global_pool",)
    check_final_endpoint(final_endpoint, ("Stem", *cell_names, *head))


class CellNetwork(TF1Network):
    """Base of the networks of cells.

    Beside the original's arguments they take `create_aux_logits` (the original makes its
    auxiliary head in training and never else; here it is made, in training and inference, where
    this is True, and its logits are the end point "AuxLogits"), `config` (a mapping of
    hyper-parameters that differ from the published network's; see `Config`) and `current_step`: a
    number, or a function of nothing that reads a variable, such as
    `lambda: model.optimizer.iterations`. Drop path grows with it; see `Cells.drop_path_rate`.
    With `final_endpoint` "Logits" or "Predictions" that end point is the result, where the original
    gives the features before the logits.
    """

    scope = ""

    def get_config(self) -> dict:
        config = super().get_config()
        if callable(config.get("current_step")):  # a matter of one training run, and no data
            del config["current_step"]
        return config
