"""The recipe, on a small network of TF1 code and on the same in plain Keras. Expected losses are
written out in NumPy; expected runs are the same run, not interrupted."""

import errno
import json
import logging
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import coloured, tiny_model

import zoo
from zoo.errors import ArgumentError, InputShapeError, TrainingError
from zoo.evaluation.outputs import read_labels
from zoo.training import finetuning, progress
from zoo.training.finetuning import finetune
from zoo.training.trainees import Trainee

COLOURS = ["blue", "green", "red"]

pytestmark = pytest.mark.slow  # each run traces two steps and two evaluations


def form(kind, **arguments):
    model = tiny_model(**arguments)
    return model if kind == "shim" else zoo.to_native(model)


def start(model, folder, **options):
    """Fine-tunes on images that are preprocessed already, in little time."""
    images, labels = options.pop("data", None) or coloured()
    options = {
        "validation": tf.data.Dataset.from_tensor_slices(coloured(12, seed=1)),
        "class_names": COLOURS,
        "epochs": 2,
        "head_epochs": 0,
        "batch_size": 6,
        "preprocessing": None,
        "tensorboard": False,
        "verbose": 0,
        **options,
    }
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    return finetune(model, data, folder=folder, **options)


@pytest.fixture
def run(tmp_path):
    def in_folder(model, folder=tmp_path / "run", **options):
        return start(model, folder, **options)

    return in_folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights that the usual run ends with."""
    return values(start(tiny_model(), tmp_path_factory.mktemp("whole") / "run").model)


def values(model):
    return [np.array(variable) for variable in model.weights]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------------------ what it gives


@pytest.mark.parametrize("kind", ["shim", "native"])
def test_it_learns_and_leaves_a_model_curves_and_a_report(kind, run, tmp_path):
    model = form(kind)
    options = {"optimizer": "momentum", "learning_rate": 0.05, "tensorboard": True}
    result = run(model, head_epochs=1, epochs=6, **options)
    assert result.best["value"] > 0.9
    assert [(row["stage"], row["epoch"]) for row in result.history] == [
        (0, 1),
        *((1, epoch) for epoch in range(1, 7)),
    ]
    assert result.model is model
    images, labels = coloured(12, seed=1)
    accuracy = np.mean(np.argmax(model.predict(images, verbose=0), 1) == labels)
    assert accuracy == pytest.approx(result.best["value"])
    folder = tmp_path / "run"
    again = zoo.load_model(folder / "best.keras")
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    assert all(variable.trainable for variable in again.trainable_variables)
    assert len(again.trainable_variables) == len(form(kind).trainable_variables) == 8
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["best.keras", "last.keras", "labels.txt", "curve.png", "report.md", "state.json", "logs"]
    )
    names = [label.name for label in read_labels(folder / "labels.txt")]
    assert names == result.class_names
    assert "Best: val_accuracy" in (folder / "report.md").read_text()
    assert list(folder.glob("logs/stage-2/validation/events*"))
    once_more = run(form(kind), head_epochs=1, epochs=6, **options)
    assert same(values(once_more.model), values(model))
    assert once_more.report == result.report


@pytest.mark.parametrize("kind", ["shim", "native"])
def test_two_stages_train_what_they_should(kind, run, monkeypatch):
    model = form(kind)
    trainee = Trainee(model)
    before = [np.array(variable) for variable in trainee.variables.values()]
    seen = []
    save = progress.RunFolder.save

    def recorded(self, variables, **facts):
        now = zip(trainee.variables.items(), before, strict=True)
        changed = [name for (name, new), old in now if not np.array_equal(old, new)]
        seen.append((facts["stage"], changed))
        save(self, variables, **facts)

    monkeypatch.setattr(progress.RunFolder, "save", recorded)
    run(model, head_epochs=1, epochs=1, trainable_scopes=["b"], validation=None)
    head = ["Tiny/Logits/weights", "Tiny/Logits/biases"]
    assert seen[0] == (0, head)
    assert seen[-1] == (1, ["Tiny/b/weights", *head])


# ------------------------------------------------------------------------------ the loss


def cross_entropy(logits, labels, smoothing, weights=1.0):
    targets = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3  # slim.losses.softmax_...
    logits = np.asarray(logits, np.float64)
    log_sum = np.log(np.exp(logits).sum(1, keepdims=True))
    return np.mean(weights * -(targets * (logits - log_sum)).sum(1))


def regularization(model, but):
    """slim.l2_regularizer(0.01) of the weights; of what is not trained it is a constant."""
    variables = model.tf1_variables.items()
    weights = [v for name, v in variables if name.endswith("/weights") and but not in name]
    return sum(0.01 * np.sum(np.square(v, dtype=np.float64)) / 2 for v in weights)


@pytest.mark.parametrize(
    ("options", "auxiliary", "regularized", "weights"),
    [
        ({}, 0.4, True, None),
        ({"auxiliary_weight": 0.0, "label_smoothing": 0.1}, 0.0, True, None),
        (
            {"decoupled_weight_decay": 0.1, "class_weights": {0: 3.0, 2: 0.5}},
            0.4,
            False,
            [3, 1, 0.5],
        ),
        ({"class_weights": "balanced"}, 0.4, True, [36 / (3 * 18), 36 / (3 * 12), 36 / (3 * 6)]),
    ],
)
def test_the_loss_is_that_of_slims_script(options, auxiliary, regularized, weights, run):
    model = tiny_model(aux=True)
    images, _ = coloured()
    labels = np.repeat([0, 1, 2], [18, 12, 6])
    points = model.end_points(images)
    smoothing = options.get("label_smoothing", 0)
    rows = 1.0 if weights is None else np.array(weights)[labels]
    expected = cross_entropy(points["Logits"], labels, smoothing, rows)
    expected += auxiliary * cross_entropy(points["AuxLogits"], labels, smoothing, rows)
    if regularized:
        expected += regularization(model, but="none" if auxiliary else "AuxLogits")
    # One step with all images: the loss is that before the step.
    options |= {"batch_size": 36, "epochs": 1, "validation": None}
    result = run(model, data=(images, labels), **options)
    # Float32 against float64.
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert {type(v.regularizer).__name__ for v in model.trainable_variables} > {"NoneType"}


def test_a_native_network_trains_auxiliary_logits_too(run, tmp_path, monkeypatch):
    """With the loss of the TF1 code; what is kept is without them."""
    original = tiny_model(aux=True)
    monkeypatch.setattr(finetuning, "load", lambda *_, **__: original)
    images, labels = coloured()
    points = original.end_points(images)
    expected = cross_entropy(points["Logits"], labels, 0.0)
    expected += 0.4 * cross_entropy(points["AuxLogits"], labels, 0.0)
    expected += regularization(original, but="none")
    options = {"native": True, "batch_size": 36, "validation": None, "save_every": 1}
    result = run("tiny", data=(images, labels), **options)
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert result.history[1]["loss"] < result.history[0]["loss"]
    auxiliary = ["Tiny/AuxLogits/fc/weights", "Tiny/AuxLogits/fc/biases"]
    assert list(result.model.weight_map.left_out) == auxiliary
    kept = [name for name, _ in result.model.weight_map.tf1_arrays(result.model)]
    assert sorted([*kept, *auxiliary]) == sorted(original.tf1_variables)
    again = keras.saving.load_model(tmp_path / "run" / "best.keras")  # plain Keras
    np.testing.assert_array_equal(again.predict(images), result.model.predict(images))


def test_decoupled_weight_decay_shrinks_what_the_network_regularizes(run, tmp_path):
    """With plain gradient descent, by learning rate times decay (Loshchilov and Hutter, 2017,
    https://arxiv.org/abs/1711.05101) beside the gradient's step."""
    start = {name: np.array(v) for name, v in tiny_model().tf1_variables.items()}
    ends = []
    for number, decay in enumerate((0.0, 0.5)):
        result = run(
            tiny_model(),
            folder=tmp_path / str(number),
            optimizer="sgd",
            learning_rate=0.1,
            batch_size=36,
            epochs=1,
            validation=None,
            decoupled_weight_decay=decay,
        )
        ends.append({name: np.array(v) for name, v in result.model.tf1_variables.items()})
    for name, value in start.items():
        shrunk = 0.1 * 0.5 * value if name.endswith("/weights") else 0
        np.testing.assert_allclose(ends[0][name] - ends[1][name], shrunk, atol=1e-6)


# ------------------------------------------------------------------------------ going on


def stop_after(monkeypatch, steps):
    """Breaks off after so many batches, as a process does that is killed."""
    seen = []
    end = progress.KeepState.on_train_batch_end

    def ended(self, batch, logs=None):
        end(self, batch, logs)
        seen.append(batch)
        if len(seen) == steps:
            raise SystemExit("killed")

    monkeypatch.setattr(progress.KeepState, "on_train_batch_end", ended)


@pytest.mark.parametrize(
    ("kind", "killed_after", "options"),
    [
        ("shim", 8, {"moving_average": 0.9, "schedule": "cosine", "batch_norm": "live"}),
        # In the first stage.
        (
            "native",
            3,
            {
                "head_epochs": 1,
                "moving_average": 0.9,
                "optimizer": "rmsprop",
                "augmentation": "keras",
            },
        ),
    ],
)
def test_after_a_kill_the_same_steps_follow(
    kind, killed_after, options, run, tmp_path, monkeypatch
):
    # Dropout of plain Keras goes on too.
    arguments = {"keep_prob": 0.5} if kind == "native" else {}
    options = {"save_every": 1, "epochs": 3, "patience": 5, **options}
    whole = run(form(kind, **arguments), folder=tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, killed_after)
        with pytest.raises(SystemExit):
            run(form(kind, **arguments), **options)
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["step"] == killed_after
    resumed = run(form(kind, **arguments), **options)
    assert same(values(whole.model), values(resumed.model))
    # Of the epoch that was gone on with, two means in float32 are joined; all others are the same.
    for row, of_whole in zip(resumed.history, whole.history, strict=True):
        assert row == pytest.approx(of_whole, rel=1e-5)
    assert resumed.history[-1] == whole.history[-1]
    assert whole.best == resumed.best
    last = [zoo.load_model(tmp_path / name / "last.keras") for name in ("whole", "run")]
    assert same(values(last[0]), values(last[1]))


def test_ctrl_c_saves_and_says_how_to_go_on(run, uninterrupted, monkeypatch, caplog):
    begin = progress.KeepState.on_train_batch_begin

    def begun(self, batch, logs=None):
        begin(self, batch, logs)
        if batch == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(progress.KeepState, "on_train_batch_begin", begun)
        with caplog.at_level(logging.WARNING, "zoo"), pytest.raises(KeyboardInterrupt):
            run(tiny_model())
    assert "keeps stage 2, step 3: the same call or command goes on" in caplog.text
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert same(uninterrupted, values(run(tiny_model()).model))


def test_early_stopping(run):
    result = run(tiny_model(), epochs=9, learning_rate=0.0, patience=2)
    assert len(result.history) == 3


def test_mixed_precision(run):
    model = tiny_model(dtype="mixed_float16")
    result = run(model, epochs=6, optimizer="momentum", learning_rate=0.05)
    assert result.best["value"] > 0.9
    assert {variable.dtype for variable in model.weights} == {"float32"}


def test_a_keras_model_and_a_keras_optimizer(run):
    images = keras.Input((8, 8, 3))
    net = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images))
    model = keras.Model(images, keras.layers.Dense(3, activation="softmax")(net))
    optimizer = keras.optimizers.Adam(0.05)
    result = run(model, optimizer=optimizer, epochs=4)
    assert result.best["value"] > 0.6
    assert not optimizer.built  # each stage has a copy


# ------------------------------------------------------------------------------ what goes wrong


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(run, tmp_path):
    images, labels = coloured()
    labels = np.where(np.arange(36) == 20, 2, labels % 2)  # one image has an infinite loss
    with pytest.raises(TrainingError, match=r"The loss is no number any more after step \d+") as at:
        run(tiny_model(), data=(images, labels), class_weights={2: np.inf}, save_every=1, seed=3)
    assert "lower learning rate" in str(at.value)
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    step = int(str(at.value).split("after step ")[1].split()[0])
    assert state["step"] == step - 1
    with np.load(tmp_path / "run" / state["arrays"]) as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays)


def test_weights_that_are_no_numbers_are_not_saved(run, tmp_path):
    with pytest.raises(TrainingError, match="no number"):
        run(tiny_model(), head_epochs=1, optimizer="sgd", learning_rate=1e38, save_every=1)
    assert (tmp_path / "run" / "best.keras").exists()
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    with np.load(tmp_path / "run" / state["arrays"]) as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays)


def test_out_of_memory_names_a_batch_size_to_try(run):
    class Greedy(keras.layers.Layer):
        def call(self, inputs):
            much = tf.random.uniform([tf.shape(inputs)[0], 2**20, 2**24])
            return inputs + tf.reduce_sum(much)

    images = keras.Input((8, 8, 3))
    net = keras.layers.GlobalAveragePooling2D()(Greedy()(images))
    model = keras.Model(images, keras.layers.Dense(3)(net))
    with pytest.raises(TrainingError, match="Memory ran out") as caught:
        run(model)
    assert "batch_size=6" in caught.value.received
    assert "batch_size=3" in caught.value.next_step


@pytest.mark.parametrize("what", ["state", "best"])
def test_a_full_disk_leaves_the_last_good_state(what, run, uninterrupted, tmp_path, monkeypatch):
    calls, last = [], {"state": 3, "best": 2}[what]

    def full(function):
        def wrote(*arguments, **options):
            calls.append(1)
            function(*arguments, **options)
            if len(calls) == last:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return wrote

    with monkeypatch.context() as patch:
        if what == "state":
            patch.setattr(np, "savez", full(np.savez))
        else:
            patch.setattr(keras.Model, "save", full(keras.Model.save))
        with pytest.raises(OSError, match="No space left") as caught:
            run(tiny_model())
    assert caught.value.errno == errno.ENOSPC
    assert "stays in" in str(caught.value)
    assert not list((tmp_path / "run").glob(".*"))
    assert zoo.load_model(tmp_path / "run" / "best.keras") is not None
    assert same(uninterrupted, values(run(tiny_model()).model))


def test_fewer_images_than_a_batch(run):
    with pytest.raises(ArgumentError, match="smaller than a batch") as caught:
        run(tiny_model(), batch_size=37)
    assert "36 images" in caught.value.received
    assert "batch_size=18" in caught.value.next_step


def test_folders_that_hold_something_else(run, tmp_path):
    with pytest.raises(ArgumentError, match="no variable in this scope"):
        run(tiny_model(), trainable_scopes=["mistyped"])
    run(tiny_model())
    with pytest.raises(ArgumentError, match="other settings") as caught:
        run(tiny_model(), learning_rate=0.5)
    assert caught.value.received == "learning_rate=0.5, not None"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ArgumentError, match="no fine-tuning"):
        run(tiny_model(), folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "whole number"),
        ({"epochs": 0, "head_epochs": 0}, "nothing to do"),
        ({"batch_norm": "liv"}, "batch_norm"),
        ({"optimizer": "adamm"}, "optimizer"),
        ({"class_weights": {7: 1.0}}, "class_weights"),
        ({"trainable_scopes": ["b"], "freeze_until": "b"}, "both say"),
        ({"trainable_scopes": ["nosuch"]}, "no variable in this scope"),
        ({"class_names": ["a", "b", "c", "d"]}, "not the data's classes"),
        ({"dropout_keep_prob": 0.5}, "go with a model's name"),
        ({"validation": 1.5}, "between 0 and 1"),
        ({"validation": 0.5, "data": coloured(3)}, "too few images to hold"),
    ],
)
def test_arguments_that_do_not_serve(options, message, run):
    with pytest.raises(ArgumentError, match=message):
        run(tiny_model(), **options)


def test_floats_beyond_their_range_are_refused(run):
    with pytest.raises(InputShapeError, match=r"\[0, 1\]"):
        run(tiny_model(), preprocessing="inception")
    with pytest.raises(InputShapeError, match="not preprocessed for this model"):
        run(tiny_model(side=9))
