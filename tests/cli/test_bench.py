"""The command around the measurements, which tests/benchmarks tests."""

import json

import pytest

from zoo import benchmarks
from zoo.benchmarks import forms, startup, throughput
from zoo.benchmarks.spread import Spread
from zoo.cli import errors


def made_up(name, function=1.0):
    seconds = {"session": [1.0, 1.0], "function": [function] * 2, "eager": [function] * 2}
    counts = {"session": 10**9}
    return throughput.Throughput(name, None, 16, 32, 10, counts, seconds, seconds, 2)


def made_up_forms(name, batch, folded=1.0):
    seconds = {"session": [1.0, 1.0], "folded": [folded] * 2, "onnxruntime": [1.0, 1.0]}
    runtimes = dict.fromkeys(seconds, "made up 1.0")
    skipped = {"timm": "timm not installed"}
    return forms.FormSpeeds(name, batch, 32, 2, 0.5, seconds, seconds, runtimes, skipped)


@pytest.fixture
def asked(monkeypatch):
    """What the measurements were asked for; the network named alexnet_v2 is slow."""
    calls = []

    def measure_throughput(name, *, batch, rounds, progress):
        calls.append((name, batch, rounds))
        return made_up(name, 1.2 if name == "alexnet_v2" else 1.0)

    def measure_forms(name, *, batches, rounds, progress):
        calls.append((name, batches, rounds))
        for batch in batches:
            yield made_up_forms(name, batch, 2.0 if name == "alexnet_v2" else 0.5)

    def measure_startup(times):
        calls.append(times)
        return [startup.Startup("import zoo", Spread.of([0.01]), 0.01, False, 0.1)]

    def measure_load(name, *, times, progress):
        calls.append((name, times))
        return startup.Load(name, 100, Spread.of([1.0]), 1.0, 150, 120)

    for measure in (measure_throughput, measure_forms, measure_startup, measure_load):
        monkeypatch.setattr(benchmarks, measure.__name__, measure, raising=False)
    return calls


def test_lines_of_speed_and_of_ratios(run, asked):
    result = run("bench", "mobilenet_v1", "vgg_16", "--batch", 4, "--rounds", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    assert asked == [("mobilenet_v1_1.0_224", 4, 2), ("vgg_16", 4, 2)]
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[0] == ["mobilenet_v1_1.0_224", "session", "16.0", "1000.0"]
    assert [
        "vgg_16",
        "function/session",
        "1.000",
        "1.000..1.000",
        "1.000",
        ">= 0.95",
        "met",
    ] in lines


def test_a_missed_target_is_a_negative_answer(run, asked):
    result = run("bench", "alexnet_v2")
    assert result.exit_code == errors.NEGATIVE
    assert "MISSED" in result.stdout


def test_json(run, asked):
    result = run("bench", "alexnet_v2", "--json")
    assert [row["model"] for row in json.loads(result.stdout)] == ["alexnet_v2"]


def test_a_file_and_a_directory_for_the_rows(run, asked, tmp_path):
    assert run("bench", "vgg_16", "--csv", tmp_path / "mine.csv").exit_code == 0
    assert run("bench", "vgg_16", "--csv", tmp_path).exit_code == 0
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 2 and names[1] == "mine.csv"
    assert names[0].startswith("benchmark-") and "-float32-tf2." in names[0]
    rows = benchmarks.read_csv(tmp_path / "mine.csv")
    assert rows == [made_up("vgg_16").to_dict()]


def test_startup(run, asked, tmp_path):
    result = run("bench", "--startup", "--rounds", 3, "--csv", tmp_path / "startup.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert asked == [3, ("resnet_v1_50", 3)]
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["import zoo", "0.010", "0.010", "<= 0.1", "-", "-", "met"],
        ["load resnet_v1_50", "1.000", "1.000", "<= 3.0", "1.50", "<= 2.5", "met"],
    ]
    rows = benchmarks.read_csv(tmp_path / "startup.csv")
    assert [row["what"] for row in rows] == ["import zoo", "load resnet_v1_50"]


def test_forms(run, asked, tmp_path):
    result = run("bench", "mobilenet_v1", "--forms", "--rounds", 2, "--csv", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert asked == [("mobilenet_v1_1.0_224", [1, 16], 2)]
    lines = [line.split("\t")[1:] for line in result.stdout.splitlines()]
    assert lines[5:] == [
        ["16", "session", "16.0", "1000.0", "1000.0..1000.0", "1000.0", "made up 1.0"],
        ["16", "folded", "32.0", "500.0", "500.0..500.0", "500.0", "made up 1.0"],
        ["16", "onnxruntime", "16.0", "1000.0", "1000.0..1000.0", "1000.0", "made up 1.0"],
        ["16", "timm", "-", "-", "-", "-", "skipped: timm not installed"],
        ["16", "folded / onnxruntime", "2.000", "2.000..2.000", ">= 1", "met"],
    ]
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("forms-cpu-float32-tf2.")
    expected = [made_up_forms("mobilenet_v1_1.0_224", batch, 0.5) for batch in (1, 16)]
    assert benchmarks.read_csv(file) == [row for one in expected for row in one.to_dicts()]


def test_a_peer_that_is_faster_is_a_negative_answer(run, asked):
    result = run("bench", "alexnet_v2", "--forms", "--batch", 1, "--json")
    assert result.exit_code == errors.NEGATIVE
    assert asked == [("alexnet_v2", [1], 20)]
    assert [row["over_best_peer"] for row in json.loads(result.stdout)] == [1.0, 0.5, 1.0, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "names of models"),
        (["mobilnet_v1"], "mobilenet_v1"),
        (["--forms"], "names of models"),
        (["vgg_16", "--forms", "--startup"], "one at a time"),
        (["vgg_16", "--rounds", "0"], "rounds"),
        (["vgg_16", "--csv", "/nowhere/at/all.csv"], "/nowhere/at"),
    ],
)
def test_wrong_usage(run, asked, arguments, message):
    result = run("bench", *arguments)
    assert result.exit_code == errors.USAGE
    assert message in result.stderr
    assert not asked
