"""The Keras model that `zoo.load` returns: a TF1 network with what is known of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import tensorflow as tf

from zoo import images as image_tools
from zoo import registry
from zoo.checkpoints.keras_files import check_keras_file
from zoo.errors import ArgumentError
from zoo.shim import TF1Network, tf1_variables


@keras.saving.register_keras_serializable(package="zoo")
class TF1Model(keras.Model):
    """An ordinary Keras functional model around one TF1 network.

    Images go in as preprocessed float batches of shape (batch, height, width, channels);
    probabilities (or logits) of shape (batch, num_classes) come out. `.keras` and
    `.weights.h5` files hold the variables under their TF1 names. `keras.models.clone_model`
    gives a plain functional model; `TF1Model.from_config(model.get_config())` one of this kind.

    Args:
        network: the adapter layer.
        image_shape: (height, width, channels); None where a side is free.
        classifier_activation: "softmax", or None for logits.
        model_name: full name in the registry, such as "inception_v3.slim_2016_08_28".
        preprocessing: kind of Slim's evaluation preprocessing, such as "inception" or "vgg".
        image_size: side in pixels that `preprocess` makes.
        label_offset: index of the first label in the outputs (1 where 0 is background).
        class_names: one name for each output; None for ImageNet's.
        name: as in every Keras model.

    Attributes:
        network: the adapter layer.
        load_report: what was loaded from the checkpoint (None if nothing was).
    """

    def __init__(
        self,
        network: TF1Network,
        image_shape: tuple[int | None, int | None, int],
        *,
        classifier_activation: str | None = "softmax",
        model_name: str,
        preprocessing: str,
        image_size: int,
        label_offset: int,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        images = keras.Input(tuple(image_shape), name="images")
        outputs = network(images)
        if classifier_activation is not None and has_classifier(network):
            # In float32 whatever the policy, since probabilities are compared and summed.
            outputs = keras.layers.Activation(
                classifier_activation, dtype="float32", name="predictions"
            )(outputs)
        super().__init__(inputs=images, outputs=outputs, name=name)
        self.network = network
        self.load_report = None
        self._facts = {
            "classifier_activation": classifier_activation,
            "model_name": model_name,
            "preprocessing": preprocessing,
            "image_size": image_size,
            "label_offset": label_offset,
            "class_names": list(class_names) if class_names is not None else None,
        }

    def call(self, inputs, training=None, mask=None):
        # Keras would turn bytes into floats from 0 to 255 and say nothing.
        self.network.check_images(keras.tree.flatten(inputs)[0])
        return super().call(inputs, training=training, mask=mask)

    @property
    def model_name(self) -> str:
        """Full name in the registry, with the tag of its checkpoint."""
        return self._facts["model_name"]

    @property
    def spec(self) -> registry.ModelSpec:
        """The registry's facts about this model."""
        return registry.info(self._facts["model_name"])

    @property
    def tf1_variables(self) -> dict[str, keras.Variable]:
        """Full TF1 name -> variable."""
        return tf1_variables(self.network)

    def preprocess(self, images) -> tf.Tensor:
        """Slim's own evaluation preprocessing for this network, as TensorFlow ops.

        Args:
            images: whatever `zoo.images.preprocess` takes: a path, a PIL image, an array or
                a tensor (also inside `tf.data`), one image or several. For a video network
                they are the frames of one clip; an array or a tensor may also hold several
                clips, (clips, frames, height, width, channels).

        Returns:
            float32 tensor, as `zoo.images.preprocess` says; for a video network
            (clips, frames, height, width, channels), where a tensor of one clip, alone,
            keeps its rank.

        Raises:
            ImageError: something given is no image.
        """
        if self.network.image_rank == 5:
            return self._preprocess_clips(images)
        return self._preprocess_images(images)

    def _preprocess_images(self, images) -> tf.Tensor:
        return image_tools.preprocess(
            images, kind=self._facts["preprocessing"], size=self._facts["image_size"]
        )

    def _preprocess_clips(self, clips) -> tf.Tensor:
        rank = clips.shape.rank if tf.is_tensor(clips) else getattr(clips, "ndim", None)
        if rank != 5:
            frames = self._preprocess_images(clips)
            return frames if tf.is_tensor(clips) else frames[tf.newaxis]
        clips = tf.convert_to_tensor(clips)
        shape = tf.shape(clips)
        frames = tf.reshape(clips, tf.concat([[-1], shape[2:]], 0))
        frames = self._preprocess_images(tf.ensure_shape(frames, [None, *clips.shape[2:]]))
        prepared = tf.reshape(frames, tf.concat([shape[:2], tf.shape(frames)[1:]], 0))
        return tf.ensure_shape(prepared, [*clips.shape[:2], *frames.shape[1:]])

    def decode(self, outputs, top: int = 5) -> list[list[image_tools.Prediction]]:
        """The best labels of each image.

        Args:
            outputs: probabilities or logits of shape (batch, num_classes).
            top: how many labels to give.

        Returns:
            For each image a list of (index, synset, name, score), best first.
        """
        return image_tools.decode(
            outputs,
            top=top,
            label_offset=self._facts["label_offset"],
            labels=self._facts["class_names"],
        )

    def end_points(self, images, training: bool = False) -> dict[str, tf.Tensor]:
        """Every end point of the TF1 function, by its TF1 name, for preprocessed images."""
        images = tf.convert_to_tensor(images)
        if images.dtype.is_floating:
            images = tf.cast(images, self.network.compute_dtype)
        return self.network.end_points(images, training=training)

    def feature_extractor(self, end_points: str | Sequence[str]) -> keras.Model:
        """A Keras model from images to the chosen end points; it shares this one's weights.

        Args:
            end_points: TF1 names, as `end_points` gives them.

        Returns:
            A model whose output is a dict name -> feature map.

        Raises:
            ArgumentError: the network has no end point of that name.
        """
        names = [end_points] if isinstance(end_points, str) else list(end_points)
        if not names:
            raise ArgumentError("A feature extractor needs at least one end point's name.")
        images = keras.Input(self.input_shape[1:], name="images")
        features = EndPoints(self.network, names, name="end_points")(images)
        return keras.Model(images, features, name=f"{self.name}_features")

    def get_config(self) -> dict:
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "image_shape": list(self.input_shape[1:]),
            "name": self.name,
            **self._facts,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> TF1Model:
        network = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**{**config, "network": network})


@keras.saving.register_keras_serializable(package="zoo")
class EndPoints(keras.layers.Layer):
    """Chosen end points of a network, as a layer: images in, dict of feature maps out."""

    def __init__(self, network: TF1Network, names: Sequence[str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.names = list(names)

    def call(self, images, training=False):
        return self.network.end_points(images, training=training, names=tuple(self.names))

    def get_config(self) -> dict:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "names": self.names}

    @classmethod
    def from_config(cls, config: dict) -> EndPoints:
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def load_model(path: str | os.PathLike, **arguments) -> keras.Model:
    """Loads a `.keras` file that a model of zoo's, or one built on such, was saved to.

    It is `keras.saving.load_model`, which knows an adapter's class only once that is imported,
    after a look at what the file names.

    Args:
        path: the `.keras` file.
        **arguments: as for `keras.saving.load_model`. With `safe_mode=False` nothing is looked
            at first.

    Raises:
        CheckpointNotFoundError, CheckpointFormatError: there is no such file, it is damaged,
            holds code, or names a class that is neither Keras's nor registered.
    """
    for name in registry.list_models():
        registry.info(name).load_adapter()
    if arguments.get("safe_mode", True):
        check_keras_file(path, arguments.get("custom_objects"))
    return keras.saving.load_model(path, **arguments)


def has_classifier(network: TF1Network) -> bool:
    """Whether the network's output is logits, not features."""
    given = {**network.accepted_arguments(), **network.arguments}
    return bool(given.get("num_classes")) and not stops_early(network)


def stops_early(network: TF1Network) -> bool:
    """Whether the network ends with the end point that `final_endpoint` names.

    Where the original names one by default, as S3D-G does, the classifier follows it.
    """
    by_default = network.accepted_arguments().get("final_endpoint")
    return by_default is None and network.arguments.get("final_endpoint") is not None


def before_softmax(model: keras.Model):
    """The output of a functional model, or what goes into the softmax that is its last layer."""
    layer = model.outputs[0]._keras_history.operation
    return layer.input if _is_softmax(layer) else model.outputs[0]


def gives_probabilities(model: keras.Model) -> bool:
    """Whether what `before_softmax` gives is probabilities still: where softmax is within the last
    layer, a Dense one or a model."""
    layer = model.outputs[0]._keras_history.operation
    return not _is_softmax(layer) and _ends_in_softmax(layer)


def _ends_in_softmax(layer) -> bool:
    if getattr(layer, "outputs", None) and isinstance(layer, keras.Model):
        return _ends_in_softmax(layer.outputs[0]._keras_history.operation)
    activation = getattr(layer, "activation", None)
    return _is_softmax(layer) or activation is keras.activations.softmax


def _is_softmax(layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.softmax
    return isinstance(layer, keras.layers.Softmax)
