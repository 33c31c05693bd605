"""Records what TensorFlow 1.15.5 makes of a network's original code: the golden of a new model.

Run it with Python 3.7, `tensorflow==1.15.5` and `tf-slim==1.1.0`, where the code can be imported:

    python tools/record_network.py original.py fleabane fleabane_arg_scope \\
        --shape 2 32 32 3 --classes 11 --into tests/goldens

It writes `variables/<function>.json.gz` and `outputs/<function>.npz`, as the README.md files in
those folders describe; `--name` gives them another name. The weights and the input are those of
tests/recipe.py.
"""

import argparse
import gzip
import importlib.util
import inspect
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from record_arguments import draw, samples


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", help="Python file with the original code")
    parser.add_argument("function", help="the network in it")
    parser.add_argument("arg_scope", help="the network's arg scope in it")
    parser.add_argument("--shape", type=int, nargs="+", required=True, help="of the batch")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--into", required=True, help="folder of goldens")
    parser.add_argument("--name", help="of the golden; the function's if left out")
    return parser.parse_args()


def load(path):
    spec = importlib.util.spec_from_file_location("original", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(function, arg_scope, images, classes, is_training):
    with slim.arg_scope(arg_scope()):
        return function(images, num_classes=classes, is_training=is_training)


def defaults(function):
    parameters = inspect.signature(function).parameters.items()
    return {name: plain(parameter.default) for name, parameter in parameters}


def plain(default):
    if default is inspect.Parameter.empty:
        return "<required>"
    return getattr(default, "__name__", default)


def size(variables):
    return int(sum(np.prod(variable.shape.as_list()) for variable in variables))


def record_variables(function, arg_scope, shape, classes):
    """What the network consists of, from the graphs of inference and of training."""
    images = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        _, end_points = build(function, arg_scope, tf.constant(images), classes, False)
        assign(session, tf.global_variables())
        record = consists_of(session, end_points)
        record["reg_loss_inference"] = record.pop("reg_loss")
    with tf.Graph().as_default(), tf.Session() as session:
        _, end_points = build(function, arg_scope, tf.constant(images), classes, True)
        assign(session, tf.global_variables())
        training = consists_of(session, end_points)
        if training["end_points"] != record["end_points"]:  # an auxiliary head, for one
            known = {name for name, _, _ in record["variables"]}
            rows = training["variables"]
            training["variables"] = [row for row in rows if row[0] not in known]
            record["training"] = training
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        record["num_update_ops"] = len(updates)
        record["batch_norm_decay"] = decays(session, updates)
    return record


def consists_of(session, end_points):
    variables, trainable = tf.global_variables(), tf.trainable_variables()
    losses = slim.losses.get_regularization_losses()
    return {
        "num_params": size(variables),
        "num_trainable_params": size(trainable),
        "reg_loss": float(session.run(tf.add_n(losses))) if losses else 0.0,
        "num_reg_losses": len(losses),
        "variables": [[v.op.name, v.shape.as_list(), v in trainable] for v in variables],
        "end_points": [[name, value.shape.as_list()] for name, value in end_points.items()],
    }


def decays(session, updates):
    """How much the first moving mean keeps of its distance to a batch's mean; [] without one."""
    means = [v for v in tf.global_variables() if v.op.name.endswith("/moving_mean")]
    for mean in means[:1]:
        mean.load(np.zeros(mean.shape.as_list()), session)
        session.run(updates)
        once = session.run(mean)
        session.run(updates)
        again = session.run(mean) - once
        return [round(float(once.dot(again) / once.dot(once)), 5)]
    return []


def assign(session, variables):
    values = {v.initializer.inputs[1]: draw(v.op.name, v.shape.as_list()) for v in variables}
    session.run([v.initializer for v in variables], values)


def record_outputs(function, arg_scope, shape, classes):
    """Logits, and of each end point its mean, standard deviation and 64 samples."""
    images = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = build(function, arg_scope, tf.constant(images), classes, False)
        assign(session, tf.global_variables())
        names = list(outputs[1])
        logits, values = session.run([outputs[0], [outputs[1][name] for name in names]])
    return {
        "logits": logits,
        "ep_names": np.array(names),
        "ep_mean": np.array([value.mean(dtype=np.float64) for value in values]),
        "ep_std": np.array([value.std(dtype=np.float64) for value in values]),
        "ep_samples": np.stack([samples(value) for value in values]),
    }


def main():
    given = arguments()
    module = load(given.file)
    function, arg_scope = getattr(module, given.function), getattr(module, given.arg_scope)
    name = given.name or given.function
    record = {
        "arch": name,
        "tf_version": tf.__version__,
        "num_classes": given.classes,
        "input_shape": given.shape,
        "arg_scope_defaults": defaults(arg_scope),
        "function_defaults": defaults(function),
    }
    record.update(record_variables(function, arg_scope, given.shape, given.classes))
    outputs = record_outputs(function, arg_scope, given.shape, given.classes)
    for folder in ("variables", "outputs"):
        os.makedirs(os.path.join(given.into, folder), exist_ok=True)
    with open(os.path.join(given.into, "variables", name + ".json.gz"), "wb") as file:
        file.write(gzip.compress(json.dumps(record).encode()))
    np.savez_compressed(os.path.join(given.into, "outputs", name + ".npz"), **outputs)


if __name__ == "__main__":
    main()
