"""Trains tests/goldens/wrapped/old_network.py a little in TensorFlow 1.15 and keeps the result.

    python3.7 -m venv tf1 && tf1/bin/pip install tensorflow==1.15.5 'protobuf<3.21'
    tf1/bin/python tools/record_wrapped.py

Writes beside the network: the checkpoint as `tf.train.Saver` leaves it, momentum slots and
global_step included, and expected.npz with inputs, logits and the regularization loss.
"""

import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/goldens/wrapped")
sys.path.insert(0, FOLDER)

from old_network import old_network  # noqa: E402


def main():
    tf.disable_v2_behavior()
    tf.set_random_seed(7)
    rng = np.random.RandomState(7)
    images = rng.uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)
    labels = rng.randint(0, 5, 16)

    training = tf.placeholder_with_default(False, [])
    inputs = tf.placeholder(tf.float32, [None, 16, 16, 3])
    logits = old_network(inputs, is_training=training)
    penalty = tf.losses.get_regularization_loss()
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits) + penalty
    step = tf.train.get_or_create_global_step()
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train = tf.train.MomentumOptimizer(0.05, 0.9).minimize(loss, global_step=step)

    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(30):
            session.run(train, {inputs: images, training: True})
        expected = session.run({"logits": logits, "penalty": penalty}, {inputs: images[:4]})
        os.chdir(FOLDER)  # The `checkpoint` file then names no folder.
        os.chdir(FOLDER)  # The `checkpoint` file then names no folder.
        tf.train.Saver().save(session, "./model.ckpt", global_step=step, write_meta_graph=False)
    np.savez(os.path.join(FOLDER, "expected.npz"), images=images[:4], **expected)


if __name__ == "__main__":
    main()
