import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, InputShapeError
from zoo.images import Label, Prediction, decode


def outputs(classes, **scores):
    row = np.zeros(classes, np.float32)
    for index, score in scores.items():
        row[int(index[1:])] = score
    return row


def test_a_thousand_classes():
    (best,) = decode(outputs(1000, _285=0.75, _967=0.125), top=2)
    assert best == [
        Prediction(285, "n02124075", "Egyptian cat", 0.75),
        Prediction(967, "n07920052", "espresso", 0.125),
    ]
    assert best[0].synset == "n02124075" and isinstance(best[0].score, float)


def test_the_background_shifts_the_labels_by_one():
    (best,) = decode(outputs(1001, _286=9, _968=8, _0=7)[None], top=3, label_offset=1)
    assert [p.name for p in best] == ["Egyptian cat", "espresso", "background"]
    assert [p.index for p in best] == [286, 968, 0] and best[2].synset is None


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_batches_tensors_and_dtypes(dtype):
    rows = tf.cast(np.stack([outputs(1000, _1=2), outputs(1000, _2=-1, _999=3.5)]), dtype)
    first, second = decode(rows, top=1)
    assert (first[0].index, second[0].index, second[0].score) == (1, 999, 3.5)


def test_equal_scores_come_in_order_and_top_is_clipped():
    (best,) = decode([0.5, 0.5, 0.5], top=99, labels=["a", "b", "c"])
    assert [p.name for p in best] == ["a", "b", "c"]
    assert [p.index for p in decode(np.arange(1000) % 2)[0]] == [1, 3, 5, 7, 9]
    assert decode(np.zeros((0, 1000))) == []


def test_labels_of_ones_own():
    (best,) = decode([0.1, 0.9], labels=["cat", Label("n07920052", "coffee")])
    assert best[0] == (1, "n07920052", "coffee", 0.9) and best[1].synset is None
    with_background = decode([0.1, 0.9, 0.5], labels=["cat", "dog"], label_offset=1)
    assert [p.name for p in with_background[0]] == ["cat", "dog", "background"]
    # A new head on a network that had a background has none itself.
    assert decode([0.1, 0.9], labels=["cat", "dog"], label_offset=1)[0][0].name == "dog"


@pytest.mark.parametrize(
    ("classes", "offset", "labels", "message"),
    [
        (1001, 0, None, r"1001 classes.*1000 labels.*Pass label_offset=1"),
        (1000, 1, None, r"Pass label_offset=0"),
        (10, 0, None, r"10 classes.*labels=\["),
        (10, 0, ["a"], r"labels= has 1 labels.*with 10 names"),
        (3, 2, ["a"], r"label_offset"),
    ],
)
def test_a_wrong_number_of_classes(classes, offset, labels, message):
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        decode(np.zeros((2, classes)), label_offset=offset, labels=labels)


@pytest.mark.parametrize("top", [0, -1, 2.5, None, True])
def test_a_wrong_top(top):
    with pytest.raises(ArgumentError, match="top"):
        decode(np.zeros(1000), top=top)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 7, 7, 1000)), 3.0, np.zeros((2, 0)), "text", [[1, 2], [3]], None, {}]
)
def test_what_is_no_output(wrong):
    with pytest.raises(InputShapeError, match="outputs to decode"):
        decode(wrong)


def test_nan_is_refused():
    rows = np.zeros((3, 1000))
    rows[1, 4] = np.nan
    with pytest.raises(InputShapeError, match="NaN in image 1 of 3"):
        decode(rows)


def test_a_symbolic_tensor_is_refused():
    with tf.Graph().as_default(), pytest.raises(InputShapeError, match="eager"):
        decode(tf.zeros([1, 1000]))
