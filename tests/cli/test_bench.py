"""The command around the measurements, which tests/benchmarks tests."""

import json

import pytest

from zoo import benchmarks, registry
from zoo.benchmarks import results, startup
from zoo.benchmarks.forms import Setting
from zoo.benchmarks.speeds import Speeds, Turns
from zoo.benchmarks.spread import Spread
from zoo.cli import errors

USUAL = ["session", "shim", "shim eager", "shim predict", "keras"]


def made_up(name, batch, shim=1.0, rounds=2, work="inference", dtype="float32"):
    """The seconds of a batch are those of the shim."""
    seconds = {"session": 1.0, "shim": shim, "folded": shim, "onnxruntime": 1.0}
    turns = {
        form: Turns(runtime, [taken] * rounds, [taken] * rounds, first_seconds=4.0 * taken)
        for (form, taken), runtime in zip(
            seconds.items(), ["tensorflow 2.0"] * 3 + ["onnxruntime 1.0"], strict=True
        )
    }
    for turn in turns.values():
        turn.host_peak = 100 << 20
    setting = Setting(name, work, dtype, threads=benchmarks.cores())
    return Speeds(setting, batch, 32, rounds, turns, {"timm": "timm not installed"})


@pytest.fixture
def asked(monkeypatch):
    """What the measurements were asked for; the network named alexnet_v2 is slow."""
    calls = []

    def measure_speeds(name, *, batches, progress, rounds, work, dtype, **options):
        calls.append({"name": name, "batches": batches, "rounds": rounds, "work": work,
                      "dtype": dtype, **options})  # fmt: skip
        shim = 2.0 if name == "alexnet_v2" else 0.5
        return (made_up(name, batch, shim, rounds, work, dtype) for batch in batches)

    def measure_startup(times):
        calls.append(times)
        return [startup.Startup("import zoo", Spread.of([0.01]), 0.01, False, 0.1)]

    def measure_load(name, *, times, progress):
        calls.append((name, times))
        return startup.Load(name, 100, Spread.of([1.0]), 1.0, 150, 120)

    for measure in (measure_speeds, measure_startup, measure_load):
        monkeypatch.setattr(benchmarks, measure.__name__, measure, raising=False)
    return calls


def test_lines_of_speed_and_of_ratios(run, asked):
    result = run("bench", "mobilenet_v1", "vgg_16", "--batch", 4, "--rounds", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    expected = {"batches": [4], "rounds": 2, "work": "inference", "dtype": "float32",
                "device": "cpu", "forms": USUAL, "timeout": 900}  # fmt: skip
    assert asked == [{"name": name, **expected} for name in ("mobilenet_v1_1.0_224", "vgg_16")]
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[1] == [
        "mobilenet_v1_1.0_224", "4", "shim", "8.0", "500.0", "500.0..500.0", "-", "1.5", "100",
        "tensorflow 2.0",
    ]  # fmt: skip
    assert lines[4][-1] == "skipped: timm not installed"
    assert lines[5] == ["mobilenet_v1_1.0_224", "4", "shim/session", "2.000", "2.000..2.000",
                        ">= 0.95", "met"]  # fmt: skip


def test_a_missed_target_is_a_negative_answer(run, asked):
    result = run("bench", "alexnet_v2")
    assert result.exit_code == errors.NEGATIVE
    assert "MISSED" in result.stdout
    result = run("bench", "alexnet_v2", "lenet", "--json")
    assert result.exit_code == errors.NEGATIVE
    assert [row["over_session"] for row in json.loads(result.stdout)][:5] == [1, 0.5, 0.5, 1, None]


@pytest.mark.parametrize("given", [["--batch", "64,1,16"], ["--batch", 16, "--batch", "1, 64"]])
def test_batches(run, asked, given):
    assert run("bench", "lenet", *given).exit_code == 0
    assert asked[0]["batches"] == [1, 16, 64]


@pytest.mark.parametrize(
    ("given", "forms"),
    [
        (["--form", "native, jax folded"], ["native", "jax folded"]),
        (["--mode", "eager", "--backend", "tensorflow"], ["shim eager", "native eager"]),
        (["--forms"], list(benchmarks.FORMS)),
        (["--form", "native", "--forms"], ["native"]),
    ],
)
def test_forms(run, asked, given, forms):
    assert run("bench", "lenet", *given).exit_code == 0
    assert asked[0]["forms"] == forms


def test_training_in_another_dtype(run, asked, tmp_path):
    result = run("bench", "lenet", "--training", "--dtype", "bfloat16", "--csv", tmp_path)
    assert result.exit_code == 0
    assert (asked[0]["work"], asked[0]["dtype"]) == ("training", "bfloat16")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("training-cpu-bfloat16-channels_last-tf2.")


def test_all_is_every_network(run, asked):
    assert run("bench", "all", "--json").exit_code == errors.NEGATIVE  # alexnet_v2
    names = [call["name"] for call in asked]
    assert names == benchmarks.distinct_models() and len(names) > 30


def test_what_the_file_has_is_not_measured_again(run, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_is_current", lambda row, setting: True)
    forms = ["--form", "shim,folded", "--rounds", 2]
    file = tmp_path / "mine.csv"
    assert run("bench", "lenet", *forms, "--batch", 1, "--csv", file).exit_code == 0
    result = run("bench", "lenet", "vgg_16", *forms, "--csv", file)
    assert [(call["name"], call["batches"]) for call in asked] == [
        ("lenet", [1]), ("lenet", [16]), ("vgg_16", [1, 16]),
    ]  # fmt: skip
    assert "lenet, batches of 1: " in result.stderr and "--again" in result.stderr
    rows = benchmarks.read_csv(file)
    kept = {(row["model"], row["batch_size"]) for row in rows}
    assert kept == {("lenet", 1), ("lenet", 16), ("vgg_16", 1), ("vgg_16", 16)}
    assert len(rows) == 4 * 5
    run("bench", "lenet", *forms, "--csv", file, "--again")
    assert asked[-1]["batches"] == [1, 16] and len(benchmarks.read_csv(file)) == len(rows)
    run("bench", "lenet", "--form", "shim", "--rounds", 3, "--csv", file)
    assert asked[-1]["rounds"] == 3


def test_an_interruption_keeps_what_is_there(run, asked, tmp_path, monkeypatch):
    def interrupted(name, *, batches, **options):
        yield made_up(name, batches[0], 0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmarks, "measure_speeds", interrupted)
    result = run("bench", "lenet", "vgg_16", "--csv", tmp_path / "rows.csv")
    assert result.exit_code == 130
    rows = benchmarks.read_csv(tmp_path / "rows.csv")
    assert {(row["model"], row["batch_size"]) for row in rows} == {("lenet", 1)}


def test_a_file_and_a_directory_for_the_rows(run, asked, tmp_path):
    assert run("bench", "vgg_16", "--csv", tmp_path / "mine.csv").exit_code == 0
    assert run("bench", "vgg_16", "--csv", tmp_path).exit_code == 0
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 2 and names[1] == "mine.csv"
    assert names[0].startswith("forms-cpu-float32-channels_last-tf2.")
    expected = [made_up("vgg_16", batch, 0.5, 20) for batch in (1, 16)]
    rows = benchmarks.read_csv(tmp_path / "mine.csv")
    assert rows == [row for one in expected for row in one.to_dicts()]


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "names of models"),
        (["mobilnet_v1"], "mobilenet_v1"),
        (["--forms"], "names of models"),
        (["vgg_16", "--forms", "--startup"], "--startup measures no forms"),
        (["vgg_16", "--rounds", "0"], "rounds"),
        (["vgg_16", "--csv", "/nowhere/at/all.csv"], "/nowhere/at"),
        (["vgg_16", "--batch", "1,two"], "1,16,64"),
        (["vgg_16", "--batch", "0"], "1,16,64"),
        (["vgg_16", "--form", "folden"], "folded"),
        (["vgg_16", "--backend", "pytorch"], "torch"),
        (["vgg_16", "--backend", "jax", "--mode", "eager"], "jax native"),
        (["vgg_16", "--form", "onnxruntime", "--dtype", "float16"], "no float16"),
        (["vgg_16", "--form", "folded", "--training"], "no training"),
        (["vgg_16", "--dtype", "int8"], "bfloat16"),
    ],
)
def test_wrong_usage(run, asked, arguments, message):
    result = run("bench", *arguments)
    assert result.exit_code == errors.USAGE
    assert message in result.stderr
    assert not asked


def test_no_gpu(run, asked, monkeypatch):
    monkeypatch.setenv("PATH", "")
    result = run("bench", "vgg_16", "--device", "gpu")
    assert result.exit_code == errors.INSTALLATION
    assert "no GPU" in result.stderr and "Next:" in result.stderr and not asked


def test_a_file_that_is_no_csv_file_stays(run, asked, tmp_path):
    file = tmp_path / "photo.csv"
    file.write_bytes(b"\xff\xd8\xff\xe0 no text")
    result = run("bench", "vgg_16", "--csv", file)
    assert result.exit_code == errors.USAGE and "no CSV file" in result.stderr
    assert file.read_bytes().startswith(b"\xff\xd8") and not asked


def test_the_networks_of_all_are_registered():
    assert set(benchmarks.distinct_models()) <= set(registry.list_models())
