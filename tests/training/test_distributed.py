"""fit and evaluate of zoo.training beside one device, Keras's fit and arithmetic.

What replicas do is run by mirrored_script.py and worker_script.py, each in processes of its own.
Expected values: Keras's `model.fit` on one device; the formula of TF1's moving averages
(`moving -= (1 - decay) * (moving - batch)`) in NumPy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from training.networks import IMAGES, ROWS, TARGETS, batches, far_apart, histories_apart, network

import zoo.training
from zoo.errors import ArgumentError
from zoo.training.batches import give_out

CLOSE = 1e-5


def moving_averages(parts_of_each_step, *, bessel: bool):
    """TF1's moving averages with decay 0.9: the mean of those that each replica would have."""
    mean, variance = np.zeros(3), np.ones(3)
    for parts in parts_of_each_step:
        count = parts[0][..., 0].size
        factor = count / (count - 1) if bessel else 1  # the fused kernel's unbiased variance
        means = [part.mean((0, 1, 2), dtype=np.float64) for part in parts]
        variances = [part.var((0, 1, 2), dtype=np.float64) * factor for part in parts]
        mean -= 0.1 * (mean - np.mean(means, 0))
        variance -= 0.1 * (variance - np.mean(variances, 0))
    return mean, variance


def check_moving_averages(found: dict, *, bessel: bool) -> None:
    steps = [[IMAGES[0:2], IMAGES[2:4]], [IMAGES[4:6], IMAGES[6:8]]]
    mean, variance = moving_averages(steps, bessel=bessel)
    np.testing.assert_allclose(found["mean"], mean, atol=CLOSE)
    np.testing.assert_allclose(found["variance"], variance, atol=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["two steps", "uneven", "sum", "weighted mean", "clipped"])
def test_two_replicas_take_the_steps_of_one_device(mirrored, case):
    if case == "weighted mean" and case not in mirrored:
        pytest.skip("this Keras has no such reduction")
    facts = mirrored[case]
    assert facts["moved"] > 100 * CLOSE
    assert facts["weights_apart"] < CLOSE
    assert facts["history_apart"] < CLOSE
    assert facts["replicas_apart"] == 0


@pytest.mark.slow
def test_evaluation_counts_each_row_once(mirrored):
    by_zoo, by_keras = mirrored["evaluated by zoo"], mirrored["evaluated by Keras"]
    assert by_zoo == pytest.approx(by_keras, abs=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keras", "slim"])
def test_moving_averages_are_the_mean_of_the_replicas(mirrored, kind):
    found = mirrored[f"moving averages of {kind}"]
    check_moving_averages(found, bessel=kind == "slim")
    assert found["replicas_apart"] == 0


@pytest.mark.slow
def test_a_distributed_dataset_is_taken_as_it_is(mirrored):
    facts = mirrored["distributed by the user"]
    assert facts["weights_apart"] < CLOSE
    assert facts["history_apart"] < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("compiled outside", "outside the strategy's scope"),
        ("empty part", "drop_remainder=True"),
        ("XLA", "jit_compile=False"),
        ("accumulation", "gradient_accumulation_steps=2"),
        ("another strategy", "not made under this strategy"),
    ],
)
def test_what_replicas_cannot_do_is_refused(mirrored, case, told):
    assert told in mirrored["refusals"][case]


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one_device(workers):
    one = network()
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0}
    history = one.fit(IMAGES, TARGETS, epochs=2, validation_data=(IMAGES, TARGETS), **settings)
    for facts in workers:
        assert far_apart(facts["weights"], one.get_weights()) < CLOSE
        assert facts["history"].keys() == history.history.keys()
        for name, values in history.history.items():
            np.testing.assert_allclose(facts["history"][name], values, atol=CLOSE)
    assert workers[0]["weights"] == workers[1]["weights"]
    assert workers[0]["optimizer"] == workers[1]["optimizer"]


@pytest.mark.slow
def test_workers_go_on_after_the_last_checkpoint(workers):
    one = network()
    one.fit(IMAGES, TARGETS, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for facts in workers:
        assert facts["epochs of the second call"] == [2]
        assert far_apart(facts["weights after three epochs"], one.get_weights()) < CLOSE


@pytest.mark.slow
def test_the_chief_alone_writes(workers):
    assert workers[0]["files"] == [
        "epoch-0001.weights.h5",
        "epoch-0002.weights.h5",
        "epoch-0003.weights.h5",
        "of_the_chief.weights.h5",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keras", "slim"])
def test_workers_moving_averages_are_the_mean_of_theirs(workers, kind):
    for facts in workers:
        check_moving_averages(facts[f"moving averages of {kind}"], bessel=kind == "slim")


@pytest.mark.slow
def test_workers_know_what_the_chief_knows(workers):
    for index, facts in enumerate(workers):
        assert facts["agreed"] == {
            "workers": 2,
            "of the chief": {"is_chief": True, "text": "a"},
            "any": [True, False],
            "shared": np.full((2, 3), 1.1, np.float32).tolist(),
        }
        failures = facts["failures"]
        assert failures["bad argument"][0] == ("TrainingError" if index else "ArgumentError")
        assert "No such thing." in failures["bad argument"][1]
        kind, text = failures["others than the chief"]
        assert kind == "ArgumentError" and "were not all given the same" in text
        assert ("is_chief=False, not True" in text) == (index == 1)


@pytest.mark.slow
def test_workers_stop_together(workers):
    for index, facts in enumerate(workers):
        assert facts["interrupted"] == [2, index == 1]
        kind, text = facts["failures"]["full disk"]
        assert kind == "OSError" and "No space left" in text
        assert "The last good state, stage 1, step 2, stays" in text
        assert facts["after the failure"] == "stage 1, step 2"
    assert workers[0]["files of the run"] == ["state.0-2.npz", "state.json"]


def compiled(**arguments) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([np.ones((3, 2), np.float32), np.zeros(2, np.float32)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), **{"loss": "mse", **arguments})
    return model


X, Y = IMAGES[:, 0, 0], TARGETS


def test_without_a_strategy_it_is_keras_fit():
    by_keras, by_zoo = compiled(metrics=["mae"]), compiled(metrics=["mae"])
    settings = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    expected = by_keras.fit(X, Y, **settings)
    history = zoo.training.fit(by_zoo, X, Y, **settings)
    assert histories_apart(expected, history) < CLOSE
    assert far_apart(by_keras.get_weights(), by_zoo.get_weights()) < CLOSE


def test_a_step_compiles_with_xla_as_a_tpu_needs_it():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    plain = compiled()
    with strategy.scope():
        by_xla = compiled(jit_compile=True)
    plain.fit(X[:8], Y[:8], batch_size=4, shuffle=False, verbose=0)
    zoo.training.fit(by_xla, X[:8], Y[:8], batch_size=4, shuffle=False, verbose=0)
    assert far_apart(plain.get_weights(), by_xla.get_weights()) < CLOSE


def test_rows_are_shuffled_anew_in_each_epoch_and_alike_on_every_worker():
    def two_epochs() -> list:
        strategy = tf.distribute.get_strategy()
        stream = give_out(strategy, X, batch_size=ROWS, shuffle=True).distributed
        return [rows.numpy() for _ in range(2) for (rows,) in stream]

    first, second = two_epochs()
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch, 0), np.sort(X, 0))
    np.testing.assert_array_equal([first, second], two_epochs())


def test_callbacks_stop_and_change_the_learning_rate():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = compiled()
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5)
    history = zoo.training.fit(model, X, Y, batch_size=4, epochs=5, callbacks=[rate, Stop()])
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == 2
    assert history.history["learning_rate"] == [0.5]


def test_an_interrupted_call_leaves_only_whole_checkpoints(tmp_path, monkeypatch):
    model = compiled()
    monkeypatch.setattr(keras.Model, "save_weights", _fail_halfway)
    with pytest.raises(OSError, match="full"):
        zoo.training.fit(model, X, Y, verbose=0, checkpoint_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def _fail_halfway(model, path):
    path.write_bytes(b"half")
    raise OSError("the disk is full")


def test_the_last_three_checkpoints_are_kept(tmp_path):
    zoo.training.fit(compiled(), X, Y, epochs=5, verbose=0, checkpoint_dir=tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"epoch-000{n}.weights.h5" for n in (3, 4, 5)]


class OwnStep(keras.Model):
    def train_step(self, data):
        return {}


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), (X, Y), "not compiled"),
        (lambda: _compiled_own_step(), (X, Y), "train_step"),
        (compiled, (X, Y[:5]), r"\[5, 13\] rows"),
        (compiled, (iter(()), None), "cannot be split"),
        (compiled, (batches(8).unbatch(), TARGETS), "go with arrays"),
        (compiled, (tf.data.Dataset.range(4), None), "scalars"),
        (compiled, (tf.data.Dataset.from_tensors((X, Y)).take(0), None), "no batch"),
        (lambda: compiled(loss=keras.losses.MeanSquaredError(reduction=None)), (X, Y), "none"),
    ],
)
def test_wrong_use_is_explained(model, data, told):
    with pytest.raises(ArgumentError, match=told):
        zoo.training.fit(model(), *data, verbose=0)


def _compiled_own_step() -> keras.Model:
    model = OwnStep()
    model.compile("sgd", "mse")
    return model
