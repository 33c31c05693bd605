"""The folder of a run: at any time it holds one whole state, or none."""

import json

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.training.progress import JoinEpoch, StopEarly, is_better
from zoo.training.run_folder import RunFolder


def variables(value):
    return [keras.Variable(np.full(shape, value, np.float32)) for shape in ((2, 3), (4,))]


def test_what_was_saved_last_comes_back(tmp_path):
    folder = RunFolder(tmp_path / "run", {"rate": 0.1})
    folder.save(variables(1), stage=0, step=3)
    folder.save(variables(2), stage=0, step=6, history=[{"epoch": 1}])
    again = RunFolder(tmp_path / "run", {"rate": 0.1})
    restored = variables(0)
    again.restore(restored)
    assert all((np.array(variable) == 2).all() for variable in restored)
    assert (again["step"], again.history, again.where()) == (6, [{"epoch": 1}], "stage 1, step 6")
    assert len(list((tmp_path / "run").glob("state.*.npz"))) == 1
    with pytest.raises(ArgumentError, match="another model"):
        again.restore(restored[:1])


def test_a_kill_between_arrays_and_state_leaves_the_state_before(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path, {})
    folder.save(variables(1), stage=0, step=3)
    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", lambda *_, **__: exec("raise SystemExit"))
        with pytest.raises(SystemExit):
            folder.save(variables(2), stage=0, step=6)
    restored = variables(0)
    again = RunFolder(tmp_path, {})
    again.restore(restored)
    assert (again["step"], float(restored[1][0])) == (3, 1)


def test_what_a_killed_process_was_writing_goes(tmp_path):
    RunFolder(tmp_path / "run", {})
    (tmp_path / "run" / ".best.keras.abc").mkdir()
    (tmp_path / "run" / ".best.keras.abc" / "best.keras").write_bytes(b"half")
    (tmp_path / "run" / ".mine").mkdir()
    RunFolder(tmp_path / "run", {})
    assert [path.name for path in (tmp_path / "run").glob(".*")] == [".mine"]


def test_settings_are_compared_by_value(tmp_path):
    settings = [{"optimizer": keras.optimizers.Adam(rate)} for rate in (0.1, 0.1, 0.2)]
    RunFolder(tmp_path / "run", settings[0]).save(variables(1), stage=0, step=3)
    RunFolder(tmp_path / "run", settings[1])
    with pytest.raises(ArgumentError, match="other settings"):
        RunFolder(tmp_path / "run", settings[2])


def test_early_stopping_counts_what_was_before():
    past = [{"val_loss": 1.0}, {"val_loss": 2.0}]
    for known, stops in (([], False), (past, True)):
        callback = StopEarly(known, monitor="val_loss", patience=2)
        callback.set_model(keras.Sequential())
        callback.model.stop_training = False
        callback.on_train_begin()
        callback.on_epoch_end(len(known), {"val_loss": 1.5})
        assert callback.model.stop_training == stops


def test_an_epoch_that_is_gone_on_with_has_the_metrics_of_all_its_steps():
    class Seen(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            batches.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            epochs.append(logs["loss"])

    batches, epochs = [], []
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")  # each step's loss is its target
    targets = np.array([[3.0], [5.0], [1.0], [2.0]])
    join = JoinEpoch({"loss": 10.0}, 2, 4)
    options = {"batch_size": 1, "shuffle": False, "verbose": 0, "callbacks": [join, Seen()]}
    model.fit(np.ones((2, 1)), targets[:2], **options)
    model.fit(np.ones((4, 1)), targets, **options)
    assert batches == pytest.approx([(20 + 3) / 3, 7.0, 3.0, 4.0, 3.0, 2.75])
    assert epochs == pytest.approx([7.0, 2.75])


def test_lower_losses_and_higher_accuracies_are_better():
    assert is_better(0.5, 0.6, "val_loss") and not is_better(0.6, 0.6, "val_loss")
    assert is_better(0.7, 0.6, "val_accuracy") and not is_better(0.6, 0.6, "accuracy")
