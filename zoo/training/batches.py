"""Global batches, and the part of each that a replica of a tf.distribute strategy takes."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError

_SHUFFLE_SEED = 0  # one for all workers, so that they cut the same batches


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches that have been given out to the replicas.

    Attributes:
        distributed: yields, for each replica, a batch (x, (x, y) or (x, y, sample_weight)); or
            `(counted, batch)`, with the number of leading rows that metrics count there.
        has_counts: whether `counted` is there: where a batch can have fewer rows than replicas.
        steps: batches in an epoch; None where that is not known before its end.
        spec: a batch's structure, of `tf.TensorSpec`s.
    """

    distributed: object
    has_counts: bool
    steps: int | None
    spec: tuple


def give_out(
    strategy: tf.distribute.Strategy,
    x,
    y=None,
    sample_weight=None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
) -> Batches:
    """Splits global batches over the replicas of `strategy`, rows in order.

    Replica r of n takes the rows from r/n to (r+1)/n of each batch, so sizes differ by one at
    most, and every step sees exactly the rows that one device would. A batch of fewer rows
    than replicas goes to each replica whole.

    Args:
        x: arrays with `y` and `sample_weight`; or a `tf.data.Dataset` of global batches, the
            same on every worker; or what `strategy.experimental_distribute_dataset` or
            `strategy.distribute_datasets_from_function` made, which is taken as it is.
        batch_size: rows in a global batch of arrays; 32 by default.
        shuffle: whether rows of arrays are drawn in a new order for each epoch.

    Raises:
        ArgumentError: data of another kind, or `y`, `sample_weight` or `batch_size` for a dataset.
    """
    if isinstance(x, tf.distribute.DistributedDataset):
        _check_nothing_beside_a_dataset(y, sample_weight, batch_size)
        parts = strategy.experimental_local_results(_first(x))
        spec = tf.nest.map_structure(tf.type_spec_from_value, parts[0])
        return Batches(x, False, None, _any_rows(spec))
    if isinstance(x, tf.data.Dataset):
        _check_nothing_beside_a_dataset(y, sample_weight, batch_size)
        dataset = x
    else:
        dataset = _batches_of_arrays(x, y, sample_weight, batch_size or 32, shuffle)
    spec = _as_tuple(dataset.element_spec)
    _check_batches(strategy, spec)
    replicas = strategy.num_replicas_in_sync
    has_counts = replicas > 1 and any(
        (part.shape[0] or 0) < replicas for part in tf.nest.flatten(spec)
    )
    steps = int(dataset.cardinality())
    return Batches(
        strategy.distribute_datasets_from_function(
            lambda context: _parts(dataset, context, has_counts)
        ),
        has_counts,
        steps if steps >= 0 else None,
        _any_rows(spec),
    )


def row_count(batch) -> tf.Tensor:
    """The number of rows of a batch, a scalar int32 tensor."""
    return tf.shape(tf.nest.flatten(batch)[0])[0]


def _parts(
    dataset: tf.data.Dataset, context: tf.distribute.InputContext, has_counts: bool
) -> tf.data.Dataset:
    """For each batch, one after the other, the parts of this worker's replicas."""
    replicas = context.num_replicas_in_sync
    here = replicas // context.num_input_pipelines
    first = here * context.input_pipeline_id

    def split(*batch):
        rows = row_count(batch)
        is_whole = rows < replicas

        def part(replica):
            replica = tf.cast(replica, tf.int32)
            start = tf.where(is_whole, 0, replica * rows // replicas)
            end = tf.where(is_whole, rows, (replica + 1) * rows // replicas)
            rows_of_it = tf.nest.map_structure(lambda t: _rows(t, start, end, replicas), batch)
            if not has_counts:
                return rows_of_it
            return tf.where(is_whole & (replica > 0), 0, end - start), rows_of_it

        return tf.data.Dataset.range(first, first + here).map(part)

    return dataset.flat_map(split).prefetch(tf.data.AUTOTUNE)


def _rows(tensor, start, end, replicas: int):
    part = tensor[start:end]
    size = tensor.shape[0]
    if isinstance(part, tf.Tensor) and size is not None and size % replicas == 0:
        part.set_shape([size // replicas, *tensor.shape[1:]])
    return part


def _batches_of_arrays(x, y, sample_weight, batch_size: int, shuffle: bool) -> tf.data.Dataset:
    given = (x, y, sample_weight)
    while given[-1] is None:
        given = given[:-1]
    given = tf.nest.map_structure(_to_tensor, _without_lists(given))
    lengths = {int(tensor.shape[0]) for tensor in tf.nest.flatten(given)}
    if len(lengths) != 1 or 0 in lengths:
        raise ArgumentError(
            "Arrays to train on have one number of rows, and at least one.",
            received=f"{sorted(lengths)} rows",
        )
    rows = lengths.pop()
    order = tf.data.Dataset.range(rows)
    if shuffle:
        order = order.shuffle(rows, seed=_SHUFFLE_SEED)
    # Whole batches of one size have a static shape, which compiles once (and at all, on TPUs).
    order = order.batch(batch_size, drop_remainder=rows % batch_size == 0)
    return order.map(
        lambda chosen: tf.nest.map_structure(lambda tensor: tf.gather(tensor, chosen), given),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _to_tensor(array):
    if isinstance(array, np.ndarray | np.generic) or tf.is_tensor(array):
        tensor = tf.convert_to_tensor(array)
        if tensor.shape.rank:
            return tensor
    raise ArgumentError(
        "The data to train on are of a kind that cannot be split over replicas.",
        received=f"{type(array).__module__}.{type(array).__name__}",
        accepted="arrays with rows, a tf.data.Dataset of batches, or a tf.distribute dataset",
        next_step="tf.data.Dataset.from_generator makes a dataset of a generator.",
    )


def _without_lists(structure):
    """`structure` with tuples for lists, since tf.data takes a list for a tensor."""
    if isinstance(structure, list | tuple):
        return tuple(_without_lists(part) for part in structure)
    if isinstance(structure, dict):
        return {key: _without_lists(part) for key, part in structure.items()}
    return structure


def _check_nothing_beside_a_dataset(y, sample_weight, batch_size) -> None:
    if y is not None or sample_weight is not None or batch_size is not None:
        raise ArgumentError(
            "y, sample_weight and batch_size go with arrays: a dataset yields batches of "
            "(x, y) or (x, y, sample_weight).",
        )


def _check_batches(strategy, spec: tuple) -> None:
    shapes = [part.shape for part in tf.nest.flatten(spec)]
    if any(shape.rank == 0 for shape in shapes):
        raise ArgumentError(
            "The dataset yields scalars, not batches.",
            received=f"elements {spec}",
            next_step="call dataset.batch(n), n rows for all replicas together.",
        )
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        return
    replicas = strategy.num_replicas_in_sync
    if any(not shape[0] or shape[0] % replicas for shape in shapes):
        raise ArgumentError(
            f"A TPU compiles for one batch size, which its {replicas} replicas share evenly.",
            received=f"batches of {sorted({str(shape[0]) for shape in shapes})} rows",
            next_step=f"use a multiple of {replicas} that divides the number of rows, or "
            f"dataset.batch({replicas * 8}, drop_remainder=True).",
        )


def _first(distributed: tf.distribute.DistributedDataset):
    for element in distributed:
        return element
    raise ArgumentError("The distributed dataset is empty.")


def _as_tuple(element) -> tuple:
    return element if isinstance(element, tuple) else (element,)


def _any_rows(spec) -> tuple:
    return tf.nest.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), _as_tuple(spec)
    )
