import pytest

from zoo import registry
from zoo.benchmarks import startup
from zoo.benchmarks.spread import Spread
from zoo.errors import ArgumentError, UnknownModelError

SMALL = "mobilenet_v1_0.25_128"


def test_nothing_light_imports_tensorflow():
    rows = startup.measure_startup(1)
    assert [row.what for row in rows] == ["import zoo", "zoo list", "zoo --help"]
    assert not any(row.imports_tensorflow for row in rows)
    assert all(0 <= row.cpu_seconds and 0 < row.seconds.median for row in rows)


def test_an_import_of_tensorflow_is_noticed(monkeypatch):
    seen = "import sys; sys.modules['tensorflow'] = sys"
    monkeypatch.setattr(startup, "_IMPORT", seen + startup._IMPORT)
    monkeypatch.setattr(startup, "_COMMAND", seen + startup._COMMAND)
    assert startup._time_import()[-1] is True
    assert startup._time_command("list")[-1] is True


@pytest.mark.parametrize(
    ("seconds", "imports_tensorflow", "met"),
    [(0.1, False, True), (0.11, False, False), (0, True, False)],
)
def test_targets_of_startup(seconds, imports_tensorflow, met):
    spread = Spread.of([seconds])
    assert startup.Startup("import zoo", spread, 0.1, imports_tensorflow, 0.1).met is met


@pytest.mark.parametrize(
    ("seconds", "peak", "met"), [(3.0, 250, True), (3.1, 250, False), (3.0, 251, False)]
)
def test_targets_of_loading(seconds, peak, met):
    load = startup.Load("net", 100, Spread.of([seconds]), seconds, peak, 0)
    assert load.met is met
    assert load.to_dict()["peak_over_checkpoint"] == peak / 100


@pytest.mark.slow
def test_loading_a_small_checkpoint():
    seen = []
    load = startup.measure_load(SMALL, times=1, progress=lambda *done: seen.append(done))
    values = 4 * registry.info(SMALL).parameters
    assert values < load.checkpoint_bytes < 1.1 * values
    assert load.peak_bytes >= load.kept_bytes > 0
    assert load.seconds.median > 0
    assert seen == [(1, 2, f"loading {SMALL}"), (2, 2, f"loading {SMALL}")]


def test_a_failing_process_says_why():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        startup._python("1 / 0")


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="once or more"):
        startup.measure_startup(0)
    with pytest.raises(ArgumentError, match="once or more"):
        startup.measure_load(SMALL, times=0)
    with pytest.raises(UnknownModelError):
        startup.measure_load("mobilnet")
