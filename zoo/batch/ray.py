"""A class for Ray Data: `dataset.map_batches(ZooPredictor, ...)`.

Needs `pip install '.[ray]'`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from zoo.batch.classifier import Classifier

SCHEMA = pa.schema(
    {
        "image": pa.string(),
        "predictions": pa.list_(
            pa.struct(
                {
                    "index": pa.int64(),
                    "synset": pa.string(),
                    "name": pa.string(),
                    "probability": pa.float64(),
                }
            )
        ),
        "error": pa.string(),
    }
)


class ZooPredictor:
    """Names what is in images, for `ray.data.Dataset.map_batches`.

    A dataset's rows have the path of an image file in the column "path", and may have the file's
    bytes in the column "bytes", as `ray.data.read_binary_files(..., include_paths=True)` gives
    them. Each becomes the row that `zoo.batch.classifier.Classifier.rows` describes, in a table of
    `SCHEMA`: "predictions" is null where "error" says why, and the other way round.

    Args:
        model, **arguments: as for `zoo.batch.classifier.Classifier`. Each actor loads the model,
            so a file must be where all of them can open it.

    Example:
        >>> images = ray.data.read_binary_files("s3://bucket/images", include_paths=True)
        >>> rows = images.map_batches(
        ...     ZooPredictor,
        ...     fn_constructor_args=["inception_v3"],
        ...     batch_size=32,
        ...     concurrency=4,
        ... )
        >>> rows.write_parquet("s3://bucket/predictions")
    """

    def __init__(self, model: str, **arguments) -> None:
        self._classifier = Classifier(model, **arguments)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> pa.Table:
        """The rows of a batch, in its order."""
        images = [str(path) for path in batch["path"]]
        if "bytes" in batch:
            images = [
                (name, bytes(data)) for name, data in zip(images, batch["bytes"], strict=True)
            ]
        return pa.Table.from_pylist(self._classifier.rows(images), schema=SCHEMA)
