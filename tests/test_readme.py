"""README.md tells the truth: its code runs, its commands work, its tables are the registry's and
those of the files in results/."""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.tables import write_csv
from zoo.validation.results import TENSORFLOW_1, TF1_GRAPH, Result, Row, Run, Setting, Stage

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_checkpoint, goldens):
    """A folder with the files that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    for photo in (ROOT / "examples").glob("*.jpg"):
        shutil.copy(photo, folder)
    shutil.copytree(
        goldens / "wrapped", folder / "old_training_dir", ignore=shutil.ignore_patterns("*.py")
    )
    shutil.copy(goldens / "wrapped" / "old_network.py", folder)
    for name, colour in (("daisies", "white"), ("roses", "red"), ("tulips", "yellow")):
        (folder / "flowers" / name).mkdir(parents=True)
        for number in range(5):
            image = Image.effect_noise((64, 48), 20 + number).convert("RGB")
            image = Image.blend(image, Image.new("RGB", image.size, colour), 0.5)
            image.save(folder / "flowers" / name / f"{number}.jpg")
    for photo, kind in (("chelsea.jpg", "n02124075"), ("coffee.jpg", "espresso")):
        (folder / "photos" / kind).mkdir(parents=True)
        shutil.copy(folder / photo, folder / "photos" / kind)
    for part in (".index", ".data-00000-of-00001"):
        shutil.copy(small_checkpoint + part, folder / f"model.ckpt{part}")
    return folder


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.mark.slow
def test_the_python_runs_from_top_to_bottom(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    namespace = {}
    for block in blocks("python"):
        if "old_network" in block:
            namespace["images"] = np.zeros((4, 16, 16, 3), np.float32)
            namespace["labels"] = np.arange(4)
        exec(compile(block, "README.md", "exec"), namespace)
    assert "137 of 137 variables" in capsys.readouterr().out
    assert namespace["report"].passed
    names = list(namespace["tf1_variables"](namespace["layer"]))
    assert names[:2] == ["net/Conv/weights", "net/Conv/BatchNorm/beta"]


COMMANDS = [
    line for block in blocks("sh") for line in block.splitlines() if line.startswith("zoo ")
]

# Each as `python -m zoo`, one after another: TensorFlow is imported once.
PROGRAM = """
import contextlib, io, json, runpy, sys

def run(arguments):
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    sys.argv = ["zoo", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("zoo", run_name="__main__")
        except SystemExit as exit_:
            code = exit_.code
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))

print(json.dumps([run(arguments) for arguments in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_the_commands_work(folder):
    arguments = json.dumps([shlex.split(command)[1:] for command in COMMANDS])
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, arguments], cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    ran = dict(zip(COMMANDS, json.loads(run.stdout.splitlines()[-1]), strict=True))
    assert {command: err for command, (code, _, err) in ran.items() if code != 0} == {}
    silent = [command for command, (_, out, _) in ran.items() if not out]
    assert all(" cache " in command for command in silent)


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.M)
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_tables_are_the_registrys_and_those_of_results():
    # In a process of its own: other tests, and the documents' code, register models here.
    render = [sys.executable, ROOT / "tools" / "render_readme.py"]
    checked = subprocess.run([*render, "--check"])
    assert checked.returncode == 0, "run `python tools/render_readme.py`"


@pytest.fixture(scope="module")
def render():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module("render_readme")


def cells(markdown):
    """The tables in a text: one list of rows each, a row as column -> cell."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        head, _, *rows = [line.strip("| ").split(" | ") for line in block.splitlines()]
        tables.append([dict(zip(head, row, strict=True)) for row in rows])
    return tables


def test_without_results_there_are_no_tables(render, tmp_path):
    assert render.validation(tmp_path) == render.speed(tmp_path) == ""


def test_a_validation_is_a_row(render, tmp_path):
    def result(model, *outputs):
        stages = (
            Stage.of(
                "outputs", TF1_GRAPH, [Row.of("logits", (2, 9), one, 1e-5) for one in outputs]
            ),
            Stage.skipped("gradients", TENSORFLOW_1, "none recorded"),
        )
        return Result(model, None, Setting(), {}, stages)

    same = Run("", "", {}, (result("lenet", 2e-6, 1e-6), result("vgg_16", 5e-6)))
    apart = Run("", "", {}, (result("lenet", float("nan")), result("vgg_16", 5e-6)))
    same.write_csv(tmp_path / "validation-cpu-shim-tensorflow-float32-tf2.21.0-keras3.15.1.csv")
    # Without the CSV file the JSON file tells the same.
    apart.write_json(tmp_path / "validation-nvidia_h100-native-jax-bfloat16-tf2.20.0-keras3.9.json")
    text = render.validation(tmp_path)
    (first, second), *others = cells(text)
    assert "Measured" in text and not others
    assert first["device"] == "CPU" and second["device"] == "NVIDIA H100"
    assert first["the same function"] == "2 of 2" and second["the same function"] == "1 of 2"
    assert first["outputs, TF1 graph"] == "5.0e-06 of 1e-05"
    assert second["outputs, TF1 graph"] == "no number"
    assert first["with"] == "TensorFlow 2.21.0, Keras 3.15.1"
    assert "gradients" not in first  # nothing was compared


def test_what_was_measured_and_what_is_predicted_are_apart(render, tmp_path):
    def form(name, speed, is_peer=False, **ratio):
        row = {"model": "lenet", "batch_size": 4, "form": name, "is_peer": is_peer, "threads": 2}
        return {**row, "samples_per_sec": speed, **ratio}

    ratio = {"over_best_peer": 1.5, "over_best_peer_low": 1.4, "over_best_peer_high": 1.6}
    forms = [
        form("session", 900.0),
        form("shim", 200.0, over_session=0.25, over_session_low=0.2, over_session_high=0.3),
        form("frozen", 300.0, **ratio),
        form("onnxruntime", 200.0, is_peer=True),
        form("timm", 20.0, is_peer=True),
        form("jax native", None),
    ]
    name = "forms-cpu-float32-channels_last-tf2.21.0-keras3.15.1.csv"
    write_csv(tmp_path / name, forms)
    program = {
        **{"model": "vgg_16", "form": "shim", "what": "compiled", "step": "inference"},
        **{"dtype": "bfloat16", "chip": "v5e", "chips": 1, "batch": 128},
    }
    taken = {"accepted": True, "predicted_images_per_sec": 4321.0}
    programs = [program | taken, program | {"model": "lenet", "accepted": False}]
    write_csv(tmp_path / "tpu-compile-jax0.10.2-libtpu0.0.52-tf2.21.0-keras3.15.1.csv", programs)
    text = render.speed(tmp_path)
    measured, predicted = re.split(r"(?m)^(?=Programs)", text)
    measured_on = "Measured on CPU, 2 cores, float32, channels last; TensorFlow 2.21.0"
    assert measured_on in " ".join(measured.split())
    assert "redicted" not in measured and "not measured" in predicted
    [[row]] = cells(measured)
    assert row["TF1 Session"] == "900.0" and row["loaded model"] == "200.0"
    assert row["to Session"] == "0.25 (0.20 to 0.30)"
    assert row["zoo's fastest"] == "300.0 (frozen)"  # the Session is none of zoo's
    assert row["fastest peer"] == "200.0 (onnxruntime)"
    assert row["to peer"] == "1.50 (1.40 to 1.60)"
    [[row]] = cells(predicted)
    assert row["accepted"] == "1 of 2" and row["vgg_16"] == "4,321 (128)"
    assert "libtpu 0.0.52" in " ".join(predicted.split())


def test_of_many_networks_most_are_one_row(render, tmp_path):
    def form(model, name, is_peer=False, **ratio):
        row = {"model": model, "batch_size": 1, "form": name, "is_peer": is_peer}
        return {**row, "samples_per_sec": 10.0, **ratio}

    rows = [form("vgg_16", "shim", over_session=9.0), form("vgg_16", "timm", is_peer=True)]
    for number in range(21):
        rows += [
            form(f"net_{number}", "shim", over_session=1 + number / 100),
            form(f"net_{number}", "folded", over_best_peer=2 + number / 100, samples_per_sec=99.0),
            form(f"net_{number}", "keras", is_peer=True),
        ]
    write_csv(tmp_path / "training-cpu-bfloat16-channels_last-tf2.21.0-keras3.15.1.csv", rows)
    text = render.speed(tmp_path)
    [[row], [others]] = cells(text)
    assert row["model"] == "vgg_16" and text.startswith("Steps of training")
    assert "Ratios of the 21 other networks" in text and others["networks"] == "21"
    assert others["to Session"] == "1.10 (1.00 to 1.20)"
    assert others["to peer"] == "2.10 (2.00 to 2.20)"


def test_a_gpu_check_has_its_tables(render, tmp_path):
    where = "nvidia_h100_80gb_hbm3-{}-nhwc-jax0.11.2-torch2.11.0-keras3.15.1.csv"
    compared = [
        {"model": "lenet", "form": "jax program", "what": what, "passed": passed, **row}
        for what, passed, row in (
            ("logits", True, {"difference": 2e-6, "tolerance": 1e-4}),
            ("losses of three steps", True, {"difference": 3e-7, "tolerance": 1e-5}),
            ("moving averages", False, {"difference": 3e-3, "tolerance": 1e-3}),
        )
    ]
    compared.append({"model": "vgg_16", "form": "jax program", "what": "logits", "skipped": "late"})
    write_csv(tmp_path / f"gpu_equivalence-{where.format('float32')}", compared)
    row = {"model": "lenet", "task": "inference", "dtype": "tf32"}
    ratio = {"over_best_peer": 1.5, "over_best_peer_low": 1.4, "over_best_peer_high": 1.6}
    timed = [
        row | {"form": form, "is_peer": form == "timm", "batch_size": batch, **measured}
        for form, batch, measured in (
            ("jax program", 1, {"samples_per_sec": 10.0}),
            ("jax program", 64, {"samples_per_sec": 3000.0, **ratio}),
            ("jax native", 64, {"samples_per_sec": 1500.0}),
            ("timm", 64, {"samples_per_sec": 2000.0}),
            ("torch native", 64, {"skipped": "out of time"}),
        )
    ]
    write_csv(tmp_path / f"gpu_throughput-{where.format('tf32')}", timed)
    [[row]] = cells(render.validation(tmp_path))
    assert row["logits as recorded"] == "1 of 1" and row["training as recorded"] == "0 of 1"
    assert row["training as recorded, nearest to what is allowed"] == "3.0e-03 of 1e-03"
    text = render.speed(tmp_path)
    [[row]] = cells(text)
    assert "NVIDIA H100 80GB HBM3, float32 with TF32 allowed" in " ".join(text.split())
    assert row["batch"] == "64" and row["TF1 graph on JAX"] == "3,000"
    assert row["fastest peer"] == "2,000 (timm)" and row["to peer"] == "1.50 (1.40 to 1.60)"
