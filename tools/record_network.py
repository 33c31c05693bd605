"""The part of tools/record_goldens.py that runs in TensorFlow 1.15.5: records networks.

It reads a request from standard input and is not meant to be called by hand.
"""

import importlib
import importlib.util
import inspect
import json
import os
import sys

import golden_files
import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
import recipe

LEARNING_RATE = 1e-6  # at which two TensorFlows agree on a deep network's third step
STEPS = 3


class Network:
    """A network's original code, and the batch that it is recorded for."""

    def __init__(self, job):
        module = load(job)
        self.name, self.shape, self.classes = job["name"], job["shape"], job["classes"]
        self.function = getattr(module, job["function"])
        self.arg_scope = getattr(module, job["arg_scope"])
        # Code for tf.contrib.slim has its arg scopes there.
        self.slim = getattr(module, "slim", tf_slim)
        self.images = recipe.images(self.shape)

    def build(self, is_training, **arguments):
        """(logits, end points) in the current graph."""
        with self.slim.arg_scope(self.arg_scope()):
            return self.function(
                tf.constant(self.images),
                num_classes=self.classes,
                is_training=is_training,
                **arguments,
            )


def load(job):
    """The module with the network's code."""
    if "module" in job:
        return importlib.import_module(job["module"])
    if job["library"]:
        sys.path.insert(0, job["library"])
    spec = importlib.util.spec_from_file_location("original", job["file"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def give_weights(session):
    """Gives every variable the recipe's value, in one run: each new one prunes the whole graph."""
    variables = tf.global_variables()
    values = {
        v.initializer.inputs[1]: recipe.weights(v.op.name, tuple(v.shape.as_list()))
        for v in variables
    }
    session.run([v.initializer for v in variables], values)


def record_variables(network):
    """What the network consists of, from the graphs of inference and of training."""
    record = {
        "arch": network.name,
        "tf_version": tf.__version__,
        "num_classes": network.classes,
        "default_image_size": network.shape[-2],
        "input_shape": network.shape,
        "arg_scope_defaults": defaults(network.arg_scope),
        "function_defaults": defaults(network.function),
    }
    with tf.Graph().as_default(), tf.Session() as session:
        _, end_points = network.build(is_training=False)
        give_weights(session)
        record.update(consists_of(session, end_points))
        record["reg_loss_inference"] = record.pop("reg_loss")
    with tf.Graph().as_default(), tf.Session() as session:
        _, end_points = network.build(is_training=True)
        give_weights(session)
        training = consists_of(session, end_points)
        if training["end_points"] != record["end_points"]:  # an auxiliary head, for one
            known = {name for name, _, _ in record["variables"]}
            rows = training["variables"]
            training["variables"] = [row for row in rows if row[0] not in known]
            record["training"] = training
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        record["num_update_ops"] = len(updates)
        record["batch_norm_decay"] = decays(session, updates)
        record["batch_norm_epsilon"] = epsilons()
    return record


def defaults(function):
    parameters = inspect.signature(function).parameters.items()
    return {name: plain(parameter.default) for name, parameter in parameters}


def plain(default):
    if default is inspect.Parameter.empty:
        return "<required>"
    return getattr(default, "__name__", default)


def consists_of(session, end_points):
    variables, trainable = tf.global_variables(), tf.trainable_variables()
    losses = tf.losses.get_regularization_losses()
    return {
        "num_params": size(variables),
        "num_trainable_params": size(trainable),
        "reg_loss": float(session.run(tf.add_n(losses))) if losses else 0.0,
        "num_reg_losses": len(losses),
        "variables": [[v.op.name, v.shape.as_list(), v in trainable] for v in variables],
        "end_points": [[name, value.shape.as_list()] for name, value in end_points.items()],
    }


def size(variables):
    return sum(variable.shape.num_elements() for variable in variables)


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


def epsilons():
    """What the fused kernels of batch normalization add to a variance."""
    operations = tf.get_default_graph().get_operations()
    fused = [op for op in operations if op.type.startswith("FusedBatchNorm")]
    return sorted({round(op.get_attr("epsilon"), 9) for op in fused if "Grad" not in op.type})


def record_outputs(network):
    """Logits, and of each end point its mean, standard deviation and 64 samples."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits, end_points = network.build(is_training=False)
        give_weights(session)
        names = list(end_points)
        logits, values = session.run([logits, [end_points[name] for name in names]])
    return {
        "logits": logits.reshape(len(logits), -1),
        "ep_names": np.array(names),
        "ep_shapes": np.array([json.dumps(value.shape) for value in values]),
        **described("ep", values),
    }


def described(prefix, values):
    return {
        prefix + "_mean": np.array([value.mean(dtype=np.float64) for value in values]),
        prefix + "_std": np.array([value.std(dtype=np.float64) for value in values]),
        prefix + "_samples": np.stack([samples(value) for value in values])
        if values
        else np.zeros((0, 64), np.float32),
    }


def samples(array):
    """64 values at places that depend on the size alone."""
    return array.ravel()[np.random.RandomState(1).choice(array.size, 64)]


def record_training_steps(network):
    """Losses of three steps, and gradient norms and moving averages of the first."""
    dropout = {"dropout_keep_prob": 1.0}
    arguments = {k: v for k, v in dropout.items() if k in defaults(network.function)}
    labels = [3 + 2 * i for i in range(network.shape[0])]
    with tf.Graph().as_default(), tf.Session() as session:
        logits, _ = network.build(is_training=True, **arguments)
        loss, gradients, train = gradient_descent(tf.reshape(logits, [len(labels), -1]), labels)
        averages = [v for v in tf.global_variables() if "/moving_" in v.op.name]
        give_weights(session)
        norms = {name: tf.norm(tf.cast(g, tf.float64)) for name, g in gradients.items()}
        first, norms, _ = session.run([loss, list(norms.values()), train])
        moved = [session.run(variable) for variable in averages]
        losses = [first] + [session.run([loss, train])[0] for _ in range(STEPS - 1)]
    case = {
        "arch": network.name,
        "tf_version": tf.__version__,
        "input_shape": network.shape,
        "num_classes": network.classes,
        "arguments": arguments,
        "labels": labels,
        "learning_rate": LEARNING_RATE,
    }
    return {
        "case": np.array(json.dumps(case)),
        "losses": np.array(losses, np.float64),
        "gradient_names": np.array(list(gradients)),
        "gradient_norms": np.array(norms),
        "average_names": np.array([variable.op.name for variable in averages], str),
        **described("average", moved),
    }


def gradient_descent(logits, labels):
    """(loss, {name: gradient}, the step), of which the step comes last."""
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    loss = tf.losses.get_total_loss()
    variables = tf.trainable_variables()
    gradients = tf.gradients(loss, variables)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies([loss] + gradients + updates):
        optimizer = tf.train.GradientDescentOptimizer(LEARNING_RATE)
        train = optimizer.apply_gradients(zip(gradients, variables))  # noqa: B905 (Python 3.7)
    return loss, {v.op.name: g for v, g in zip(variables, gradients)}, train  # noqa: B905


RECORD = {
    "variables": record_variables,
    "outputs": record_outputs,
    "training_steps": record_training_steps,
}


def main():
    assert tf.__version__ == "1.15.5", tf.__version__
    tf.logging.set_verbosity(tf.logging.ERROR)  # it is deprecated, all of it
    request = json.load(sys.stdin)
    alike = True
    for job in request["jobs"]:
        network = Network(job)
        for kind in request["kinds"]:
            path = golden_files.path_of(request["folder"], kind, network.name)
            golden = RECORD[kind](network)
            if request["check"]:
                alike &= golden_files.check(golden, path)
            else:
                golden_files.write(golden, path)
                print("wrote", path, flush=True)
    return 0 if alike else 1


if __name__ == "__main__":
    sys.exit(main())
