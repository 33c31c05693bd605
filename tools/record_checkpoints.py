"""Records small real checkpoints with TensorFlow 1.15.5 into tests/goldens/checkpoints.

    python3.7 -m venv tf1 && tf1/bin/pip install tensorflow==1.15.5 'protobuf<3.21'
    tf1/bin/python tools/record_checkpoints.py tests/goldens/checkpoints

Two training runs of a made-up network, saved by tf.train.Saver:
  momentum/  V2: Momentum slots, moving averages, global_step, a partitioned variable, and the
             `checkpoint` file that names the latest of two
  adam.ckpt  V1: Adam slots under a scope, beta powers, a partitioned variable
and for each the names and shapes that TF 1.15.5's own reader reports (names.json).

Each value is a function of its variable's name, so tests need no recorded values: see `values`.
"""

import json
import os
import sys
import zlib

import numpy as np
import tensorflow as tf


def values(name, shape):
    """The values stored under a name, before the cast to the variable's dtype."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    return rng.uniform(0, 100, shape)


def network():
    images = tf.zeros((2, 6, 6, 2))
    with tf.variable_scope("Net"):
        with tf.variable_scope("Conv"):
            kernel = tf.get_variable("weights", (3, 3, 2, 4))
            net = tf.nn.conv2d(images, kernel, 1, "SAME")
            with tf.variable_scope("BatchNorm"):
                beta = tf.get_variable("beta", (4,))
                mean = tf.get_variable("moving_mean", (4,), trainable=False)
                variance = tf.get_variable("moving_variance", (4,), trainable=False)
                net = tf.nn.batch_normalization(net, mean, variance, beta, None, 1e-3)
        with tf.variable_scope("Table"):
            parted = tf.get_variable(
                "weights", (10, 4), partitioner=tf.fixed_size_partitioner(3, axis=0)
            )
            net = tf.reduce_mean(net, (1, 2)) + tf.reduce_sum(tf.convert_to_tensor(parted), 0)
        with tf.variable_scope("AuxLogits"):
            aux = tf.get_variable("weights", (4, 5))
        with tf.variable_scope("Logits"):
            kernel = tf.get_variable("weights", (4, 5))
            biases = tf.get_variable("biases", (5,))
    return tf.reduce_sum(tf.matmul(net, kernel) + biases) + tf.reduce_sum(tf.matmul(net, aux))


def train_with_momentum(loss):
    step = tf.train.get_or_create_global_step()
    train = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, global_step=step)
    with tf.control_dependencies([train]):
        whole = [v for v in tf.trainable_variables() if "/part_" not in v.op.name]
        tf.train.ExponentialMovingAverage(0.99, step).apply(whole)


def train_with_adam(loss):
    with tf.variable_scope("train"):
        step = tf.get_variable("global_step", (), tf.int32, trainable=False)
        tf.train.AdamOptimizer().minimize(loss, global_step=step)


def fill(session):
    """Gives every variable the values of its name in the checkpoint, parts their share."""
    for variable in tf.global_variables():
        info = variable._get_save_slice_info()
        if info is None:
            stored = values(variable.op.name, variable.shape.as_list())
        else:
            extents = zip(info.var_offset, info.var_shape)  # noqa: B905 (Python 3.7)
            part = tuple(slice(start, start + size) for start, size in extents)
            stored = values(info.full_name, info.full_shape)[part]
        variable.load(stored.astype(variable.dtype.as_numpy_dtype), session)


def record(prefix, train, version, steps):
    with tf.Graph().as_default(), tf.Session() as session:
        train(network())
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=version)
        for step in steps:
            fill(session)
            saved = saver.save(session, prefix, global_step=step, write_meta_graph=False)
    shapes = tf.train.NewCheckpointReader(saved).get_variable_to_shape_map()
    dtypes = tf.train.NewCheckpointReader(saved).get_variable_to_dtype_map()
    return {name: [shapes[name], dtypes[name].name] for name in sorted(shapes)}


def main(folder):
    assert tf.__version__ == "1.15.5", tf.__version__
    os.makedirs(os.path.join(folder, "momentum"), exist_ok=True)
    names = {
        "momentum": record(
            os.path.join(folder, "momentum", "model.ckpt"),
            train_with_momentum,
            tf.train.SaverDef.V2,
            (9, 10),
        ),
        "adam": record(
            os.path.join(folder, "adam.ckpt"), train_with_adam, tf.train.SaverDef.V1, (None,)
        ),
    }
    os.remove(os.path.join(folder, "checkpoint"))
    with open(os.path.join(folder, "names.json"), "w") as file:
        json.dump(names, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
