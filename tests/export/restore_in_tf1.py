"""Run by TensorFlow 1.15.5: takes up what zoo wrote, and saves what comes out.

    python restore_in_tf1.py JOBS.json

A job names a folder, which has images.npy and is given outputs.npy (or losses.npy), a way, and
what the way needs.
"""

import importlib
import json
import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import inception


def meta_graph(session, job, folder):
    """By the MetaGraph and its signature."""
    latest = tf.train.latest_checkpoint(folder)
    tf.train.import_meta_graph(latest + ".meta").restore(session, latest)
    with open(latest + ".meta", "rb") as file:
        signature = tf.MetaGraphDef.FromString(file.read()).signature_def["serving_default"]
    return signature.inputs["images"].name, signature.outputs[job["output"]].name


def frozen(session, job, folder):
    """By the frozen graph."""
    with open(os.path.join(folder, "frozen.pb"), "rb") as file:
        tf.import_graph_def(tf.GraphDef.FromString(file.read()), name="")
    return "input:0", job["output"] + ":0"


def code(session, job, folder):
    """By the original code and the checkpoint alone."""
    images = tf.placeholder(tf.float32, job["shape"])
    outputs = tf.identity(network(job, images, is_training=False))
    tf.train.Saver().restore(session, tf.train.latest_checkpoint(folder))
    return images.name, outputs.name


def network(job, images, is_training):
    """Logits by the original code: Slim's, or a module's in a folder."""
    if job["network"] == "inception_v2":
        with slim.arg_scope(inception.inception_v2_arg_scope()):
            return inception.inception_v2(images, is_training=is_training, **job["arguments"])[0]
    place, module = os.path.split(job["network"])
    sys.path.insert(0, place)
    return importlib.import_module(module).network(images, is_training)[0]


def train_on(session, job, folder):
    """Trains on with Adam, whose slots and powers the checkpoint holds; gives the losses."""
    data = np.load(os.path.join(folder, "batches.npz"))
    images = tf.placeholder(tf.float32, data["images"][0].shape)
    labels = tf.placeholder(tf.int64, [None])
    logits = network(job, images, is_training=True)
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    total = tf.losses.get_total_loss()
    step = tf.train.get_or_create_global_step()
    with tf.control_dependencies([total] + tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        optimizer = tf.train.AdamOptimizer(job["rate"], epsilon=job["epsilon"])
        train = optimizer.minimize(total, global_step=step)
    tf.train.Saver().restore(session, tf.train.latest_checkpoint(folder))
    losses = []
    for pixels, classes in zip(data["images"], data["labels"]):  # noqa: B905
        losses.append(session.run([total, train], {images: pixels, labels: classes})[0])
    np.save(os.path.join(folder, "losses.npy"), losses + [session.run(step)])


def main(path):
    assert tf.__version__ == "1.15.5", tf.__version__
    tf.disable_v2_behavior()
    with open(path) as file:
        jobs = json.load(file)
    for job in jobs:
        folder = job["folder"]
        with tf.Graph().as_default(), tf.Session() as session:
            if job["way"] == "train_on":
                train_on(session, job, folder)
                continue
            images, outputs = globals()[job["way"]](session, job, folder)
            given = np.load(os.path.join(folder, "images.npy"))
            result = session.run(outputs, {images: given})
        np.save(os.path.join(folder, job["way"] + ".npy"), result)


if __name__ == "__main__":
    main(sys.argv[1])
