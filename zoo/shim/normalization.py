"""TF1's batch normalization layer, which TensorFlow 2.16+ has no copy of any more.

`tf.compat.v1.layers.BatchNormalization` lived in the legacy part of Keras 2. TensorFlow still
carries the base class of that family and the convolution and pooling layers in
`tensorflow.python.layers`; only the normalization was left behind. This module puts it back on
that same base class, after TensorFlow 1.15 (`tensorflow/python/layers/normalization.py` and the
v1 class in `tensorflow/python/keras/layers/normalization.py`): the same variables, numbers and
update ops.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.framework.smart_cond import smart_cond, smart_constant_value
from tensorflow.python.keras import backend, constraints, initializers, regularizers
from tensorflow.python.layers import base

from zoo.errors import ArgumentError
from zoo.shim import freezing

v1 = tf.compat.v1

_RENORM_CLIPPING_KEYS = ("rmax", "rmin", "dmax")

# The smallest that the fused kernel takes. TensorFlow 1.15's tf.nn.fused_batch_norm raises others
# to it; that of 2.21 takes them as they are, which shows where a channel hardly varies.
FUSED_EPSILON = 1.001e-5

_in_plain_arithmetic = contextvars.ContextVar("batch_norm_in_plain_arithmetic", default=False)


@contextlib.contextmanager
def batch_norm_in_plain_arithmetic() -> Iterator[None]:
    """Layers that are built within go without the fused kernel, whatever `fused` says.

    That is the same function, by the fused kernel's epsilon, with another rounding; but
    `moving_variance` follows the biased variance, as in Keras's own batch normalization.
    """
    token = _in_plain_arithmetic.set(True)
    try:
        yield
    finally:
        _in_plain_arithmetic.reset(token)


class BatchNormalization(base.Layer):
    """Batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) as in TensorFlow 1.15.

    Variables, each of shape (channels,), float32 even for float16 and bfloat16 inputs:
    `gamma` and `beta` (trainable), `moving_mean` and `moving_variance`, and with `renorm` also
    `moving_stddev`, `renorm_mean` and `renorm_stddev` (not trainable). With several axes or with
    virtual batches they have the rank of the input, with 1 in every other dimension.

    In training the moving averages move by `(1 - momentum)` of the distance to the batch's
    moments. In a graph the two update ops are in `updates` and in the collection UPDATE_OPS; in
    eager mode and in a `tf.function` they run at once. With `trainable=False` there are none.

    The fused kernel (rank 4, axis 1 or 3, no renorm, virtual batch or adjustment) differs from
    the plain arithmetic in two ways: an epsilon below 1.001e-5 is raised to that, and
    `moving_variance` follows the unbiased variance of the batch, not the biased one.

    Args:
        axis: the axis, or list of axes, that keeps its own statistics; -1 is the last.
        momentum: how much of a moving average one update keeps.
        epsilon: is added to the variance.
        center: whether there is a `beta`.
        scale: whether there is a `gamma`.
        beta_initializer, gamma_initializer, moving_mean_initializer,
        moving_variance_initializer: initializers, or their Keras names.
        beta_regularizer, gamma_regularizer: functions of the variable that return a loss.
        beta_constraint, gamma_constraint: projections for optimizers to apply after an update.
        renorm: batch renormalization (Ioffe 2017, arXiv:1702.03275).
        renorm_clipping: bounds of the renorm corrections, scalars by the keys rmax, rmin, dmax.
        renorm_momentum: as `momentum`, for `renorm_mean` and `renorm_stddev`.
        fused: False forbids the fused kernel; None and True use it where it can be.
        trainable: whether `beta` and `gamma` are trainable and moving averages are updated.
        virtual_batch_size: normalize groups of the batch separately; it must divide the batch.
        adjustment: a function of the input's shape that returns (scale, bias) for the
            normalized values, applied in training only.
        name: the layer's name, and its variable scope.
        **kwargs: `dtype` and what else TF1 layers take.

    Raises:
        ArgumentError: an argument, or the shape of the input, does not fit the others.
    """

    def __init__(
        self,
        axis: int | list[int] = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm: bool = False,
        renorm_clipping: dict | None = None,
        renorm_momentum: float = 0.99,
        fused: bool | None = None,
        trainable: bool = True,
        virtual_batch_size: int | None = None,
        adjustment: Callable | None = None,
        name: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self.axis = _axis_list(axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = _checked_renorm_clipping(renorm_clipping or {})
        self.renorm_momentum = renorm_momentum
        self.fused = fused is None or bool(fused)
        self.virtual_batch_size = virtual_batch_size
        self.adjustment = adjustment
        self.supports_masking = True

    @property
    def _param_dtype(self) -> tf.DType:
        dtype = tf.as_dtype(self.dtype or tf.float32)
        return tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype

    # ----- variables -----

    def build(self, input_shape) -> None:
        input_shape = tf.TensorShape(input_shape)
        if not input_shape.rank:
            raise ArgumentError(
                "The input of a batch normalization has undefined rank.",
                received=f"shape {input_shape}",
                accepted="rank 1 or more, known when the layer is called",
            )
        rank = input_shape.rank
        self.axis = _resolved_axes(self.axis, rank)
        if self.virtual_batch_size is not None:
            self._check_virtual_batch()
        self.fused = self.fused and rank == 4 and self._fused_can_be_used()
        if self.fused:
            self.epsilon = max(self.epsilon, FUSED_EPSILON)
            self.fused = not _in_plain_arithmetic.get()
        sizes = {axis: tf.compat.dimension_value(input_shape[axis]) for axis in self.axis}
        if None in sizes.values():
            raise ArgumentError(
                "The input of a batch normalization has an undefined `axis` dimension.",
                received=f"shape {input_shape}, axis {self.axis}",
            )
        self.input_spec = base.InputSpec(ndim=rank, axes=sizes)
        self._add_variables(self._param_shape(sizes, rank))
        if self.virtual_batch_size is not None:
            # `call` puts the groups of the batch into a new dimension 1.
            self.axis = [axis + 1 for axis in self.axis]
        self.built = True

    def _check_virtual_batch(self) -> None:
        if self.virtual_batch_size <= 0:
            raise ArgumentError(
                "virtual_batch_size must be a positive integer that divides the batch.",
                received=self.virtual_batch_size,
            )
        if 0 in self.axis:
            raise ArgumentError(
                "With virtual_batch_size, dimension 0 is the batch and cannot be normalized.",
                received=f"axis {self.axis}",
            )
        if self.adjustment is not None:
            raise ArgumentError("virtual_batch_size and adjustment exclude each other.")

    def _fused_can_be_used(self) -> bool:
        return (
            self.axis in ([1], [3])
            and not self.renorm
            and self.virtual_batch_size is None
            and self.adjustment is None
        )

    def _param_shape(self, sizes: dict[int, int], rank: int) -> list[int]:
        if len(sizes) == 1 and self.virtual_batch_size is None:
            return list(sizes.values())
        shape = [sizes.get(axis, 1) for axis in range(rank)]
        if self.virtual_batch_size is not None:
            shape.insert(1, 1)
        return shape

    def _add_variables(self, shape: list[int]) -> None:
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._add_parameter(
                "gamma",
                shape,
                self.gamma_initializer,
                self.gamma_regularizer,
                self.gamma_constraint,
            )
        if self.center:
            self.beta = self._add_parameter(
                "beta", shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint
            )
        # Moving averages cannot be assigned piece by piece: no partitioning for them.
        partitioner = self._scope.partitioner if self._scope else None
        if partitioner:
            self._scope.set_partitioner(None)
        try:
            self._add_statistics(shape)
        finally:
            if partitioner:
                self._scope.set_partitioner(partitioner)

    def _add_statistics(self, shape: list[int]) -> None:
        mean_initializer = self.moving_mean_initializer
        variance_initializer = self.moving_variance_initializer

        def stddev_initializer(*args, **kwargs):
            return tf.sqrt(variance_initializer(*args, **kwargs))

        self.moving_mean = self._add_statistic("moving_mean", shape, mean_initializer)
        self.moving_variance = self._add_statistic("moving_variance", shape, variance_initializer)
        if not self.renorm:
            return
        extended = tf.distribute.get_strategy().extended
        with extended.colocate_vars_with(self.moving_variance):
            self.moving_stddev = self._add_statistic("moving_stddev", shape, stddev_initializer)
        with extended.colocate_vars_with(self.moving_mean):
            self.renorm_mean = self._add_statistic("renorm_mean", shape, mean_initializer)
        with extended.colocate_vars_with(self.moving_stddev):
            self.renorm_stddev = self._add_statistic("renorm_stddev", shape, stddev_initializer)

    def _add_parameter(self, name, shape, initializer, regularizer, constraint):
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=self._param_dtype,
            initializer=initializer,
            regularizer=regularizer,
            constraint=constraint,
            trainable=True,
            experimental_autocast=False,
        )

    def _add_statistic(self, name, shape, initializer):
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=self._param_dtype,
            initializer=initializer,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=v1.VariableAggregation.MEAN,
            trainable=False,
            experimental_autocast=False,
        )

    # ----- the arithmetic -----

    # Everything here is decided in Python, or by smart_cond: AutoGraph has nothing to convert.
    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training=False) -> tf.Tensor:
        """Normalizes `inputs`; `training` is a bool or a scalar bool tensor."""
        if training is None:
            training = backend.learning_phase()
        if isinstance(training, tf.Variable):
            training = tf.convert_to_tensor(training)
        if freezing.is_frozen():
            training = False
        if self.fused:
            return self._call_fused(inputs, training)
        if self.virtual_batch_size is None:
            return self._call_plain(inputs, training)
        original_shape = [-1] + inputs.shape.as_list()[1:]
        groups = tf.reshape(inputs, [self.virtual_batch_size, -1] + original_shape[1:])
        return tf.reshape(self._call_plain(groups, training), original_shape)

    def _call_fused(self, inputs, training):
        channels = self.moving_mean.shape
        gamma = self.gamma if self.scale else tf.ones(channels, self._param_dtype)
        beta = self.beta if self.center else tf.zeros(channels, self._param_dtype)
        options = {
            "epsilon": self.epsilon,
            "data_format": "NCHW" if self.axis == [1] else "NHWC",
        }

        def with_batch_moments():
            return v1.nn.fused_batch_norm(inputs, gamma, beta, **options)

        def with_moving_averages():
            return v1.nn.fused_batch_norm(
                inputs,
                gamma,
                beta,
                mean=self.moving_mean,
                variance=self.moving_variance,
                is_training=False,
                **options,
            )

        outputs, mean, variance = smart_cond(training, with_batch_moments, with_moving_averages)
        known = smart_constant_value(training)
        if known is False:
            return outputs
        momentum = kept = tf.convert_to_tensor(self.momentum)
        if known is None:
            # Momentum 1 leaves the moving averages as they are.
            momentum = smart_cond(training, lambda: kept, lambda: tf.ones_like(kept))
        self.add_update(lambda: _move_average(self.moving_mean, mean, momentum, inputs))
        self.add_update(lambda: _move_average(self.moving_variance, variance, momentum, inputs))
        return outputs

    def _call_plain(self, inputs, training):
        rank = inputs.shape.rank
        reduced = [axis for axis in range(rank) if axis not in self.axis]
        if self.virtual_batch_size is not None:
            del reduced[1]  # the dimension of the groups

        def broadcast(value):
            # Needed for a single axis that is not the last; else the shapes broadcast as they are.
            if value is None or len(value.shape) == rank or reduced == list(range(rank - 1)):
                return value
            shape = [1] * rank
            shape[self.axis[0]] = inputs.shape[self.axis[0]]
            return tf.reshape(value, shape)

        scale, offset = broadcast(self.gamma), broadcast(self.beta)
        if smart_constant_value(training) is False:
            mean, variance = self.moving_mean, self.moving_variance
        else:
            if self.adjustment:
                scale, offset = self._adjusted(inputs, training, scale, offset)
            mean, variance = self._moments(inputs, reduced, training)
            new_mean, new_variance = mean, variance
            if self.virtual_batch_size is not None:
                # One update for all groups, with the mean of their moments.
                new_mean = tf.reduce_mean(mean, axis=1, keepdims=True)
                new_variance = tf.reduce_mean(variance, axis=1, keepdims=True)
            if self.renorm:
                r, d, new_mean, new_variance = self._renorm(
                    new_mean, new_variance, training, inputs
                )
                r = broadcast(tf.stop_gradient(r, name="renorm_r"))
                d = broadcast(tf.stop_gradient(d, name="renorm_d"))
                scale, offset = _compose(r, d, scale, offset)
            self._add_plain_updates(new_mean, new_variance, training, inputs)

        outputs = tf.nn.batch_normalization(
            inputs,
            broadcast(tf.cast(mean, inputs.dtype)),
            broadcast(tf.cast(variance, inputs.dtype)),
            None if offset is None else tf.cast(offset, inputs.dtype),
            None if scale is None else tf.cast(scale, inputs.dtype),
            self.epsilon,
        )
        outputs.set_shape(inputs.shape)  # an adjustment can blur the shape
        return outputs

    def _adjusted(self, inputs, training, scale, offset):
        adj_scale, adj_bias = self.adjustment(tf.shape(inputs))
        adj_scale = smart_cond(training, lambda: adj_scale, lambda: tf.ones_like(adj_scale))
        adj_bias = smart_cond(training, lambda: adj_bias, lambda: tf.zeros_like(adj_bias))
        return _compose(adj_scale, adj_bias, scale, offset)

    def _moments(self, inputs, reduced, training):
        """The batch's mean and variance in training, else the moving averages."""
        keepdims = self.virtual_batch_size is not None or len(self.axis) > 1
        mean, variance = tf.nn.moments(
            tf.cast(inputs, self._param_dtype), reduced, keepdims=keepdims
        )
        mean, variance = _zero_if_empty(mean, inputs), _zero_if_empty(variance, inputs)
        mean = smart_cond(training, lambda: mean, lambda: tf.convert_to_tensor(self.moving_mean))
        variance = smart_cond(
            training, lambda: variance, lambda: tf.convert_to_tensor(self.moving_variance)
        )
        return mean, variance

    def _renorm(self, mean, variance, training, inputs):
        """The corrections r and d, and the moments, which wait for renorm's own updates."""
        stddev = tf.sqrt(variance + self.epsilon)
        known_stddev = tf.maximum(
            self.renorm_stddev, tf.sqrt(tf.constant(self.epsilon, self._param_dtype))
        )
        r = stddev / known_stddev
        d = (mean - self.renorm_mean) / known_stddev
        with tf.control_dependencies([r, d]):  # they use the averages before the update
            mean, stddev = tf.identity(mean), tf.identity(stddev)
        r, d = self._clipped(r, d)
        r = smart_cond(training, lambda: r, lambda: tf.ones_like(r))
        d = smart_cond(training, lambda: d, lambda: tf.zeros_like(d))
        updates = [
            self._updated_in_training(self.renorm_mean, mean, training, inputs),
            self._updated_in_training(self.renorm_stddev, stddev, training, inputs),
        ]
        with tf.control_dependencies(updates):
            return r, d, tf.identity(mean), tf.identity(variance)

    def _clipped(self, r, d):
        rmin, rmax, dmax = (self.renorm_clipping.get(key) for key in ("rmin", "rmax", "dmax"))
        if rmin is not None:
            r = tf.maximum(r, rmin)
        if rmax is not None:
            r = tf.minimum(r, rmax)
        if dmax is not None:
            d = tf.minimum(tf.maximum(d, -dmax), dmax)
        return r, d

    def _updated_in_training(self, variable, value, training, inputs):
        value = tf.identity(value)

        def update():
            moved = _move_average(variable, value, self.renorm_momentum, inputs)
            return variable.read_value() if moved is None else tf.convert_to_tensor(moved)

        return smart_cond(training, update, lambda: tf.convert_to_tensor(variable))

    def _add_plain_updates(self, mean, variance, training, inputs) -> None:
        def update_mean():
            return _move_average(self.moving_mean, mean, self.momentum, inputs)

        def update_variance():
            if not self.renorm:
                return _move_average(self.moving_variance, variance, self.momentum, inputs)
            # Renorm averages the standard deviation, as in its paper, with the same epsilon.
            stddev = tf.sqrt(variance + self.epsilon)
            stddev = tf.convert_to_tensor(
                _move_average(self.moving_stddev, stddev, self.momentum, inputs)
            )
            return v1.assign(self.moving_variance, tf.nn.relu(stddev * stddev - self.epsilon))

        def in_training(update, variable):
            return lambda: smart_cond(
                training,
                lambda: tf.convert_to_tensor(update()),
                lambda: tf.convert_to_tensor(variable),
            )

        self.add_update(in_training(update_mean, self.moving_mean))
        self.add_update(in_training(update_variance, self.moving_variance))

    def compute_output_shape(self, input_shape):
        return input_shape


def batch_normalization(
    inputs: tf.Tensor,
    axis: int | list[int] = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer="zeros",
    gamma_initializer="ones",
    moving_mean_initializer="zeros",
    moving_variance_initializer="ones",
    beta_regularizer=None,
    gamma_regularizer=None,
    beta_constraint=None,
    gamma_constraint=None,
    training=False,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
    renorm: bool = False,
    renorm_clipping: dict | None = None,
    renorm_momentum: float = 0.99,
    fused: bool | None = None,
    virtual_batch_size: int | None = None,
    adjustment: Callable | None = None,
) -> tf.Tensor:
    """`tf.compat.v1.layers.batch_normalization`: one `BatchNormalization` applied to `inputs`.

    `training` is a bool or a scalar bool tensor; `reuse` takes the variables of an earlier layer
    of this `name`; the other arguments are those of `BatchNormalization`.
    """
    layer = BatchNormalization(
        axis=axis,
        momentum=momentum,
        epsilon=epsilon,
        center=center,
        scale=scale,
        beta_initializer=beta_initializer,
        gamma_initializer=gamma_initializer,
        moving_mean_initializer=moving_mean_initializer,
        moving_variance_initializer=moving_variance_initializer,
        beta_regularizer=beta_regularizer,
        gamma_regularizer=gamma_regularizer,
        beta_constraint=beta_constraint,
        gamma_constraint=gamma_constraint,
        renorm=renorm,
        renorm_clipping=renorm_clipping,
        renorm_momentum=renorm_momentum,
        fused=fused,
        trainable=trainable,
        virtual_batch_size=virtual_batch_size,
        adjustment=adjustment,
        name=name,
        _reuse=reuse,
        _scope=name,
    )
    return layer(inputs, training=training)


def _axis_list(axis: int | list[int]) -> list[int]:
    if isinstance(axis, int):
        return [axis]
    if isinstance(axis, list):
        return list(axis)
    raise ArgumentError(
        "axis of a batch normalization is an int or a list of ints.", received=repr(axis)
    )


def _checked_renorm_clipping(clipping: dict) -> dict:
    unknown = set(clipping) - set(_RENORM_CLIPPING_KEYS)
    if unknown:
        raise ArgumentError(
            "renorm_clipping has keys that do not exist.",
            received=sorted(unknown),
            accepted=", ".join(_RENORM_CLIPPING_KEYS),
        )
    return clipping


def _resolved_axes(axes: list[int], rank: int) -> list[int]:
    resolved = [axis + rank if axis < 0 else axis for axis in axes]
    if any(not 0 <= axis < rank for axis in resolved) or len(set(resolved)) < len(resolved):
        raise ArgumentError(
            "axis of a batch normalization names a dimension that is not there, or one twice.",
            received=f"axis {axes} for an input of rank {rank}",
        )
    return resolved


def _compose(scale, offset, then_scale, then_offset):
    """The scale and offset that do the first pair's work and then the second's."""
    if then_scale is not None:
        scale, offset = scale * then_scale, offset * then_scale
    if then_offset is not None:
        offset = offset + then_offset
    return scale, offset


def _move_average(variable, value, momentum, inputs):
    """Moves `variable` by `1 - momentum` of its distance to `value`."""
    with tf.name_scope("AssignMovingAvg"), ops.colocate_with(variable):
        decay = tf.cast(1.0 - momentum, variable.dtype.base_dtype)
        delta = (variable - tf.cast(value, variable.dtype.base_dtype)) * decay
        return v1.assign_sub(variable, _zero_if_empty(delta, inputs))


def _zero_if_empty(value, inputs):
    """`value`; or zeros where a distribution strategy gave this replica no examples."""
    strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if not getattr(getattr(strategy, "extended", None), "enable_partial_batch_handling", False):
        return value
    return tf.where(tf.size(inputs) > 0, value, tf.zeros_like(value))
