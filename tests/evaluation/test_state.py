import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.evaluation import state
from zoo.evaluation.tally import ROW, Tally

KEY = {"model": "net", "images": 4}


@pytest.fixture
def tally():
    tally = Tally(4)
    rows = np.zeros(2, ROW)
    rows["right"], rows["loss"] = [2, 1], [0.1, 7.5]
    tally.add([0, 2], rows, [(1, "damaged")])
    return tally


def test_it_comes_back(tally, tmp_path):
    state.save(tmp_path / "new" / "state.npz", KEY, tally)
    again = Tally(4)
    state.restore(tmp_path / "new" / "state.npz", KEY, again)
    assert (again.done, again.skipped) == (3, {1: "damaged"})
    np.testing.assert_array_equal(again.rows[:3], tally.rows[:3])


def test_without_a_file_there_is_nothing_to_go_on_from(tmp_path):
    tally = Tally(4)
    state.restore(tmp_path / "none.npz", KEY, tally)
    assert tally.done == 0


def test_the_state_of_another_evaluation_is_refused(tally, tmp_path):
    state.save(tmp_path / "state.npz", KEY, tally)
    with pytest.raises(ArgumentError, match="another evaluation") as caught:
        state.restore(tmp_path / "state.npz", {**KEY, "model": "other"}, Tally(4))
    assert "model: other, not net" in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "text", "pickle", "other rows", "empty"])
def test_what_is_no_state_is_refused(tally, tmp_path, damage):
    path = tmp_path / "state.npz"
    state.save(path, KEY, tally)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "pickle":
        np.savez(path, key=np.array({"model": "net"}, object))
    elif damage == "other rows":
        np.savez(path, key=np.array("{}"), rows=np.zeros(2), skipped=np.array("{}"))
    else:
        path.write_bytes(b"")
    fresh = Tally(4)
    with pytest.raises(ArgumentError, match="no state of an evaluation"):
        state.restore(path, KEY, fresh)
    assert fresh.done == 0


def test_a_failed_write_leaves_the_last_state(tally, tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    state.save(path, KEY, tally)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError):
        state.save(path, KEY, tally)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state.npz"]


def test_each_evaluation_has_a_file_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    paths = {state.default_path({**KEY, "model": name}) for name in ("a", "b", "a")}
    assert len(paths) == 2
    assert all(path.is_relative_to(tmp_path) for path in paths)


def test_what_a_killed_process_was_writing_goes_too(tally, tmp_path):
    path = tmp_path / "state.npz"
    state.save(path, KEY, tally)
    (tmp_path / ".state.npz.abc").mkdir()
    (tmp_path / ".state.npz.abc" / "state.npz").write_bytes(b"half")
    state.remove(path)
    assert list(tmp_path.iterdir()) == []
