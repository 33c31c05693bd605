"""Writing checkpoints under exactly the names that are given."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping

import numpy as np

from zoo.atomic import replacing
from zoo.checkpoints import tensors
from zoo.checkpoints.bundle import Entry, encode_entry, encode_header
from zoo.checkpoints.crc32c import crc32c, mask
from zoo.checkpoints.sstable import write_table
from zoo.errors import ArgumentError


def write(model, path: str | os.PathLike, *, training_state: bool = True) -> None:
    """Writes a model's TF1 variables as the V2 checkpoint that TensorFlow 1 restores them from.

    The original code restores it with `tf.train.Saver`, for inference or to train on.

    Args:
        model: a Keras model or layer of zoo's: what `zoo.load` and `zoo.wrap` return, fine-tuned
            or not.
        path: the prefix, as for `write_checkpoint`.
        training_state: if the model is compiled with an optimizer of `zoo.training.optimizers`,
            writes global_step, slots and moving averages too.

    Raises:
        ArgumentError: the model has no TF1 variables.
    """
    from zoo.shim import tf1_variables

    variables = tf1_variables(model)
    if not variables:
        raise ArgumentError(
            "The model has no TF1 variables, whose names a TF1 checkpoint needs.",
            received=f"{type(model).__name__} {getattr(model, 'name', '')!r}",
            accepted="what zoo.load and zoo.wrap return, or layers of zoo.shim that were called",
            next_step="write_checkpoint writes arrays under names that you give.",
        )
    optimizer = getattr(model, "optimizer", None) if training_state else None
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # under mixed_float16
    state_of = getattr(optimizer, "checkpoint_state", lambda _: {})
    write_checkpoint(path, {**variables, **state_of(variables)})


def write_checkpoint(
    path: str | os.PathLike, arrays: Mapping[str, object], format: str = "v2"
) -> None:
    """Writes arrays or variables as a checkpoint; complete under its final name, or not at all.

    Args:
        path: for "v2" the prefix: PREFIX.index and PREFIX.data-00000-of-00001 are written, which
            TensorFlow 1 and 2 read (`tf.train.Saver`, `tf.train.load_checkpoint`). For the
            others the file's own name. Its directory must exist.
        arrays: name -> array, `tf.Variable` or `keras.Variable`. "v2" and "npz" hold one at a
            time in memory, "safetensors" all of them.
        format: "v2", "npz" or "safetensors".

    Raises:
        ArgumentError: another format, nothing to write, a name that is empty or not text, or
            values that are no numbers.
    """
    writers = {"v2": _write_v2, "npz": _write_npz, "safetensors": _write_safetensors}
    if format not in writers:
        raise ArgumentError(
            "There is no checkpoint format of this name to write.",
            received=format,
            accepted=", ".join(writers),
        )
    for name in arrays:
        if not isinstance(name, str) or not name or "\x00" in name:
            raise ArgumentError(
                "A variable's name in a checkpoint must be text that is not empty.",
                received=repr(name),
            )
    if not arrays:
        raise ArgumentError("There is nothing to write: `arrays` is empty.")
    writers[format](os.fspath(path), arrays)


def _array(name: str, value: object) -> np.ndarray:
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    try:
        number = tensors.dtype_number(array.dtype)
    except KeyError:
        number = tensors.STRING
    if number == tensors.STRING:
        raise ArgumentError(
            f"{name!r} has values that a checkpoint does not hold.",
            received=f"dtype {array.dtype}",
            accepted="numbers",
        )
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _write_v2(prefix: str, arrays: Mapping[str, object]) -> None:
    """Data first, index last: a V2 checkpoint exists once its index does."""
    entries: dict[bytes, bytes] = {b"": encode_header(1)}
    paths = f"{prefix}.data-00000-of-00001", f"{prefix}.index"
    with replacing(*paths) as (data_path, index_path):
        offset = 0
        with data_path.open("wb") as data:
            for key, name in sorted((name.encode(), name) for name in arrays):
                array = _array(name, arrays[name])
                octets = array.reshape(-1).view(np.uint8)
                data.write(octets)
                entries[key] = encode_entry(
                    Entry(
                        dtype=tensors.dtype_number(array.dtype),
                        shape=array.shape,
                        shard=0,
                        offset=offset,
                        size=octets.size,
                        crc32c=mask(crc32c(octets)),
                        slices=(),
                    )
                )
                offset += octets.size
        with index_path.open("wb") as index:
            write_table(index, entries.items())


def _write_npz(path: str, arrays: Mapping[str, object]) -> None:
    with replacing(path) as (temporary,), zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(arrays):
            array = _array(name, arrays[name])
            _check_portable(name, array, "npz")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _check_portable(name: str, array: np.ndarray, format: str) -> None:
    if array.dtype.name == "bfloat16":
        raise ArgumentError(
            f"{name!r} is bfloat16, which {format} does not hold.",
            accepted="v2 and safetensors hold it",
            next_step="Choose another format, or cast to float32.",
        )


def _write_safetensors(path: str, arrays: Mapping[str, object]) -> None:
    from safetensors.numpy import save_file

    with replacing(path) as (temporary,):
        save_file({name: _array(name, arrays[name]) for name in sorted(arrays)}, temporary)
