"""Files as ImageNet's validation set is distributed with: the development kit's, Caffe's, Slim's,
Kaggle's. Expected classes are those of the first three images in Caffe's val.txt: 65, 970, 230."""

import pytest

from zoo.errors import ArgumentError, ImageError
from zoo.evaluation.ground_truth import find_ground_truth, outputs_of_images
from zoo.evaluation.outputs import Outputs
from zoo.images import BACKGROUND, Label, imagenet_labels

IMAGES = [f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 3)]
NAMES = ("sea snake", "alp", "Shetland_sheepdog")
FORMS = {
    "kit": "490\n361\n171\n",
    "slim": "n01751748\nn09193705\nn02105855\n",
    "caffe": "".join(f"{i} {c}\n" for i, c in zip(IMAGES, (65, 970, 230), strict=True)),
    "names": "".join(f"val/{i}\t{c}\n" for i, c in zip(IMAGES, NAMES, strict=True)),
    "kaggle": "ImageId,PredictionString\n"
    + "".join(
        f"{i[:-5]},{c} 85 1 499 272 \n"
        for i, c in zip(IMAGES[::-1], ("n02105855", "n09193705", "n01751748"), strict=True)
    ),
}


def imagenet(offset=1):
    return Outputs([BACKGROUND] * offset + imagenet_labels(), offset, True)


def outputs_of(tmp_path, text, outputs=None, label_offset=None, images=IMAGES):
    (tmp_path / "truth.txt").write_text(text)
    return outputs_of_images(tmp_path / "truth.txt", images, outputs or imagenet(), label_offset)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("offset", [0, 1])
def test_forms(tmp_path, form, offset):
    expected = [65 + offset, 970 + offset, 230 + offset]
    assert outputs_of(tmp_path, FORMS[form], imagenet(offset)) == expected


def test_numbers_alone_in_the_order_of_synset_ids(tmp_path):
    assert outputs_of(tmp_path, "66\n971\n231\n", label_offset=1) == [66, 971, 231]


def test_numbers_of_classes_of_ones_own(tmp_path):
    own = Outputs([Label(None, name) for name in "abc"], 0, False)
    assert outputs_of(tmp_path, "2\n0\n1\n", own) == [2, 0, 1]


def test_numbers_that_are_no_ilsvrc2012_id(tmp_path):
    with pytest.raises(ArgumentError, match="ILSVRC2012_ID") as caught:
        outputs_of(tmp_path, "0\n361\n1001\n")
    assert "0, 1001" in str(caught.value) and "label_offset=" in str(caught.value)


def test_too_few_lines(tmp_path):
    with pytest.raises(ArgumentError, match="a line for each image") as caught:
        outputs_of(tmp_path, "490\n361\n")
    assert "2 lines" in str(caught.value) and "3 images" in str(caught.value)


def test_an_image_without_a_line(tmp_path):
    with pytest.raises(ImageError, match="1 images have no class") as caught:
        outputs_of(tmp_path, "\n".join(FORMS["caffe"].splitlines()[:2]))
    assert IMAGES[2] in str(caught.value)


def test_lines_for_images_that_are_not_there(tmp_path, caplog):
    more = FORMS["caffe"] + "ILSVRC2012_val_00000004.JPEG 1\nILSVRC2012_val_00000005.JPEG 2\n"
    assert outputs_of(tmp_path, more) == [66, 971, 231]
    assert "2 lines name no image" in caplog.text


def test_a_class_that_the_network_has_not(tmp_path):
    with pytest.raises(ArgumentError, match="none of the network's"):
        outputs_of(tmp_path, "n01751748\nn09193705\nn00000001\n")
    with pytest.raises(ArgumentError, match="no class of this number") as caught:
        outputs_of(tmp_path, FORMS["caffe"].replace("970", "1000"))
    assert IMAGES[1] in str(caught.value)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "truth.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ArgumentError, match="no text file"):
        outputs_of_images(tmp_path / "truth.txt", IMAGES, imagenet(), None)


def test_the_only_text_file_is_found(tmp_path):
    with pytest.raises(ArgumentError, match="no file beside them") as caught:
        find_ground_truth(tmp_path)
    assert "ground_truth=" in str(caught.value)
    (tmp_path / "val.txt").touch()
    assert find_ground_truth(tmp_path) == tmp_path / "val.txt"
    (tmp_path / "readme.txt").touch()
    with pytest.raises(ArgumentError, match="several files"):
        find_ground_truth(tmp_path)
