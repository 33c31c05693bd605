"""Training steps that tests take: on two models side by side, and against TensorFlow 1.15.5's."""

import json

import keras
import networks
import numpy as np
import tensorflow as tf

RECORDED = networks.GOLDENS / "training_steps"

_NOTHING_DROPPED = {
    "config": {"dense_dropout_keep_prob": 1.0, "drop_path_keep_prob": 1.0, "use_aux_head": 0}
}
# Networks that are so deep that in float32 steps at 1e-6 do not agree with themselves where images
# differ by 1e-7 (zoo/validation/tolerances.py), and arguments that switch off what draws.
STEEP = {
    "inception_v4": {"dropout_keep_prob": 1.0, "create_aux_logits": False},
    "nasnet_large": _NOTHING_DROPPED,
    "pnasnet_large": _NOTHING_DROPPED,
    "resnet_v1_101": {},
    "resnet_v1_152": {},
    "resnet_v1_200": {},
    "resnet_v2_152": {},
    "resnet_v2_200": {},
}


class GradientDescent:
    """Plain gradient descent: called with images and labels, it takes a step and returns the loss
    before it, regularization losses included.

    Attributes:
        gradient_norms: variable's path -> Euclidean norm of its gradient, of the latest step.
    """

    def __init__(self, model, learning_rate=1e-6):
        optimizer = keras.optimizers.SGD(learning_rate)
        self.gradient_norms = {}

        @tf.function
        def step(images, labels):
            with tf.GradientTape() as tape:
                logits = tf.reshape(model(images, training=True), [labels.shape[0], -1])
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=labels, logits=logits
                )
                loss = tf.reduce_mean(losses)
                loss += tf.add_n([tf.zeros([], loss.dtype), *model.losses])
            variables = model.trainable_variables
            gradients = tape.gradient(loss, variables)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            norms = [tf.norm(gradient) for gradient in gradients]
            return loss, {v.path: norm for v, norm in zip(variables, norms, strict=True)}

        self._step = step

    def __call__(self, images, labels):
        loss, norms = self._step(images, labels)
        self.gradient_norms = {path: float(norm) for path, norm in norms.items()}
        return float(loss)


def unbiased_by(native, images=2) -> dict[str, tuple[float, float]]:
    """TF1 name of a moving variance -> (1 / (n - 1) for n values of a channel in a batch of so
    many images, how fast it moves).

    TF1's fused kernel, which takes batches of images, moves the average by the unbiased variance,
    n / (n - 1) times the biased one, which Keras takes, and TF1's plain arithmetic on clips too.
    """
    found = {}
    for layer in native.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer.input.shape) == 4:
            count = images * np.prod(layer.input.shape[1:-1])
            name = native.weight_map.tf1_name(layer.name, "moving_variance")
            found[name] = 1 / (count - 1), 1 - layer.momentum
    return found


def as_tf1_moves(native, before, after):
    """A native model's moving averages after one step as TF1's fused kernel would have left them.

    Args:
        before: TF1 name -> array, before the step.
        after: after it.
    """
    moved = {name: value - before[name] for name, value in after.items()}
    for name, (more, rate) in unbiased_by(native).items():
        moved[name] += more * (moved[name] + rate * before[name])  # of rate * (variance - before)
    return {name: before[name] + move for name, move in moved.items()}


def recorded_names() -> list[str]:
    """Networks whose training steps TensorFlow 1.15.5 took: goldens/training_steps."""
    return sorted(path.stem for path in RECORDED.glob("*.npz"))


def recorded(arch: str) -> tuple[dict, dict]:
    """(case, arrays) of a recording, as tools/record_goldens.py describes them."""
    with np.load(RECORDED / f"{arch}.npz") as arrays:
        found = dict(arrays)
    return json.loads(str(found.pop("case"))), found
