"""Record how TensorFlow 1.15.5 counts right answers, as Slim's eval_image_classifier.py lets it.

    python3.7 tools/record_counting.py     # an environment with TensorFlow 1.15.5 and tf-slim

Writes tests/goldens/counting.json, the expected values of tests/evaluation/test_tally.py: for
logits with ties, with infinite values and with NaN, whether the right class is among the best ones
(`in_top_k`), the class of `argmax`, the cross entropy, and the metrics over all rows that are
finite.
"""

import json
import pathlib

import numpy as np
import tensorflow as tf
import tf_slim as slim

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"
CLASSES = 12


def cases():
    """(logits, labels): whole numbers, so that many tie, and rows with a value that is none."""
    random = np.random.RandomState(0)
    logits = random.randint(-3, 4, (60, CLASSES)).astype(np.float32)
    labels = random.randint(0, CLASSES, 60)
    logits[:2] = 1  # all the same
    strange = []
    for value in (np.nan, np.inf, -np.inf):
        for place in (3, 7):  # the right class, and another
            row = random.randint(-3, 4, CLASSES).astype(np.float32)
            row[place] = value
            strange.append(row)
    return np.concatenate([logits, strange]), np.concatenate([labels, [3] * len(strange)])


def main():
    assert tf.__version__ == "1.15.5", tf.__version__
    logits, labels = cases()
    finite = np.isfinite(logits).all(axis=1)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs, right = tf.constant(logits), tf.constant(labels, tf.int64)
        each = {
            "top1": tf.nn.in_top_k(outputs, right, 1),
            "top5": tf.nn.in_top_k(outputs, right, 5),
            "argmax": tf.argmax(outputs, 1),
            "loss": tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=outputs),
        }
        outputs, right = tf.constant(logits[finite]), tf.constant(labels[finite], tf.int64)
        accuracy, add_1 = slim.metrics.streaming_accuracy(tf.argmax(outputs, 1), right)
        recall, add_5 = slim.metrics.streaming_recall_at_k(outputs, right, 5)
        session.run(tf.local_variables_initializer())
        session.run([add_1, add_5])
        recorded = {name: value.tolist() for name, value in session.run(each).items()}
        metrics = {"Accuracy": float(accuracy.eval()), "Recall_5": float(recall.eval())}
    recorded = {"logits": logits.tolist(), "labels": labels.tolist(), **recorded, **metrics}
    text = json.dumps(recorded, separators=(",", ":")).replace("],", "],\n")
    (GOLDENS / "counting.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
