import pytest

from zoo.errors import ArgumentError
from zoo.evaluation.outputs import Outputs, read_labels
from zoo.images import BACKGROUND, Label, imagenet_labels
from zoo.images.labels import ilsvrc2012_ids


def imagenet(offset):
    return Outputs([BACKGROUND] * offset + imagenet_labels(), offset, True)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize(
    "name",
    ["n02124075", "Egyptian cat", "egyptian_cat", "N02124075"],
)
def test_imagenets_classes_by_synset_and_name(offset, name):
    # 285 of 1000 is the Egyptian cat in every list of ILSVRC2012's classes.
    assert imagenet(offset).find([name]) == {name: 285 + offset}


def test_one_of_a_classs_names_is_enough():
    outputs = imagenet(1)
    assert outputs.find(["tench", "tench, Tinca tinca"]) == {"tench": 1, "tench, Tinca tinca": 1}


def test_a_name_of_two_classes_is_refused_with_both():
    with pytest.raises(ArgumentError, match="Several") as caught:
        imagenet(0).find(["crane"])
    assert "n02012849" in str(caught.value) and "n03126707" in str(caught.value)


def test_classes_that_there_are_not_are_told_with_the_nearest():
    with pytest.raises(ArgumentError) as caught:
        imagenet(1).find(["tench", "roses", "egyptian cats"])
    text = str(caught.value)
    assert "2 classes of the data are none of the network's" in text
    assert "roses, egyptian cats" in text and "egyptian cats: egyptian cat" in text
    assert "synset ids" in text


def test_names_of_ones_own():
    outputs = Outputs([Label(None, name) for name in ("cat", "dog", "big dog")], 0, False)
    assert outputs.find(["dog", "Big_Dog"]) == {"dog": 1, "Big_Dog": 2}
    with pytest.raises(ArgumentError, match="This class of the data is none") as caught:
        outputs.find(["dogs"])
    assert "Accepted: cat, dog, big dog" in str(caught.value)


def test_names_of_ones_own_where_the_data_have_synset_ids():
    names = ["background", "tench", "goldfish", "crane"]
    outputs = Outputs([Label(None, name) for name in names], 0, False)
    assert outputs.find(["n01440764", "n01443537"]) == {"n01440764": 1, "n01443537": 2}


@pytest.mark.parametrize(
    "offset, number, first, output",
    [
        (1, 1, 1, 1),
        (1, 1000, 1, 1000),
        (0, 1, 1, 0),
        (0, 1000, 1, 999),
        (1, 0, 0, 1),
        (0, 65, 0, 65),
    ],
)
def test_classes_by_number(offset, number, first, output):
    assert imagenet(offset).of_number(number, first, "x") == output


@pytest.mark.parametrize("number, first", [(0, 1), (1001, 1), (1000, 0)])
def test_numbers_out_of_range(number, first):
    with pytest.raises(ArgumentError, match="no class of this number") as caught:
        imagenet(1).of_number(number, first, "record 3")
    assert "record 3" in str(caught.value)


@pytest.mark.parametrize(
    "text, labels",
    [
        ("cat\ndog\n\n", [(None, "cat"), (None, "dog")]),
        ("1:dog\n0:cat\n", [(None, "cat"), (None, "dog")]),
        ("n01440764 tench, Tinca tinca\nn01443537\tgoldfish", None),
    ],
)
def test_files_of_labels(tmp_path, text, labels):
    (tmp_path / "labels.txt").write_text(text)
    expected = labels or [("n01440764", "tench, Tinca tinca"), ("n01443537", "goldfish")]
    assert [tuple(label) for label in read_labels(tmp_path / "labels.txt")] == expected


@pytest.mark.parametrize("text", ["", "\n", "0:cat\n2:dog\n"])
def test_files_that_hold_no_labels(tmp_path, text):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(ArgumentError):
        read_labels(tmp_path / "labels.txt")


def test_the_development_kits_ids_are_those_of_the_public_lists():
    """The kit's ground truth begins 490 361 171 822 297 482 13 704 599 164, and Caffe's val.txt,
    which counts the same images in the order of synset ids, 65 970 230 809 516 57 334 415 674 332.
    """
    synsets = [label.synset for label in imagenet_labels()]
    ids = ilsvrc2012_ids()
    kit = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164]
    caffe = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332]
    assert [synsets.index(ids[number]) for number in kit] == caffe
    assert sorted(ids.values()) == synsets and sorted(ids) == list(range(1, 1001))
