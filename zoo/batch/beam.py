"""An Apache Beam model handler: `RunInference(ZooModelHandler("inception_v3"))`.

Needs `pip install '.[beam]'`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from zoo.batch.classifier import Classifier, Given


class ZooModelHandler(ModelHandler[Given, dict, Classifier]):
    """Names what is in images, for `apache_beam.ml.inference.base.RunInference`.

    Elements are paths of image files that workers can open, bytes of image files, or pairs
    (name, bytes). Each becomes the row that `zoo.batch.classifier.Classifier.rows` describes; an
    image that cannot be read becomes a row with "error", and the pipeline goes on.

    Args:
        model, like, class_names, top: as for `zoo.batch.classifier.Classifier`. Workers load the
            model, so a file must be where they can open it.
        batch_size: the most images in one call of the network.
        one_model: whether the processes of a worker share one model, in place of one each.
        **load_arguments: of `zoo.load`.

    Example:
        >>> with beam.Pipeline() as pipeline:
        ...     _ = (
        ...         pipeline
        ...         | MatchFiles("gs://bucket/*.jpg")
        ...         | ReadMatches()
        ...         | beam.Map(lambda file: (file.metadata.path, file.read()))
        ...         | RunInference(ZooModelHandler("inception_v3"))
        ...         | beam.Map(json.dumps)
        ...         | beam.io.WriteToText("gs://bucket/predictions.jsonl")
        ...     )
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        like: str | None = None,
        class_names: Sequence[str] | None = None,
        top: int = 5,
        batch_size: int = 32,
        one_model: bool = False,
        **load_arguments,
    ) -> None:
        super().__init__(max_batch_size=batch_size)
        self._model, self._one_model = os.fspath(model), one_model
        self._arguments = {"like": like, "class_names": class_names, "top": top, **load_arguments}

    def load_model(self) -> Classifier:
        """The network, loaded once for each process."""
        return Classifier(self._model, **self._arguments)

    def run_inference(
        self,
        batch: Sequence[Given],
        model: Classifier,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterable[dict]:
        """A row for each element, in their order."""
        return model.rows(batch)

    def get_num_bytes(self, batch: Sequence[Given]) -> int:
        """Bytes of the elements themselves, for Beam's metrics."""
        return sum(map(_size, batch))

    def get_metrics_namespace(self) -> str:
        """The name before this handler's numbers among Beam's metrics."""
        return "zoo"

    def share_model_across_processes(self) -> bool:
        """As `one_model` says."""
        return self._one_model


def _size(given: Given) -> int:
    data = given[1] if isinstance(given, tuple) else given
    return len(data) if isinstance(data, bytes) else len(os.fsencode(data))
