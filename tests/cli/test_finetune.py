"""The command on a folder of images of three colours, with MobileNet's smallest network."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from zoo.cli import errors

SMALL = "mobilenet_v1_0.25_128"
COLOURS = {"blue": (40, 60, 200), "green": (60, 190, 40), "red": (210, 50, 40)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.RandomState(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(6):
            pixels = np.clip(random.normal(colour, 30, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "red" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    return folder


@pytest.mark.slow
def test_it_trains_reports_and_can_be_given_again(run, photos, small_checkpoint, tmp_path):
    arguments = ["finetune", SMALL, photos, "--ckpt", small_checkpoint, "--out", tmp_path / "out"]
    arguments += ["--epochs", 1, "--batch-size", 5, "--augmentation", "none", "--validation", 0.3]
    arguments += ["--trainable-scope", "Conv2d_13_pointwise", "--native", "--json"]
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["model"] == SMALL
    assert (report["images"], report["validation_images"]) == (12, 6)
    assert report["class_names"] == list(COLOURS)
    assert len(report["skipped"]) == 1 and "cut.jpg" in report["skipped"][0]
    assert [row["stage"] for row in report["history"]] == [0, 1]
    assert "accuracy:" in result.stderr  # the progress
    assert (tmp_path / "out" / "best.keras").exists()
    again = run(*[argument for argument in arguments if argument != "--json"])
    assert again.exit_code == 0
    assert "Best: val_accuracy" in again.stdout


def test_data_that_do_not_serve(run, photos, small_checkpoint, tmp_path):
    (tmp_path / "one" / "red").mkdir(parents=True)
    shutil.copy(photos / "red" / "0.png", tmp_path / "one" / "red")
    own = ["--ckpt", small_checkpoint, "--out", tmp_path / "out"]
    result = run("finetune", SMALL, tmp_path / "one", *own)
    assert result.exit_code == errors.USAGE
    assert "1 subfolder" in result.stderr
    result = run("finetune", SMALL, tmp_path / "none", *own)
    assert result.exit_code == errors.USAGE
    assert "no data here" in result.stderr
    result = run("finetune", SMALL, photos, *own, "--batch-size", 64)
    assert result.exit_code == errors.USAGE
    assert "smaller than a batch" in result.stderr
    assert "--batch-size 7" in result.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_options(run, photos):
    assert run("finetune", "nosuch", photos).exit_code == errors.USAGE
    assert run("finetune", SMALL, photos, "--optimizer", "best").exit_code == errors.USAGE
    assert run("finetune", SMALL, photos, "--epochs", -1).exit_code == errors.USAGE
    result = run("finetune", SMALL, photos, "--random", "--ckpt", "model.ckpt")
    assert result.exit_code == errors.USAGE
