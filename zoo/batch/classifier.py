"""A network and what it sees in images, as rows of plain data: what each engine runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from zoo import images as image_tools
from zoo import registry
from zoo.errors import ArgumentError, ImageError
from zoo.evaluation.outputs import read_labels
from zoo.evaluation.subject import named_or_saved, registered_name
from zoo.images import Label
from zoo.images.files import decode_image
from zoo.model import TF1Model

Given = str | os.PathLike | bytes | tuple[str, bytes]


class Classifier:
    """A network to name what is in images.

    Args:
        model: a registered name or an address, as `zoo.load` takes it; or the path of a `.keras`
            file, of zoo's models or of those of `zoo.to_native`.
        like: for a plain Keras model whose name does not say it: the registered network whose
            preprocessing, and whose labels if there are as many, are the model's.
        class_names: a name for each output, where that is not ImageNet's; by default those of
            `labels.txt` beside a file that has no names itself, as `zoo.finetune` writes it.
        top: how many classes a row has.
        **load_arguments: of `zoo.load`, for a name: `tf1_ckpt`, `offline`, ...

    Raises:
        ArgumentError: the model is no classifier of images, does not say how images are
            preprocessed for it, or has not as many classes as there are names.
        As `zoo.load`, and for files CheckpointNotFoundError and CheckpointFormatError.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        like: str | None = None,
        class_names: Sequence[str | Label] | None = None,
        top: int = 5,
        **load_arguments,
    ) -> None:
        self._top = top
        self._model = named_or_saved(os.fspath(model), load_arguments)
        self._check()
        if class_names is None:
            class_names = self._names_beside(Path(model))
        self._preprocess, self._decode = self._own_ways(model, like, class_names)
        self._decode(np.zeros(self._model.output_shape[1:]), top=1)  # are there as many names?

    def rows(self, images: Sequence[Given]) -> list[dict]:
        """A row for each image, in their order, of types that JSON has.

        Those that `zoo predict --json` prints: {"image": name, "predictions": [{"index", "synset",
        "name", "probability"}, ...]}, best first, or {"image": name, "error": why}.

        Args:
            images: paths; or bytes of image files, alone, so that "image" is None, or as
                (name, bytes).
        """
        rows, inputs = [], []
        for given in images:
            name, image = given if isinstance(given, tuple) else (given, given)
            name = None if isinstance(name, bytes) else os.fspath(name)
            row = {"image": name}
            rows.append(row)
            try:
                if isinstance(image, bytes):
                    image = decode_image(image, name or "bytes")
                inputs.append((row, np.asarray(self._preprocess(image))))
            except ImageError as error:
                row["error"] = str(error)
        if inputs:
            batch = np.concatenate([pixels for _, pixels in inputs])
            decoded = self._decode(self._model.predict_on_batch(batch), top=self._top)
            for (row, _), predictions in zip(inputs, decoded, strict=True):
                row["predictions"] = [_as_dict(one) for one in predictions]
        return rows

    def _names_beside(self, path: Path) -> list[Label] | None:
        """Of a file whose model does not know them."""
        labels = path.expanduser().with_name("labels.txt")
        has_names = isinstance(self._model, TF1Model) and self._model.get_config()["class_names"]
        if path.suffix != ".keras" or has_names or not labels.is_file():
            return None
        return read_labels(labels)

    def _own_ways(self, model, like: str | None, class_names) -> tuple[Callable, Callable]:
        """How images are preprocessed for the network, and its outputs decoded."""
        if isinstance(self._model, TF1Model):
            preprocess, spec = self._model.preprocess, self._model.spec
            if class_names is None:
                return preprocess, self._model.decode
        else:
            spec = self._spec_of_plain_model(model, like)
            size = self._model.input_shape[1:3]
            size = spec.input_size if None in size else size

            def preprocess(image):
                return image_tools.preprocess(image, kind=spec.preprocessing, size=size)

        offset = 0 if class_names else spec.label_offset

        def decode(outputs, top: int):
            return image_tools.decode(outputs, top=top, label_offset=offset, labels=class_names)

        return preprocess, decode

    def _spec_of_plain_model(self, model, like: str | None) -> registry.ModelSpec:
        name = like or registered_name(self._model)
        if name is None:
            raise ArgumentError(
                "A plain Keras model does not say how images are preprocessed for it.",
                received=os.fspath(model),
                next_step='name the network that it was: like="mobilenet_v1_1.0_224".',
            )
        return registry.info(name)

    def _check(self) -> None:
        model = self._model
        if len(model.inputs) != 1 or len(model.input_shape) != 4 or len(model.output_shape) != 2:
            raise ArgumentError(
                "This model is no classifier of images.",
                received=f"inputs of shape {model.input_shape}, outputs of {model.output_shape}",
                accepted="(batch, height, width, channels), and (batch, classes)",
            )


def _as_dict(prediction: image_tools.Prediction) -> dict:
    index, synset, name, score = prediction
    return {"index": index, "synset": synset, "name": name, "probability": score}
