"""The command on images of one colour, against the TF1 graph in a Session of the installed
TensorFlow, which gets the colours' values without any preprocessing code."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import recipe
from interrupts import heed_interrupts
from PIL import Image

from zoo.cli import errors

SMALL = "mobilenet_v1_0.25_128"
COLOURS = [(200, 30, 90), (20, 200, 40), (250, 240, 10), (0, 0, 0), (90, 90, 250), (255, 255, 255)]


@pytest.fixture(scope="module")
def best():
    """The network's best class for each colour, as its index among 1001."""
    import tensorflow as tf

    from zoo.adapters.mobilenet_v1 import MobileNetV1

    v1 = tf.compat.v1
    pixels = (np.array(COLOURS, np.float32) / 255 - 0.5) * 2
    images = np.broadcast_to(pixels[:, None, None], (len(COLOURS), 128, 128, 3))
    network = MobileNetV1(num_classes=1001, depth_multiplier=0.25)
    with tf.Graph().as_default(), v1.Session() as session:
        logits, _ = network.forward(tf.constant(images))
        for variable in v1.global_variables():
            value = recipe.weights(variable.op.name, tuple(variable.shape.as_list()))
            session.run(variable.initializer, {variable.initializer.inputs[1]: value})
        return session.run(logits).argmax(axis=1).tolist()


@pytest.fixture(scope="module")
def photos(best, tmp_path_factory):
    """A folder of synset ids: half of the images where the network puts them, the others in the
    folder of the daisy (985 of 1000), and one that is no image."""
    from zoo.images import imagenet_labels

    folder = tmp_path_factory.mktemp("photos")
    for number, colour in enumerate(COLOURS):
        index = best[number] - 1 if number % 2 else 985
        synset = imagenet_labels()[index].synset
        (folder / synset).mkdir(exist_ok=True)
        Image.new("RGB", (150, 150), colour).save(folder / synset / f"{number}.png")
    (folder / synset / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    return folder


def test_accuracy_classes_mistakes_and_files(run, photos, best, small_checkpoint, tmp_path):
    path = tmp_path / "classes.csv"
    arguments = ["evaluate", SMALL, photos, "--ckpt", small_checkpoint, "--json", "--by-class"]
    result = run(*arguments, "--mistakes", 9, "--csv", path, "--batch-size", 4)
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert (data["images"], data["top1"], data["model"]) == (6, 50.0, SMALL)
    assert (data["form"], data["dtype"], data["registered"]) == ("shim", "float32", None)
    assert len(data["skipped"]) == 1 and "cut.jpg" in data["skipped"][0]
    comparison = data["comparison"]
    assert comparison["published"]["top1"] == 41.5  # registry.yaml
    assert comparison["top1"] == pytest.approx(8.5)
    assert comparison["verdict"] == "cannot tell"
    assert {row["predicted"] for row in data["mistakes"]} == set(best[::2])
    assert {row["right_name"] for row in data["mistakes"]} == {"daisy"}
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == [str(row["index"]) for row in data["by_class"]]
    assert sum(int(row["images"]) for row in rows) == 6


def test_what_is_printed(run, photos, small_checkpoint):
    arguments = ["evaluate", SMALL, photos, "--ckpt", small_checkpoint, "--mistakes", 1]
    result = run(*arguments, "--by-class")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == SMALL
    text = " ".join(result.stdout.split())
    assert "top-1 50.00 % (standard error 20.41)" in text  # sqrt(0.5 * 0.5 / 6)
    assert "published top-1 41.5 %, top-5 66.3 % (TF-Slim nets/mobilenet_v1.md" in text
    assert "difference top-1 +8.50" in text
    assert "verdict cannot tell: the data have" in text
    assert "preprocessing inception: the middle 87.5 % of height and width, resized to 128" in text
    assert sum(line.count("\t") == 6 for line in lines) >= 2  # the classes
    assert "left out: " in result.stderr and "cut.jpg" in result.stderr


def test_a_keras_file_of_a_fine_tuned_network(run, photos, small_checkpoint, tmp_path):
    """A head that is all zero but for its bias gives each image the same class."""
    import zoo

    synsets = sorted(path.name for path in photos.iterdir())
    model = zoo.load(
        SMALL, tf1_ckpt=small_checkpoint, num_classes=len(synsets), class_names=synsets
    )
    head = "MobilenetV1/Logits/Conv2d_1c_1x1/"
    weights, biases = (model.tf1_variables[head + kind] for kind in ("weights", "biases"))
    weights.assign(np.zeros(weights.shape))
    biases.assign(np.eye(len(synsets))[synsets.index("n11939491")])  # the daisy
    model.save(tmp_path / "best.keras")
    result = run("evaluate", tmp_path / "best.keras", photos, "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert (data["images"], data["top1"], data["comparison"]) == (6, 50.0, None)
    result = run("evaluate", tmp_path / "best.keras", photos, "--ckpt", small_checkpoint)
    assert result.exit_code == errors.USAGE


def test_wrong_names_paths_and_options(run, photos, tmp_path, monkeypatch):
    from zoo import loading

    monkeypatch.setattr(loading, "load", None)  # nothing is loaded for these
    assert run("evaluate", "nosuch", photos).exit_code == errors.USAGE
    assert run("evaluate", SMALL, photos, "--form", "fast").exit_code == errors.USAGE
    assert run("evaluate", SMALL, photos, "--limit", 0).exit_code == errors.USAGE
    result = run("evaluate", SMALL, photos, "--csv", tmp_path / "none" / "rows.csv")
    assert result.exit_code == errors.USAGE
    assert run("evaluate", SMALL, photos, "--registry-row", "--limit", 9).exit_code == errors.USAGE
    result = run("evaluate", SMALL, tmp_path / "none")
    assert result.exit_code == errors.USAGE
    assert "no data here" in result.stderr and str(tmp_path / "none") in result.stderr
    result = run("evaluate", tmp_path / "none.keras", photos)
    assert result.exit_code == errors.FILE


def test_classes_that_are_none_of_the_networks(run, small_checkpoint, photos, tmp_path):
    (tmp_path / "data" / "roses").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "data" / "roses" / "0.png")
    result = run("evaluate", SMALL, tmp_path / "data", "--ckpt", small_checkpoint)
    assert result.exit_code == errors.USAGE
    assert "roses" in result.stderr and "--labels FILE" in result.stderr


@pytest.mark.parametrize("registered", ["net.tag", None])
def test_the_registrys_checkpoint_that_is_worse_than_published(
    run, photos, monkeypatch, registered
):
    """The exit code tells it, and there is a row, if the weights are known to be the published
    ones. Where there is none, the figures are told all the same."""
    from zoo.evaluation import evaluating, result, subject
    from zoo.evaluation.published import compare
    from zoo.registry import Accuracy

    counts = {"images": 50_000, "classes": 1000, "all_classes": 1000}
    comparison = compare("net.tag", Accuracy(41.5, by="x"), top1=39.0, top5=65.0, **counts)
    fields = dict.fromkeys(result.Evaluation.__dataclass_fields__)
    fields |= {"model": SMALL, "images": 50_000, "classes": 1000, "skipped": []}
    fields |= {"top1": 39.0, "top5": 65.0, "top1_error": 0.2, "top5_error": 0.2, "mean_loss": 2.0}
    fields |= {"broken": 0, "preprocessing": "inception"}
    measured = result.Evaluation(**{**fields, "comparison": comparison, "registered": registered})
    monkeypatch.setattr(subject, "subject_of", lambda *given, **more: None)
    monkeypatch.setattr(evaluating, "measure", lambda *given, **more: measured)
    outcome = run("evaluate", SMALL, photos)
    assert outcome.exit_code == (errors.NEGATIVE if registered else 0)
    assert "differs: 2.50 points apart" in outcome.stdout
    outcome = run("evaluate", SMALL, photos, "--registry-row")
    assert "differs: 2.50 points apart" in outcome.stdout
    assert ("- {top1: 39.0, top5: 65.0, by: zoo" in outcome.stdout) == bool(registered)
    assert outcome.exit_code == (errors.NEGATIVE if registered else errors.USAGE)
    outcome = run("evaluate", SMALL, photos, "--registry-row", "--json")
    assert bool(json.loads(outcome.stdout)["registry_row"]) == bool(registered)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_it_does(run, photos, small_checkpoint, tmp_path):
    """The program is interrupted in its midst, once it has counted something."""
    for number in range(150):
        (tmp_path / "data" / "daisy").mkdir(parents=True, exist_ok=True)
        shutil.copy(next(photos.rglob("0.png")), tmp_path / "data" / "daisy" / f"{number}.png")
    state = tmp_path / "state.npz"
    arguments = ["evaluate", SMALL, tmp_path / "data", "--ckpt", small_checkpoint, "--json"]
    arguments += ["--state", state, "--batch-size", 1]
    # Every image is a state, so that the test need not wait for one.
    code = "import zoo.evaluation.evaluating as evaluating, zoo.cli; evaluating.SAVE_EVERY = 0; "
    code += "raise SystemExit(zoo.cli.main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = subprocess.Popen(command, env=os.environ, preexec_fn=heed_interrupts, **pipes)
    while program.poll() is None and not state.exists():
        time.sleep(0.02)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=120)
    assert program.returncode == 130, err
    assert out == "" and "of 150 images; the same call goes on from there" in err
    assert state.exists()
    result = run(*arguments)
    assert json.loads(result.stdout)["images"] == 150
    assert not state.exists()
