"""One step of training or evaluation on all replicas of a tf.distribute strategy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from keras.src.losses import loss as keras_losses

from zoo.errors import ArgumentError
from zoo.training.batches import Batches, row_count

_MEAN, _WEIGHTED_MEAN, _SUM = "sum_over_batch_size", "mean_with_sample_weight", "sum"


def training_step(
    model: keras.Model, strategy: tf.distribute.Strategy, batches: Batches
) -> Callable:
    """A function of one element of `batches.distributed` that trains and returns the metrics."""
    optimizer = model.optimizer
    reduction = loss_reduction(model)
    counters = _metric_variables_to_sum(model)
    averaged = _variables_to_average(model)

    def on_replica(element):
        part = _Part(element, batches.has_counts)
        with _additions_are_summed(counters):
            with tf.GradientTape() as tape:
                predictions = _call(model, part.x, training=True)
                loss = _share_of_the_loss(model, part, predictions, reduction, training=True)
                scaled = optimizer.scale_loss(loss)
            _update_metrics(model, part, predictions, loss)
        variables = model.trainable_variables
        gradients = _sum_over_replicas(tape.gradient(scaled, variables))
        optimizer.apply(gradients, variables)
        _average_over_replicas(averaged)

    def step(element):
        with _gradients_are_summed(optimizer):
            strategy.run(on_replica, args=(element,))
        return _metrics(model, strategy)

    return _compiled(step, model, batches)


def evaluation_step(
    model: keras.Model, strategy: tf.distribute.Strategy, batches: Batches
) -> Callable:
    """A function of one element of `batches.distributed` that evaluates and returns the metrics."""
    reduction = loss_reduction(model)
    counters = _metric_variables_to_sum(model)

    def on_replica(element):
        part = _Part(element, batches.has_counts)
        with _additions_are_summed(counters):
            predictions = _call(model, part.x, training=False)
            loss = _share_of_the_loss(model, part, predictions, reduction, training=False)
            _update_metrics(model, part, predictions, loss)

    def step(element):
        strategy.run(on_replica, args=(element,))
        return _metrics(model, strategy)

    return _compiled(step, model, batches)


def loss_reduction(model: keras.Model) -> str:
    """The one reduction of all the model's losses.

    Raises:
        ArgumentError: losses that are reduced in different ways, or not at all.
    """
    losses = [loss for loss in keras.tree.flatten(model.loss) if loss is not None]
    reductions = {getattr(loss, "reduction", _MEAN) or "none" for loss in losses} or {_MEAN}
    reductions = {_MEAN if reduction == "mean" else reduction for reduction in reductions}
    if len(reductions) > 1 or not reductions <= {_MEAN, _WEIGHTED_MEAN, _SUM}:
        raise ArgumentError(
            "The model's losses are not reduced to a number in one way, so that there is no one "
            "weight for a replica's part of a batch.",
            received=f"reductions {sorted(reductions)}",
            accepted=f"one of {_MEAN}, {_WEIGHTED_MEAN}, {_SUM} for all losses",
        )
    return reductions.pop()


class _Part:
    """A replica's part of a batch.

    Attributes:
        x, y, sample_weight: its rows.
        rows: how many they are.
        counted: how many of them, from the first, metrics count.
        has_counts: whether `counted` can differ from `rows`.
    """

    def __init__(self, element, has_counts: bool) -> None:
        self.has_counts = has_counts
        counted, batch = element if has_counts else (None, element)
        self.rows = row_count(batch)
        if not has_counts:  # can fail for data only that the user distributed
            tf.debugging.assert_positive(
                self.rows,
                "A replica's part of a batch is empty. Give the dataset to zoo.training whole, "
                "or drop the remainder: dataset.batch(n, drop_remainder=True).",
            )
        self.counted = counted if has_counts else self.rows
        if not isinstance(batch, tuple):
            batch = (batch,)
        self.x, self.y, self.sample_weight = keras.utils.unpack_x_y_sample_weight(batch)

    def share(self, dtype) -> tf.Tensor:
        """Its rows out of all replicas'."""
        return _share(self.rows, dtype)

    def counted_rows(self, structure):
        """`structure`, cut to the rows that count."""
        if not self.has_counts:
            return structure
        return tf.nest.map_structure(
            lambda tensor: None if tensor is None else tensor[: self.counted], structure
        )


def _call(model: keras.Model, x, *, training: bool):
    return model(x, training=training) if model._call_has_training_arg else model(x)


def _share_of_the_loss(model, part: _Part, predictions, reduction: str, *, training: bool):
    """This replica's summand of the loss that one device would have on the whole batch.

    A mean over rows is weighted with the replica's share of the rows. Shares sum to one, so
    what does not depend on the rows, regularization, counts once.
    """
    keras_loss = model._compute_loss(
        part.x, part.y, predictions, part.sample_weight, training=training
    )
    by_keras = _weight_given_by_keras()
    share = part.share(keras_loss.dtype)
    if reduction == _MEAN:
        return keras_loss / by_keras * share
    if reduction == _WEIGHTED_MEAN:
        if part.sample_weight is not None:
            weights = [tf.reduce_sum(weight) for weight in tf.nest.flatten(part.sample_weight)]
            share = _share(tf.add_n(weights), keras_loss.dtype)
        return keras_loss / by_keras * share
    # Keras gives a sum its full weight, and what layers add to it the same as ever.
    added = tf.add_n(
        [tf.cast(tf.reduce_sum(loss), keras_loss.dtype) for loss in model.losses]
        or [tf.zeros([], keras_loss.dtype)]
    )
    copies = _total(part.rows, keras_loss.dtype) / _total(part.counted, keras_loss.dtype)
    return (keras_loss - added * by_keras) / copies + added * share


def _weight_given_by_keras() -> float:
    """From 3.8 or so, Keras divides means by the number of replicas itself."""
    divides = hasattr(keras_losses, "scale_loss_for_distribution")
    return 1 / tf.distribute.get_strategy().num_replicas_in_sync if divides else 1.0


def _share(amount, dtype) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.cast(amount, dtype), _total(amount, dtype))


def _total(amount, dtype) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(amount, dtype))


def _sum_over_replicas(gradients: list) -> list:
    there = [gradient for gradient in gradients if gradient is not None]
    if not there:
        raise ArgumentError("The loss depends on no trainable variable of the model.")
    context = tf.distribute.get_replica_context()
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if gradient is None else next(summed) for gradient in gradients]


@contextlib.contextmanager
def _gradients_are_summed(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within it, the optimizer takes gradients as they are.

    Keras's would sum them over replicas after clipping and accumulating each replica's own,
    which is not what one device does.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner.__dict__["_all_reduce_sum_gradients"] = list
    try:
        yield
    finally:
        del inner.__dict__["_all_reduce_sum_gradients"]


def _variables_to_average(model: keras.Model) -> list:
    """Moving averages that each replica would keep for itself: those of Keras's own layers.

    TF1 code makes its own with an aggregation, which averages at each assignment; Keras before
    3.8 or so does not pass that on.
    """
    return [
        variable
        for variable in model.non_trainable_variables
        if _is_each_replicas_own(variable) and tf.as_dtype(variable.dtype).is_floating
    ]


def _average_over_replicas(variables: list) -> None:
    context = tf.distribute.get_replica_context()
    if not variables or context.num_replicas_in_sync == 1:
        return
    # identity() gives each a device, by which several workers find where to reduce.
    values = [tf.identity(variable.value) for variable in variables]
    means = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
    for variable, mean in zip(variables, means, strict=True):
        variable.assign(mean)


def _metric_variables_to_sum(model: keras.Model) -> list:
    """What metrics count in; none with a Keras that makes them TensorFlow's sums on reading."""
    return [
        variable
        for metric in model.metrics
        for variable in metric.variables
        if _is_each_replicas_own(variable)
    ]


@contextlib.contextmanager
def _additions_are_summed(variables: list) -> Iterator[None]:
    """What each replica adds to its `variables` within it, all have added after it."""
    context = tf.distribute.get_replica_context()
    before = [tf.identity(variable.value) for variable in variables]
    yield
    if not variables or context.num_replicas_in_sync == 1:
        return
    added = [
        tf.identity(variable.value) - value
        for variable, value in zip(variables, before, strict=True)
    ]
    totals = context.all_reduce(tf.distribute.ReduceOp.SUM, added)
    for variable, value, total in zip(variables, before, totals, strict=True):
        variable.assign(value + total)


def _is_each_replicas_own(variable: keras.Variable) -> bool:
    return variable.value.aggregation == tf.VariableAggregation.NONE


def _update_metrics(model: keras.Model, part: _Part, predictions, loss) -> None:
    share = part.share(loss.dtype)
    model._loss_tracker.update_state(
        tf.math.divide_no_nan(loss, share), sample_weight=tf.cast(part.counted, loss.dtype)
    )
    model.compute_metrics(
        *(part.counted_rows(given) for given in (part.x, part.y, predictions, part.sample_weight))
    )


def _metrics(model: keras.Model, strategy: tf.distribute.Strategy) -> dict[str, tf.Tensor]:
    with strategy.scope():  # reads the sum over replicas, not one replica's
        return {
            name: tf.convert_to_tensor(value) for name, value in model.get_metrics_result().items()
        }


def _compiled(step: Callable, model: keras.Model, batches: Batches) -> Callable:
    if model.run_eagerly:
        return step
    # The signature spares a second trace for a last batch of another size.
    return tf.function(
        step,
        input_signature=[batches.distributed.element_spec],
        autograph=False,
        jit_compile=model.jit_compile,
    )
