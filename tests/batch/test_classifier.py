"""Rows of many images at once, beside those of `zoo predict`, which takes one at a time."""

import json
from pathlib import Path

import keras
import pytest
from conftest import SMALL

import zoo
from zoo.batch.classifier import Classifier
from zoo.errors import ArgumentError


@pytest.fixture(scope="module")
def classifier(small_checkpoint):
    return Classifier(SMALL, tf1_ckpt=small_checkpoint, top=3)


def test_paths_give_the_rows_of_one_process(classifier, files, check_rows):
    rows = classifier.rows(files)
    check_rows(rows)
    assert [row["image"] for row in rows] == files
    assert json.loads(json.dumps(rows)) == rows


def test_bytes_give_the_same_as_files(classifier, files, expected, check_rows):
    data = [(path, Path(path).read_bytes()) for path in files[:-1]]
    check_rows([*classifier.rows(data), expected[-1]])
    check_rows([*classifier.rows([each for _, each in data]), expected[-1]], named=False)
    (row,) = classifier.rows([("empty.jpg", b"")])
    assert "empty" in row["error"] and "empty.jpg" in row["error"]


def test_nothing_that_is_an_image(classifier, files):
    assert classifier.rows([]) == []
    assert [list(row) for row in classifier.rows(files[-2:])] == [["image", "error"]] * 2


def test_keras_files_of_both_kinds(classifier, files, check_rows, expected, tmp_path):
    model = zoo.load_model(_saved(classifier._model, tmp_path / "shim.keras"))
    assert model.model_name.startswith(SMALL)
    again = Classifier(tmp_path / "shim.keras", top=3)
    check_rows(again.rows(files))
    native = zoo.to_native(model)
    native.save(tmp_path / "native.keras")
    check_rows(Classifier(tmp_path / "native.keras", top=3).rows(files))
    best = expected[0]["predictions"][0]["index"]
    (tmp_path / "labels.txt").write_text("".join(f"{n}:class {n}\n" for n in range(1001)))
    (row,) = Classifier(tmp_path / "native.keras").rows(files[:1])
    assert (row["predictions"][0]["index"], row["predictions"][0]["name"]) == (
        best,
        f"class {best}",
    )

    native.name = "mine"
    native.save(tmp_path / "mine.keras")
    with pytest.raises(ArgumentError, match="does not say how images are preprocessed"):
        Classifier(tmp_path / "mine.keras")
    names = [f"kind {index}" for index in range(1001)]
    (row,) = Classifier(tmp_path / "mine.keras", like=SMALL, class_names=names).rows(files[:1])
    assert (row["predictions"][0]["index"], row["predictions"][0]["name"]) == (best, names[best])


def _saved(model, path):
    model.save(path)
    return path


def test_networks_of_no_classes_or_of_unnamed_ones(tmp_path):
    images = keras.Input((8, 8, 3))
    keras.Model(images, keras.layers.Conv2D(2, 3)(images)).save(tmp_path / "maps.keras")
    with pytest.raises(ArgumentError, match="no classifier of images"):
        Classifier(tmp_path / "maps.keras", like=SMALL)
    with pytest.raises(ArgumentError, match="10 classes, but ImageNet has 1000 labels"):
        Classifier("lenet", weights=None)
