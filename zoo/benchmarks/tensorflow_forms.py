"""Forms that run on TensorFlow: the TF1 function itself, the loaded model, and zoo.to_native."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.benchmarks import counting, twins
from zoo.benchmarks.forms import FORMS, Setting
from zoo.benchmarks.runnable import LEARNING_RATE, Batch, Runnable, version

v1 = tf.compat.v1


def make(form: str, setting: Setting) -> Runnable:
    """A form of the table that the TensorFlow process, or that of "keras", runs."""
    there = setting.device == "cpu" or bool(tf.config.list_physical_devices("GPU"))
    if form == "session":
        timed = there and setting.dtype == "float32"
        return dataclasses.replace(session(setting), timed=timed)
    if not there:
        raise RuntimeError("TensorFlow sees no GPU")
    if form == "frozen":
        return _frozen(native(setting.model, setting.policy, fold=True))
    if form == "keras":
        return _twin(setting)
    kind, mode = form.split(" ")[0], FORMS[form].mode
    if kind == "shim":
        model = loaded(setting.model, setting.policy)
    else:
        model = native(setting.model, setting.policy, fold=kind == "folded")
    return _of_model(model, mode, setting)


def write(file: str, setting: Setting, folder: Path) -> None:
    """What other processes take: plain Keras models, and the ONNX file."""
    if file == "tf1.onnx":
        from zoo.export import to_onnx

        to_onnx(loaded(setting.model, "float32"), folder / file)
    elif file == "folded.xml":
        model = native(setting.model, "float32", fold=True)
        model.export(str(folder / file), format="openvino", verbose=False)
    else:
        native(setting.model, setting.policy, fold=file == "folded.keras").save(folder / file)


@functools.cache
def loaded(name: str, policy: str):
    """The loaded model, which gives logits, with values that neither die away nor grow from layer
    to layer: numbers too small for float32's usual form are slow, and not equally slow
    everywhere."""
    import zoo

    model = zoo.load(name, weights=None, dtype=policy, classifier_activation=None)
    random = np.random.RandomState(0)
    for variable_name, variable in model.tf1_variables.items():
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue
        depthwise = variable_name.endswith("depthwise_weights")
        fan_in = np.prod(shape[:-2] if depthwise else shape[:-1])
        variable.assign(tf.constant(random.normal(0, np.sqrt(2 / fan_in), shape), tf.float32))
    return model


@functools.cache
def native(name: str, policy: str, fold: bool):
    import zoo

    return zoo.to_native(loaded(name, policy), fold_batch_norm=fold)


# --- In a Session


def session(setting: Setting) -> Runnable:
    """The model's function as TF1 runs it, with the model's values.

    The batch is in variables: fed, it would be copied at each step.
    """
    model = loaded(setting.model, "float32")
    with tf.Graph().as_default() as graph:
        images = _held(np.float32, (None, *model.input_shape[1:]))
        labels = _held(np.int32, (None,))
        logits, loss, train = _forward(model.network, images, labels, setting.trains)
        result = [loss, train] if setting.trains else logits
        new = [v1.placeholder(held.dtype, held.shape) for held in (images, labels)]
        put = [held.assign(value) for held, value in zip((images, labels), new, strict=True)]
        initializers = {v.op.name: v.initializer for v in v1.global_variables()}
    # Outside of `as_default`, or the other forms would run in this graph too.
    running = v1.Session(graph=graph)
    values = model.tf1_variables
    # In one run: each new choice of what to run prunes the whole graph anew.
    given = {op.inputs[1]: values[name].numpy() for name, op in initializers.items()}
    running.run(list(initializers.values()), given)
    return Runnable(
        put=lambda batch: running.run(put, dict(zip(new, batch, strict=True))),
        step=lambda _batch: running.run(result),
        fetch=lambda result: np.asarray(result[0] if setting.trains else result),
        runtime=version("tensorflow"),
    )


def facts(setting: Setting) -> dict:
    """What is to know of a network: `layers` that multiply, for one image (tuples; empty where
    the graph's shapes do not tell), `parameters`, and `has_dropout`."""
    model = loaded(setting.model, "float32")
    try:
        layers = _layers(model, setting)
    except TypeError:  # An unknown side in a shape.
        layers = []
    return {
        "layers": [dataclasses.astuple(layer) for layer in layers],
        "parameters": model.count_params(),
        "has_dropout": "dropout_keep_prob" in model.network.accepted_arguments(),
    }


def _layers(model, setting: Setting) -> list[counting.Layer]:
    with tf.Graph().as_default():
        images = v1.placeholder(tf.float32, (1, *model.input_shape[1:]))
        labels = v1.placeholder(tf.int32, (1,))
        logits, _, train = _forward(model.network, images, labels, setting.trains)
    return counting.layers([train if setting.trains else logits.op])


def _held(dtype, shape: tuple[int | None, ...]) -> tf.Variable:
    one = np.zeros([side or 1 for side in shape], dtype)
    local = [v1.GraphKeys.LOCAL_VARIABLES]
    return v1.Variable(
        one, trainable=False, collections=local, use_resource=True, shape=tf.TensorShape(shape)
    )


def _forward(network, images, labels, trains: bool):
    """Logits, and for training the loss and the operation that takes the step."""
    logits, _ = network.forward(tf.convert_to_tensor(images), trains)
    if not trains:
        return logits, None, None
    losses = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
    loss = tf.add_n([_cross_entropy(labels, logits), *losses])
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        train = v1.train.GradientDescentOptimizer(LEARNING_RATE).minimize(loss)
    return logits, loss, train


def _cross_entropy(labels, logits) -> tf.Tensor:
    logits = tf.cast(logits, tf.float32)
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(each)


# --- As a Keras model


def _of_model(model, mode: str, setting: Setting) -> Runnable:
    runtime = version("tensorflow", *(["XLA"] if mode == "xla" else []))
    if mode == "predict":
        return Runnable(_put, lambda batch: model.predict_on_batch(batch.images), runtime)
    run = _training_step(model) if setting.trains else _inference(model)
    if mode != "eager":
        run = tf.function(run, autograph=False, jit_compile=mode == "xla")
    # NumPy has to wait for what a GPU computes.
    return Runnable(_put, lambda batch: run(*batch).numpy(), runtime)


def _put(batch: Batch) -> Batch:
    return Batch(*map(tf.constant, batch))


def _inference(model) -> Callable:
    return lambda images, labels: model(images, training=False)


def _training_step(model) -> Callable:
    variables = model.trainable_variables

    def step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.add_n([_cross_entropy(labels, logits), *model.losses])
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            if gradient is not None:
                variable.assign_sub(LEARNING_RATE * tf.convert_to_tensor(gradient))
        return loss

    return step


def _frozen(model) -> Runnable:
    from tensorflow.python.framework import convert_to_constants

    spec = tf.TensorSpec(model.input_shape, tf.float32)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(traced)
    return Runnable(_put, lambda batch: frozen(batch.images)[0].numpy(), version("tensorflow"))


def _twin(setting: Setting) -> Runnable:
    import keras

    keras.config.set_dtype_policy(setting.policy)
    spec = registry.info(setting.model)
    twin = twins.find_twin(spec)
    model = twins.make_twin(spec, twin)
    return dataclasses.replace(
        _of_model(model, "function", setting),
        runtime=version("keras", twin.application),
        multiplications=None if setting.trains else _multiplications(model),
    )


def _multiplications(model) -> int:
    one = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(one)
    return counting.multiplications(counting.layers(x.op for x in traced.graph.outputs))
