import pytest
import tensorflow as tf
from PIL import Image

from zoo.errors import ArgumentError, ImageError
from zoo.training.datasets import open_images

COLOURS = {"blue": (20, 30, 200), "green": (20, 200, 30), "red": (200, 30, 20)}


def write_image(path, colour, side=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four images of each of three classes: PNG, whose pixels are exact."""
    for name, colour in COLOURS.items():
        for number in range(4):
            write_image(tmp_path / "data" / name / f"{number}.png", colour)
    return tmp_path / "data"


def example(encoded: bytes, label: int) -> bytes:
    """As dataset_utils.image_to_tfexample of Slim writes it."""
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"png"])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture
def records(folder, tmp_path):
    """Two shards of the folder's images, written by TensorFlow, and labels.txt."""
    out = tmp_path / "records"
    out.mkdir()
    shards = [out / f"colours_train_{shard:05d}-of-00002.tfrecord" for shard in range(2)]
    for shard, path in enumerate(shards):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for label, name in enumerate(COLOURS):
                for number in (2 * shard, 2 * shard + 1):
                    writer.write(example((folder / name / f"{number}.png").read_bytes(), label))
    (out / "labels.txt").write_text("0:blue\n1:green\n2:red\n")
    return out


def colours_of(images):
    """(label, colour of the first pixel) of all images, in order."""
    return [
        (int(label), tuple(int(value) for value in image[0, 0]))
        for image, label in images.as_numpy_iterator()
    ]


def expected(labels):
    return [(label, COLOURS[name]) for label, name in enumerate(COLOURS) for _ in range(labels)]


def test_a_folder(folder):
    images = open_images(folder)
    assert images.class_names == list(COLOURS)
    assert colours_of(images.images()) == expected(4)
    assert images.skipped == []


def test_tfrecords_as_slim_writes_them(records):
    for data in (records, str(records / "*.tfrecord"), sorted(records.glob("*.tfrecord"))):
        images = open_images(data)
        assert images.class_names == list(COLOURS)
        assert sorted(colours_of(images.images())) == expected(4)


def test_a_dataset_batched_or_not(folder):
    source = open_images(folder).images()
    for dataset in (source, source.batch(5)):
        images = open_images(dataset, class_names=list(COLOURS))
        assert len(images) == 12
        assert colours_of(images.images()) == expected(4)
    assert open_images(source).class_names == ["class 0", "class 1", "class 2"]


def test_each_epoch_has_all_images_in_an_order_of_its_own(folder):
    images = open_images(folder)
    epochs = [
        colours_of(images.shuffled(1, epoch).map(lambda image, label: (images.read(image), label)))
        for epoch in (0, 1, 0)
    ]
    assert epochs[0] == epochs[2] != epochs[1]
    assert all(sorted(epoch) == expected(4) for epoch in epochs)


def test_both_parts_of_a_split_have_all_classes(folder):
    larger, smaller = open_images(folder).split(0.25, seed=0)
    assert sorted(colours_of(larger.images())) == expected(3)
    assert sorted(colours_of(smaller.images())) == expected(1)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        larger.split(1.0, seed=0)


def test_what_cannot_be_read_is_left_out_by_name(folder):
    whole = folder / "red" / "0.png"
    (folder / "red" / "cut.png").write_bytes(whole.read_bytes()[:40])
    Image.new("RGB", (64, 64)).save(folder / "red" / "whole.jpg")
    data = (folder / "red" / "whole.jpg").read_bytes()
    (folder / "red" / "whole.jpg").unlink()
    (folder / "red" / "half.jpg").write_bytes(data[: len(data) // 2])
    (folder / "blue" / "empty.jpg").write_bytes(b"")
    (folder / "blue" / "notes.txt").write_text("no image, and not named as one")
    images = open_images(folder)
    assert colours_of(images.images()) == expected(4)
    assert [text.partition(":")[0].rpartition("/")[2] for text in images.skipped] == [
        "empty.jpg",
        "cut.png",
        "half.jpg",
    ]


def test_damaged_records_are_left_out_by_number(records):
    shards = sorted(records.glob("*.tfrecord"))
    good = list(tf.data.TFRecordDataset(str(shards[0])).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shards[0])) as writer:
        writer.write(good[0])
        writer.write(b"no example")
        writer.write(example(b"no image", 1))
        for record in good[1:]:
            writer.write(record)
    shards[1].write_bytes(shards[1].read_bytes()[:-30])
    images = open_images(records)
    assert len(images) == 11
    assert len(colours_of(images.images())) == 11
    skipped = sorted(text[: text.index(": ") + 5] for text in images.skipped)
    assert [text.partition(".tfrecord")[2][:10] for text in skipped] == [
        ", record 1",
        ", record 2",
        ": cut",
    ]


@pytest.mark.parametrize("names", [[], ["one"]])
def test_a_folder_with_less_than_two_classes(names, tmp_path):
    for name in names:
        write_image(tmp_path / name / "0.png", (0, 0, 0))
    with pytest.raises(ArgumentError, match="subfolder"):
        open_images(tmp_path)


def test_a_folder_of_parts_is_not_one_of_classes(tmp_path):
    for part in ("train", "val"):
        write_image(tmp_path / part / "red" / "0.png", (0, 0, 0))
    with pytest.raises(ArgumentError, match="parts of a data set") as caught:
        open_images(tmp_path)
    assert str(tmp_path / "train") in str(caught.value)


def test_a_class_without_an_image(folder):
    (folder / "yellow").mkdir()
    with pytest.raises(ArgumentError, match="no image that can be read"):
        open_images(folder)


def test_nothing_that_can_be_read(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"none")
    with pytest.raises(ImageError, match="No image here"):
        open_images(tmp_path)


def test_labels_out_of_range(records):
    with tf.io.TFRecordWriter(str(records / "more.tfrecord")) as writer:
        blue = next(tf.data.TFRecordDataset(str(min(records.glob("c*")))).as_numpy_iterator())
        encoded = tf.train.Example.FromString(blue).features.feature["image/encoded"]
        writer.write(example(encoded.bytes_list.value[0], 7))
    with pytest.raises(ArgumentError, match="1 of 13 labels are out of range") as caught:
        open_images(records)
    assert "label 7" in str(caught.value)
    assert "more.tfrecord, record 0" in str(caught.value)
    assert "0 to 2" in str(caught.value)
    assert "class_names=" in caught.value.next_step


def test_labels_from_one_on(folder):
    dataset = open_images(folder).images().map(lambda image, label: (image, label + 1))
    images = open_images(dataset, label_offset=1)
    assert colours_of(images.images()) == expected(4)
    with pytest.raises(ArgumentError, match="out of range") as caught:
        open_images(dataset, label_offset=2)
    assert "label 1 of element 0, less label_offset=2" in str(caught.value)
    assert "pass label_offset=1," in caught.value.next_step


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (tf.data.Dataset.range(3), "not an image and its label"),
        (tf.data.Dataset.from_tensors((tf.zeros([4, 4, 3]), [0.0, 1.0, 0.0])), "whole number"),
        (tf.data.Dataset.from_tensors((tf.zeros([4, 4, 3]), 1)).repeat(), "no end"),
        (tf.data.Dataset.from_tensors((tf.zeros([4, 4, 3]), 1)), "two classes or more"),
    ],
)
def test_datasets_that_do_not_serve(dataset, message):
    with pytest.raises(ArgumentError, match=message):
        open_images(dataset)


def test_data_of_another_kind(tmp_path):
    with pytest.raises(ArgumentError, match="no images with labels"):
        open_images(3)
    with pytest.raises(ArgumentError, match="no data here"):
        open_images(tmp_path / "none")
