"""Whole evaluations, against an independent count in NumPy of a linear network's outputs."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tiny import tiny_model

import zoo
from zoo.errors import ArgumentError, CheckpointNotFoundError, ImageError
from zoo.evaluation import evaluating
from zoo.evaluation.published import compare
from zoo.registry import Accuracy, Registry

CLASSES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]  # conftest.py's
OPTIONS = {"labels": CLASSES, "preprocessing": "inception", "batch_size": 6}


@pytest.fixture(autouse=True)
def state_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def expected(logits, photos):
    """(top-1, top-5, mean loss) by sorting, and by the definition of the cross entropy."""
    best = np.argsort(-logits, axis=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(shares[np.arange(len(logits)), photos.right])
    return (
        100 * np.mean(best[:, 0] == photos.right),
        100 * np.mean([right in row[:5] for right, row in zip(photos.right, best, strict=True)]),
        losses.mean(),
    )


def check(result, expected):
    # Single precision, and a mean over 64 pixels.
    assert (result.top1, result.top5, result.mean_loss) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def records(photos, tmp_path_factory):
    """The photos as Slim's scripts write them: two shards and labels.txt, classes from 0."""
    folder = tmp_path_factory.mktemp("records")
    files = sorted(photos.folder.rglob("*.png"))
    for shard in range(2):
        path = folder / f"animals_validation_{shard:05d}-of-00002.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for file in files[shard::2]:
                writer.write(example(file.read_bytes(), CLASSES.index(file.parent.name)))
    rows = [f"{index}:{name}" for index, name in enumerate(CLASSES)]
    (folder / "labels.txt").write_text("\n".join(rows))
    return folder


def example(encoded, label, synset=None):
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    if synset:
        value = tf.train.BytesList(value=[synset])
        feature["image/class/synset"] = tf.train.Feature(bytes_list=value)
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_a_folder_of_classes(linear, photos, expected):
    seen = []
    result = zoo.evaluate(
        linear[0], photos.folder, progress=lambda *given: seen.append(given), **OPTIONS
    )
    check(result, expected)
    assert (result.images, result.classes, result.skipped, result.broken) == (40, 7, [], 0)
    assert [done for done, _, _ in seen] == [6, 12, 18, 24, 30, 36, 40]
    assert {total for _, total, _ in seen} == {40}
    share = expected[0] / 100
    assert result.top1_error == pytest.approx(100 * (share * (1 - share) / 40) ** 0.5)
    assert result.form == "native" and result.comparison is None
    assert "87.5 %" in result.preprocessing
    assert "top-1" in str(result)


def test_classes_and_mistakes(linear, photos, logits):
    result = zoo.evaluate(linear[0], photos.folder, **OPTIONS)
    best = logits.argmax(axis=1)
    for row in result.by_class():
        of_class = photos.right == row["index"]
        assert row["images"] == of_class.sum()
        assert row["top1"] == pytest.approx(100 * np.mean(best[of_class] == row["index"]))
        assert row["name"] == CLASSES[row["index"]]
    shares = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1)
    wrong = np.flatnonzero(best != photos.right)
    wrong = wrong[np.argsort(-shares[wrong])]
    mistakes = result.mistakes(4)
    assert [row["predicted"] for row in mistakes] == best[wrong[:4]].tolist()
    assert [row["right_name"] for row in mistakes] == [CLASSES[i] for i in photos.right[wrong[:4]]]
    np.testing.assert_allclose([row["probability"] for row in mistakes], shares[wrong[:4]], 1e-5)
    assert [row["image"][-6:] for row in mistakes] == [f"{place:02}.png" for place in wrong[:4]]
    assert len(result.mistakes(99)) == len(wrong)


def test_a_flat_folder(linear, photos, expected, tmp_path):
    lines = []
    for path in photos.folder.rglob("*.png"):
        shutil.copy(path, tmp_path)
        lines.append(f"{path.name} {path.parent.name}\n")
    (tmp_path / "truth.txt").write_text("".join(lines))
    check(zoo.evaluate(linear[0], tmp_path, **OPTIONS), expected)
    (tmp_path / "other.txt").touch()
    given = {**OPTIONS, "ground_truth": tmp_path / "truth.txt"}
    check(zoo.evaluate(linear[0], tmp_path, **given), expected)


def test_tfrecords(linear, records, expected):
    check(zoo.evaluate(linear[0], records, **OPTIONS), expected)
    check(zoo.evaluate(linear[0], str(records / "*.tfrecord"), **OPTIONS), expected)
    check(zoo.evaluate(linear[0], records, label_offset=0, **OPTIONS), expected)


def test_records_count_the_outputs_of_a_network_without_names(linear, records, expected):
    given = {"preprocessing": "inception", "batch_size": 40}
    result = zoo.evaluate(linear[0], records, **given)
    check(result, expected)
    assert result.by_class()[2]["name"] == "class 2"


def test_softmax_within_the_last_layer(linear, photos, expected):
    model, kernel, bias = linear
    images = keras.Input((8, 8, 3))
    dense = keras.layers.Dense(7, activation="softmax")
    within = keras.Model(images, dense(keras.layers.GlobalAveragePooling2D()(images)))
    dense.set_weights([kernel, bias])
    nested = keras.Model(images, model(images))
    for one in (within, nested):
        check(zoo.evaluate(one, photos.folder, **OPTIONS), expected)


def test_damaged_records_are_left_out(linear, records, tmp_path):
    shutil.copytree(records, tmp_path / "records")
    first, second = sorted((tmp_path / "records").glob("*.tfrecord"))
    octets = bytearray(first.read_bytes())
    octets[60] ^= 1  # within the first record
    first.write_bytes(octets)
    second.write_bytes(second.read_bytes()[:-5])
    result = zoo.evaluate(linear[0], tmp_path / "records", **OPTIONS)
    assert result.images == 38
    assert len(result.skipped) == 2
    assert "cut short" in result.skipped[0] and "record 19" in result.skipped[0]
    assert "checksum" in result.skipped[1] and "record 0" in result.skipped[1]


def test_records_of_several_parts_are_not_mixed(linear, records, tmp_path):
    for path in records.iterdir():
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / path.name.replace("validation", "train"))
    with pytest.raises(ArgumentError, match="several parts"):
        zoo.evaluate(linear[0], tmp_path, **OPTIONS)
    zoo.evaluate(linear[0], f"{tmp_path}/animals_validation*", limit=2, **OPTIONS)


def test_images_that_cannot_be_read_are_left_out_and_named(linear, photos, expected, tmp_path):
    shutil.copytree(photos.folder, tmp_path / "data")
    whole = sorted((photos.folder / "fox").iterdir())[0].read_bytes()
    (tmp_path / "data" / "ant" / "0.png").write_bytes(b"")
    (tmp_path / "data" / "cat" / "00.jpg").write_text("no image")
    (tmp_path / "data" / "gnu" / "99.png").write_bytes(whole[:60])
    result = zoo.evaluate(linear[0], tmp_path / "data", **OPTIONS)
    check(result, expected)
    assert result.images == 40
    names = [text.partition(": ")[0].rpartition("/")[2] for text in result.skipped]
    assert names == ["0.png", "00.jpg", "99.png"]
    assert all(text.partition(": ")[2] for text in result.skipped)


def test_nothing_that_can_be_read(linear, tmp_path):
    (tmp_path / "ant").mkdir()
    with pytest.raises(ImageError, match="no images here"):
        zoo.evaluate(linear[0], tmp_path, **OPTIONS)
    (tmp_path / "ant" / "0.png").write_text("no image")
    with pytest.raises(ImageError, match="No image here"):
        zoo.evaluate(linear[0], tmp_path, **OPTIONS)


def test_a_limit_is_spread_over_the_data(linear, photos, logits):
    result = zoo.evaluate(linear[0], photos.folder, limit=8, **OPTIONS)
    taken = np.arange(0, 40, 5)
    assert result.images == result.limit == 8
    assert result.top1 == pytest.approx(
        100 * np.mean(logits.argmax(axis=1)[taken] == photos.right[taken])
    )


def stop_after(batches, error, before=lambda: None):
    calls = []

    def progress(*_):
        calls.append(None)
        if len(calls) == batches:
            before()
            raise error

    return progress


def test_what_was_interrupted_goes_on(linear, photos, expected, tmp_path, monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(
        evaluating.Subject,
        "__call__",
        lambda subject, images: asked.append(len(images)) or subject.model.predict_on_batch(images),
    )
    state = tmp_path / "state.npz"
    given = {**OPTIONS, "state": state}
    with pytest.raises(KeyboardInterrupt):
        zoo.evaluate(linear[0], photos.folder, progress=stop_after(3, KeyboardInterrupt), **given)
    assert "after 18 of 40 images; the same call goes on from there" in caplog.text
    assert str(state) in caplog.text and state.exists()
    asked.clear()
    check(zoo.evaluate(linear[0], photos.folder, **given), expected)
    assert sum(asked) == 22
    assert not state.exists()
    check(zoo.evaluate(linear[0], photos.folder, **given), expected)
    assert sum(asked) == 22 + 40


def test_what_was_killed_goes_on(linear, photos, expected, tmp_path, monkeypatch):
    """The state as it is on the disk in the midst of a run is one to go on from."""
    monkeypatch.setattr(evaluating, "SAVE_EVERY", 0)
    state, kept = tmp_path / "state.npz", tmp_path / "kept.npz"
    with pytest.raises(RuntimeError):
        progress = stop_after(4, RuntimeError(), lambda: shutil.copy(state, kept))
        zoo.evaluate(linear[0], photos.folder, state=state, progress=progress, **OPTIONS)
    seen = []
    progress = lambda done, total, text: seen.append(done)  # noqa: E731
    check(
        zoo.evaluate(linear[0], photos.folder, state=kept, progress=progress, **OPTIONS), expected
    )
    assert seen[0] == 30


def test_a_state_is_not_anothers(linear, photos, tmp_path):
    state = tmp_path / "state.npz"
    given = {**OPTIONS, "state": state}
    with pytest.raises(KeyboardInterrupt):
        zoo.evaluate(linear[0], photos.folder, progress=stop_after(1, KeyboardInterrupt), **given)
    with pytest.raises(ArgumentError, match="another evaluation"):
        zoo.evaluate(linear[0], photos.folder, limit=7, **given)
    assert zoo.evaluate(linear[0], photos.folder, limit=7, restart=True, **given).images == 7


def test_a_disk_that_takes_no_state_is_told_of_once(linear, photos, expected, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluating, "SAVE_EVERY", 0)
    monkeypatch.setattr(evaluating.states, "save", full)
    check(zoo.evaluate(linear[0], photos.folder, **OPTIONS), expected)
    assert caplog.text.count("No space left") == 1


@pytest.mark.parametrize("form", ["shim", "native"])
def test_forms_of_a_tf1_network(form, photos, tmp_path):
    """Tiny's classes are colours. What it says of each image is asked of it one by one."""
    model = tiny_model()
    paths = sorted(photos.folder.rglob("*.png"))
    for number, path in enumerate(paths):
        (tmp_path / ("blue", "green", "red")[number % 3]).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / ("blue", "green", "red")[number % 3])
    files = sorted(tmp_path.rglob("*.png"))
    shares = model.predict_on_batch(model.preprocess(files))
    right = np.array([("blue", "green", "red").index(file.parent.name) for file in files])
    result = zoo.evaluate(model, tmp_path, form=form, batch_size=16)
    assert result.form == form
    assert result.top1 == pytest.approx(100 * np.mean(shares.argmax(axis=1) == right))
    assert result.mean_loss == pytest.approx(-np.log(shares[np.arange(40), right]).mean(), rel=1e-4)
    assert result.top5 is None  # three outputs


def test_a_keras_file_and_labels_beside_it(linear, photos, expected, tmp_path):
    linear[0].save(tmp_path / "linear.keras")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    given = {"preprocessing": "inception", "batch_size": 40}
    check(zoo.evaluate(tmp_path / "linear.keras", photos.folder, **given), expected)
    with pytest.raises(CheckpointNotFoundError):
        zoo.evaluate(str(tmp_path / "none.keras"), photos.folder, **given)
    with pytest.raises(ArgumentError, match="its own weights"):
        zoo.evaluate(str(tmp_path / "linear.keras"), photos.folder, tf1_ckpt="x", **given)


def test_a_published_model(linear, photos, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "zoo.evaluation.subject.load", lambda name, **given: asked.append(name) or linear[0]
    )
    result = zoo.evaluate("hf://me/net", photos.folder, **OPTIONS)
    check(result, expected)
    assert asked == ["hf://me/net"] and result.registered is None


def test_imagenets_records_count_from_1_and_may_have_synset_ids(photos, tmp_path):
    """The Egyptian cat is 285 of 1000, so 286 in Slim's records and where 0 is the background."""
    encoded = next(photos.folder.rglob("*.png")).read_bytes()
    with tf.io.TFRecordWriter(str(tmp_path / "val-00000-of-00001")) as writer:
        writer.write(example(encoded, 286))
        writer.write(example(encoded, 77, b"n02124075"))
    for outputs in (1000, 1001):
        images = keras.Input((4, 4, 3))
        dense = keras.layers.Dense(outputs, bias_initializer="zeros", kernel_initializer="zeros")
        model = keras.Model(images, dense(keras.layers.GlobalAveragePooling2D()(images)))
        bias = np.zeros(outputs)
        bias[285 + outputs - 1000] = 9
        dense.set_weights([np.zeros((3, outputs)), bias])
        result = zoo.evaluate(model, tmp_path, preprocessing="vgg")
        assert (result.top1, result.images) == (100, 2)
        assert result.by_class()[0]["synset"] == "n02124075"


def test_outputs_that_are_no_numbers_count_as_wrong(photos):
    images = keras.Input((8, 8, 3))
    rescaled = keras.layers.Rescaling(float("nan"))(keras.layers.GlobalAveragePooling2D()(images))
    model = keras.Model(images, keras.layers.Dense(7)(rescaled))
    result = zoo.evaluate(model, photos.folder, **OPTIONS)
    assert (result.top1, result.top5, result.broken) == (0, 0, 40)


def test_classes_that_the_network_has_not(linear, photos):
    given = {**OPTIONS, "labels": [*CLASSES[:6], "bees"]}
    with pytest.raises(ArgumentError, match="This class of the data is none") as caught:
        zoo.evaluate(linear[0], photos.folder, **given)
    assert "gnu" in str(caught.value)


def test_what_has_to_be_told(linear, photos, tmp_path):
    model, folder = linear[0], photos.folder
    with pytest.raises(ArgumentError, match="what its outputs are called"):
        zoo.evaluate(model, folder, preprocessing="inception")
    with pytest.raises(ArgumentError, match="7 classes, but labels= has 2"):
        zoo.evaluate(model, folder, preprocessing="inception", labels=["a", "b"])
    with pytest.raises(ArgumentError, match="how images are preprocessed"):
        zoo.evaluate(model, folder, labels=CLASSES)
    with pytest.raises(ArgumentError, match="no preprocessing of this kind") as caught:
        zoo.evaluate(model, folder, labels=CLASSES, preprocessing="inceptoin")
    assert "inception" in caught.value.nearest
    with pytest.raises(ArgumentError, match="no such form"):
        zoo.evaluate(model, folder, form="fast", **OPTIONS)
    with pytest.raises(ArgumentError, match="no TF1 code"):
        zoo.evaluate(model, folder, form="shim", **OPTIONS)
    with pytest.raises(ArgumentError, match="no data here"):
        zoo.evaluate(model, tmp_path / "none", **OPTIONS)
    with pytest.raises(ArgumentError, match="limit"):
        zoo.evaluate(model, folder, limit=0, **OPTIONS)


def test_models_that_are_no_classifiers_of_images(photos):
    images = keras.Input((8, 8, 3))
    features = keras.Model(images, keras.layers.Conv2D(2, 3)(images))
    with pytest.raises(ArgumentError, match="classifier of images"):
        zoo.evaluate(features, photos.folder)
    with pytest.raises(ArgumentError, match="no functional model"):
        zoo.evaluate(keras.Sequential(), photos.folder)
    with pytest.raises(ArgumentError, match="features"):
        zoo.evaluate(tiny_model(num_classes=0), photos.folder)


def test_a_row_for_the_registry(linear, photos):
    result = zoo.evaluate(linear[0], photos.folder, **OPTIONS)
    with pytest.raises(ArgumentError, match="no measurement for the registry"):
        result.registry_row()
    measured = dataclasses.replace(
        result, registered="net.tag", classes=1000, images=50_000, top1=70.9345, top5=89.9
    )
    (row,) = yaml.safe_load(measured.registry_row())
    assert row["top1"] == 70.934 and row["by"].startswith("zoo ")
    registry = Registry()
    source = {"kind": "https", "url": "https://a.b/c", "hash": "recorded_on_first_use"}
    checkpoint = {"sources": [source], "accuracy": {"measured": [row]}}
    facts = {"family": "f", "adapter": "a:B", "input_size": 8, "num_classes": 1001}
    facts |= {"preprocessing": "inception", "checkpoints": {"tag": checkpoint}}
    registry.register({"net": facts}, origin="test")
    (accuracy,) = registry.info("net").checkpoint.measured
    assert accuracy == Accuracy(70.934, 89.9, row["by"], row["note"])
    for change in ({"limit": 9}, {"classes": 999}, {"broken": 1}):
        with pytest.raises(ArgumentError):
            dataclasses.replace(measured, **change).registry_row()


def test_plain_data(linear, photos):
    result = zoo.evaluate(linear[0], photos.folder, **OPTIONS)
    comparison = compare(
        "net.tag",
        Accuracy(50.0),
        top1=result.top1,
        top5=result.top5,
        images=40,
        classes=7,
        all_classes=7,
    )
    result = dataclasses.replace(result, comparison=comparison)
    data = json.loads(json.dumps(result.to_dict()))
    assert data["images"] == 40 and data["comparison"]["published"]["top1"] == 50.0
    row = result.to_row()
    assert row["skipped"] == 0 and row["difference_top1"] == result.top1 - 50
    assert not any(isinstance(value, dict | list) for value in row.values())
