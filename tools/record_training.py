"""Trains in TensorFlow 1.15.5, stops, and goes on: checkpoints and the losses that follow.

Run it with Python 3.7, `tensorflow==1.15.5` and `tf-slim==1.1.0`:

    python tools/record_training.py tests/goldens/training

For each optimizer it writes the directory that training leaves after STOPPED_AFTER steps, and
`losses.json`: the total loss (cross entropy and the regularization losses) of each of the ten
steps that follow, from that checkpoint, at a constant and at a decaying learning rate.
`after.npz` in AVERAGED's has every variable after the ten steps at a decaying rate, moving
averages among them.

The network is network.py of that folder (`inception`: Slim's Inception V2, very narrow).
Batches are functions of the step, written anew in the tests.
"""

import json
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import inception

STOPPED_AFTER = 6
STEPS = 10
RATE = 0.05

# What Slim's train_image_classifier.py gives its optimizers, where it gives anything.
OPTIMIZERS = {
    "gradient_descent": lambda rate: tf.train.GradientDescentOptimizer(rate),
    "momentum": lambda rate: tf.train.MomentumOptimizer(rate, 0.9),
    "nesterov": lambda rate: tf.train.MomentumOptimizer(rate, 0.9, use_nesterov=True),
    "rmsprop": lambda rate: tf.train.RMSPropOptimizer(rate, 0.9, 0.9, 1.0),
    "rmsprop_centered": lambda rate: tf.train.RMSPropOptimizer(rate, 0.9, 0.9, 1.0, centered=True),
    "adam": lambda rate: tf.train.AdamOptimizer(rate, 0.9, 0.999, 1e-3),
    "adagrad": lambda rate: tf.train.AdagradOptimizer(rate),
    "inception": lambda rate: tf.train.RMSPropOptimizer(rate / 5000, 0.9, 0.9, 1.0),
}
AVERAGED = "rmsprop"
FIRST_STEP = {"adam": 4}  # An optimizer newly begun at a later step: its powers tell its own age.


def batch(step, side):
    """Images and labels of a step."""
    rng = np.random.RandomState(step)
    return rng.uniform(-1, 1, (8, side, side, 3)).astype(np.float32), rng.randint(0, 5, 8)


def build(name, network, decaying):
    """(inputs, labels, total loss, training op, the number of the step, what is averaged)."""
    side = 64 if name == "inception" else 16
    images = tf.placeholder(tf.float32, [8, side, side, 3])
    labels = tf.placeholder(tf.int64, [8])
    if name == "inception":
        with slim.arg_scope(inception.inception_v2_arg_scope()):
            logits, _ = inception.inception_v2(
                images, 5, depth_multiplier=0.01, min_depth=4, dropout_keep_prob=1.0
            )
    else:
        logits, _ = network(images, is_training=True)
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    total = tf.losses.get_total_loss()
    step = tf.train.get_or_create_global_step()
    rate = tf.constant(RATE)
    if decaying:
        rate = tf.train.exponential_decay(RATE, step, 4, 0.5, staircase=True)
    # The loss is of the variables before the step.
    with tf.control_dependencies([total] + tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train = OPTIMIZERS[name](rate).minimize(total, global_step=step)
    averaged = slim.get_model_variables() if name == AVERAGED else []
    if averaged:
        with tf.control_dependencies([train]):
            averages = tf.train.ExponentialMovingAverage(0.8, step.read_value())
            train = averages.apply(averaged)
    return images, labels, total, train, step, averaged


def run(name, network, folder, decaying=False):
    """Trains from nothing, or goes on from what the folder holds; returns the losses."""
    first = FIRST_STEP.get(name, 0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        images, labels, total, train, step, averaged = build(name, network, decaying)
        saver = tf.train.Saver()
        latest = tf.train.latest_checkpoint(folder)
        if latest is None:
            session.run(tf.global_variables_initializer())
            session.run(step.assign(first))
        else:
            saver.restore(session, latest)
        losses = []
        for _ in range(STOPPED_AFTER if latest is None else STEPS):
            now = int(session.run(step))
            pixels, classes = batch(now, images.shape[1])
            loss, _ = session.run([total, train], {images: pixels, labels: classes})
            losses.append(float(loss))
        if latest is None:
            here = os.getcwd()
            os.chdir(folder)  # The `checkpoint` file then names no folder.
            saver.save(session, "./model.ckpt", global_step=step, write_meta_graph=False)
            os.chdir(here)
        elif averaged and decaying:
            variables = {v.op.name: v for v in tf.global_variables()}
            np.savez_compressed(os.path.join(folder, "after.npz"), **session.run(variables))
    return losses


def main(folder):
    assert tf.__version__ == "1.15.5", tf.__version__
    # Reads of these keep the order of steps; a moving average may read an older value of others.
    tf.enable_resource_variables()
    sys.path.insert(0, folder)
    from network import network

    losses = {}
    for name in sorted(OPTIMIZERS):
        training = os.path.join(folder, name)
        shutil.rmtree(training, ignore_errors=True)
        os.makedirs(training)
        run(name, network, training)
        losses[name] = {
            "constant": run(name, network, training),
            "decaying": run(name, network, training, decaying=True),
        }
        print(name, losses[name]["decaying"])
    with open(os.path.join(folder, "losses.json"), "w") as file:
        json.dump(losses, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
