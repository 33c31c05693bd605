"""Records what TensorFlow 1.15 computes with `tf.compat.v1.layers`.

Run by TensorFlow 1.15.5's own Python (3.7), with the path of the file to write:

    python tools/record_layers.py tests/goldens/layers.npz

The layers, their inputs and weights are those of tests/layer_cases.py. For each case it
stores under `<case>/`: `outputs` and the `op` that gave them, the variables' `names` (name, shape,
whether trainable), the regularization `losses`, and the gradients `grad/<variable>` and
`grad/inputs` of sum(outputs * weights). Under `numbering/names` are the names that a network full
of automatic names gets, with `numbering/outputs`; under `network/` the loss and outputs of each
training step and `final/<variable>`; and `signatures` has the arguments and defaults of all that
the module exports, as JSON. tests/shim/test_layers.py reads it.
"""

import inspect
import json
import os
import sys

import numpy as np
import tensorflow as tf
from tensorflow.python.util import tf_decorator

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests"))
import layer_cases

v1 = tf.compat.v1
layers = v1.layers


def describe_variables():
    trainable = [v.op.name for v in v1.trainable_variables()]
    return np.array(
        [
            f"{v.op.name} {v.shape.as_list()} {v.op.name in trainable}"
            for v in v1.global_variables()
        ],
        dtype=str,
    )


def load_weights(session):
    for variable in v1.global_variables():
        value = layer_cases.weights(variable.op.name, tuple(variable.shape.as_list()))
        variable.load(value, session)


def record_case(case):
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = tf.constant(layer_cases.inputs(case))
        outputs = layer_cases.apply_function(layers, case, inputs)
        load_weights(session)
        sources = {"inputs": inputs}
        sources.update({v.op.name: v for v in v1.trainable_variables()})
        factors = layer_cases.numbers(case + "/factors", outputs.shape.as_list())
        gradients = tf.gradients(outputs * factors, list(sources.values()))
        # In one run, so that dropout keeps the same elements in both.
        outputs_value, gradients = session.run([outputs, gradients])
        found = {"outputs": outputs_value, "op": np.array(outputs.op.name)}
        found["names"] = describe_variables()
        losses = v1.losses.get_regularization_losses()
        found["losses"] = np.array(session.run(losses), np.float32)
        for name, gradient in zip(sources, gradients):  # noqa: B905 (Python 3.7)
            found["grad/" + name] = gradient
    return {case + "/" + key: value for key, value in found.items()}


def record_numbering():
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = tf.constant(layer_cases.numbers("numbering", layer_cases.IMAGE))
        outputs = layer_cases.numbering(v1, layers, inputs)
        load_weights(session)
        return {
            "numbering/names": describe_variables(),
            "numbering/outputs": session.run(outputs),
        }


def record_network():
    images, targets = layer_cases.batches()
    found = {}
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, images.shape[1:])
        y = v1.placeholder(tf.float32, targets.shape[1:])
        outputs = layer_cases.network(v1, layers, x, True)
        loss = tf.reduce_mean(tf.square(outputs - y)) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            optimizer = v1.train.GradientDescentOptimizer(layer_cases.LEARNING_RATE)
            train = optimizer.minimize(loss)
        load_weights(session)
        losses, steps = [], []
        for step in range(layer_cases.STEPS):
            feed = {x: images[step], y: targets[step]}
            loss_value, outputs_value, _ = session.run([loss, outputs, train], feed)
            losses.append(loss_value)
            steps.append(outputs_value)
        found["network/names"] = describe_variables()
        found["network/losses"] = np.array(losses)
        found["network/outputs"] = np.stack(steps)
        for variable in v1.global_variables():
            found["network/final/" + variable.op.name] = session.run(variable)
    return found


def signatures():
    found = {}
    for name in dir(layers):
        thing = getattr(layers, name)
        if name.startswith("_") or inspect.ismodule(thing):
            continue
        function = thing.__init__ if inspect.isclass(thing) else tf_decorator.unwrap(thing)[1]
        parameters = inspect.signature(function).parameters.values()
        found[name] = [[p.name, str(p.kind), describe_default(p.default)] for p in parameters]
    return np.array(json.dumps(found))


def describe_default(default):
    """An initializer, or no default at all, by its class's name."""
    plain = default is None or isinstance(default, (bool, int, float, str, tuple))
    if default is inspect.Parameter.empty:
        return "required"
    return repr(default) if plain else type(default).__name__


def main(path):
    assert tf.__version__.startswith("1.15"), tf.__version__
    found = {"signatures": signatures()}
    for case in sorted(layer_cases.CASES):
        found.update(record_case(case))
    found.update(record_numbering())
    found.update(record_network())
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
