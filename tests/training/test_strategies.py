"""`zoo.finetune(strategy=...)`: the run of one device, on several replicas and in several workers.

Expected: the same run on one device, up to float32's rounding of sums in another order: 1e-5 of a
tensor's largest number. Each worker is a process of its own.
"""

import contextlib
import json
import signal

import numpy as np
import pytest
import tensorflow as tf
from training.lenet_run import OPTIONS, STEPS_PER_EPOCH, write_images
from training.processes import cluster, result, start

import zoo
from zoo.errors import ArgumentError
from zoo.training.strategies import check_batch_size, strategy_of

CLOSE = 1e-5


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Images, random values for all to start from, and a folder to train in."""
    folder = tmp_path_factory.mktemp("runs")
    checkpoint = folder / "lenet.ckpt"
    zoo.write_checkpoint(checkpoint, zoo.load("lenet", weights=None, num_classes=3).tf1_variables)
    return write_images(folder / "brightness"), checkpoint, folder


@pytest.fixture(scope="module")
def one_device(started):
    images, checkpoint, folder = started
    return zoo.finetune("lenet", images, folder=folder / "one", tf1_ckpt=checkpoint, **OPTIONS)


def far_apart(one: list, other: list) -> float:
    """The largest difference, in parts of the tensor's largest number."""
    return max(
        float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(one, other, strict=True)
    )


def check_like(facts: dict, one_device) -> None:
    with np.load(facts["weights"]) as arrays:
        found = [arrays[name] for name in arrays.files]
    assert far_apart(found, [np.array(variable) for variable in one_device.model.weights]) < CLOSE
    assert facts["report"]["best"]["epoch"] == one_device.best["epoch"]
    for row, of_one in zip(facts["report"]["history"], one_device.history, strict=True):
        assert row == pytest.approx(of_one, rel=CLOSE, abs=CLOSE)


@contextlib.contextmanager
def two_workers(started, *, kill_after: int = 0):
    """Two processes that fine-tune together; the second kills itself after so many steps."""
    images, checkpoint, folder = started
    script = "finetune_worker_script.py"
    workers = [
        start(script, images, checkpoint, folder / "two", kill_after * index, TF_CONFIG=config)
        for index, config in enumerate(cluster(2))
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()


@pytest.mark.slow
def test_two_workers_give_what_one_device_gives_though_one_was_killed(started, one_device):
    folder = started[-1] / "two"
    with two_workers(started, kill_after=6) as (survivor, killed):
        assert killed.wait(300) == -signal.SIGKILL
        _, errors = survivor.communicate(timeout=300)
        assert survivor.returncode == 1
        assert "Another worker is gone" in errors and "start all of them again" in errors
    state = json.loads((folder / "state.json").read_text())
    assert state["stage"] == 1 and state["step"] in (1, 2)  # six steps in all, or the one before
    behind = STEPS_PER_EPOCH + state["step"]

    with two_workers(started) as workers:
        chief, other = map(result, workers)
    for facts in (chief, other):
        assert facts["steps"] == 3 * STEPS_PER_EPOCH - behind
        check_like(facts, one_device)
    assert chief["report"] == other["report"]
    with np.load(chief["weights"]) as ones, np.load(other["weights"]) as others:
        assert all(np.array_equal(ones[name], others[name]) for name in ones.files)
    files = ["best.keras", "curve.png", "labels.txt", "last.keras", "report.md", "state.json"]
    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.slow
def test_two_replicas_give_what_one_device_gives(started, one_device):
    images, checkpoint, folder = started
    script = "mirrored_finetune_script.py"
    facts = result(start(script, images, checkpoint, folder / "mirrored"))
    check_like(facts, one_device)
    assert "within `with strategy.scope():`" in facts["refusals"]["a model of no strategy"]
    assert "2 replicas share each batch" in facts["refusals"]["an odd batch"]
    assert "batch_size=4 and another" in facts["refusals"]["out of memory"]
    assert "no number" in facts["refusals"]["no number"]


def test_names_and_what_is_none():
    assert strategy_of(None) is None
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    assert strategy_of(one) is one
    with pytest.raises(ArgumentError, match="no strategy of this name") as caught:
        strategy_of("mirored")
    assert caught.value.nearest == ["mirrored"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "is not set"),
        ("not JSON", "is not a task of a cluster"),
        ('{"cluster": {"worker": ["a:1"]}}', "does not say 'task'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "not a task"),
    ],
)
def test_several_workers_need_to_know_of_each_other(config, told, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ArgumentError, match=told) as caught:
        strategy_of("multiworker")
    assert '"cluster"' in caught.value.accepted


def test_several_workers_come_before_all_else(monkeypatch):
    tf.constant(1) + 1
    config = {"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(ArgumentError, match="before TensorFlow is used") as caught:
        strategy_of("multiworker")
    assert "first lines of the program" in caught.value.next_step


def test_replicas_share_batches_evenly(monkeypatch):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    check_batch_size(strategy, 5)
    monkeypatch.setattr(type(strategy), "num_replicas_in_sync", 4)
    check_batch_size(strategy, 8)
    with pytest.raises(ArgumentError, match="4 replicas share"):
        check_batch_size(strategy, 6)
