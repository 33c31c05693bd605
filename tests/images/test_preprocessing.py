import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.errors import ArgumentError, ImageError, InputShapeError
from zoo.images import KINDS, ImageNotFoundError, preprocess


@pytest.fixture
def photos(recording):
    return [recording.photo(*shape) for shape in recording.PHOTOS[:3]]


def assert_is_photo(output, goldens, recording, seed):
    """The output is what TensorFlow 1.15.5 made of this photo, inception preprocessing at 224."""
    values = np.ravel(output)[:: recording.STRIDES["inception"]]
    golden = goldens[recording.case_name("inception", 224, 224, seed)]
    np.testing.assert_allclose(values, golden, atol=1e-5, rtol=0)


def test_everything_that_holds_one_photo_gives_the_same_batch(photos, goldens, recording, tmp_path):
    photo = photos[0]
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for given in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        Image.fromarray(photo),
        photo,
        photo[None],
        photo / 255.0,
        photo.astype(np.float32) / 255,
        [photo],
        (tmp_path / "photo.png",),
        np.array([str(tmp_path / "photo.png")]),
        tf.constant(photo[None]),
        tf.constant([str(tmp_path / "photo.png")]),
        tf.Variable(photo[None]),
        [tf.constant(photo)],
    ):
        output = preprocess(given, "inception", 224)
        assert isinstance(output, tf.Tensor) and output.dtype == tf.float32
        assert output.shape == (1, 224, 224, 3)
        assert_is_photo(output, goldens, recording, 1)


def test_lists_may_mix_kinds_and_sizes(photos, goldens, recording, tmp_path):
    Image.fromarray(photos[1]).save(tmp_path / "photo.bmp")
    mixed = [photos[0], tmp_path / "photo.bmp", Image.fromarray(photos[2])]
    output = preprocess(mixed, "inception", (224, 224))
    assert output.shape == (3, 224, 224, 3)
    for image, seed in zip(output, (1, 2, 3), strict=True):
        assert_is_photo(image, goldens, recording, seed)


def test_a_batch_is_its_images(photos):
    batch = np.stack([photos[2], photos[2][::-1]])
    for kind in KINDS:
        whole = preprocess(batch, kind, (96, 64))
        assert whole.shape == (2, 96, 64, 1 if kind == "lenet" else 3)
        np.testing.assert_array_equal(whole, preprocess(list(batch), kind, (96, 64)))


def test_grayscale_is_repeated(photos):
    gray = photos[0][..., 0]
    rgb = np.repeat(gray[..., None], 3, axis=-1)
    for kind in KINDS:
        want = preprocess(rgb, kind, 64)
        for given in (gray, gray[..., None], gray[None, ..., None], Image.fromarray(gray)):
            np.testing.assert_array_equal(preprocess(given, kind, 64), want)


def test_half_precision_is_taken(photos):
    want = preprocess(photos[0], "inception", 64)
    for dtype in (tf.float16, tf.bfloat16):
        given = tf.cast(photos[0][None] / 255.0, dtype)
        np.testing.assert_allclose(preprocess(given, "inception", 64), want, atol=0.01)


def test_a_float_pil_image_is_checked_as_an_array_is():
    assert preprocess(Image.fromarray(np.full((9, 9), 0.5, np.float32)), "vgg", 8).shape[0] == 1
    with pytest.raises(InputShapeError, match=r"\[0, 1\]"):
        preprocess(Image.fromarray(np.full((9, 9), 7, np.float32)), "vgg", 8)


def test_a_tensor_alone_keeps_its_rank(photos, goldens, recording):
    output = preprocess(tf.constant(photos[0]), "inception", 224)
    assert output.shape == (224, 224, 3)
    assert_is_photo(output, goldens, recording, 1)


def test_in_tf_data_before_batching(photos, goldens, recording):
    signature = tf.TensorSpec([None, None, 3], tf.uint8)
    data = tf.data.Dataset.from_generator(lambda: photos, output_signature=signature)
    data = data.map(lambda image: preprocess(image, "inception", 224)).batch(3)
    assert data.element_spec.shape.as_list() == [None, 224, 224, 3]
    (batch,) = list(data)
    for image, seed in zip(batch, (1, 2, 3), strict=True):
        assert_is_photo(image, goldens, recording, seed)


def test_in_tf_data_after_batching(photos):
    images = np.stack([photos[2], photos[2][::-1]])
    data = tf.data.Dataset.from_tensor_slices(images).batch(2)
    for kind in KINDS:
        (batch,) = list(data.map(lambda x, kind=kind: preprocess(x, kind, 64)))
        np.testing.assert_allclose(batch, preprocess(images, kind, 64), atol=1e-4)


def test_the_channels_are_known_in_tf_data(tmp_path, photos):
    Image.fromarray(photos[2]).save(tmp_path / "photo.png")
    paths = tf.data.Dataset.from_tensors([str(tmp_path / "photo.png")])
    for kind, channels in (("cifarnet", 3), ("lenet", 1)):
        data = paths.map(lambda x, kind=kind: preprocess(x, kind, 28))
        assert data.element_spec.shape.as_list() == [1, 28, 28, channels]
        assert next(iter(data)).shape == (1, 28, 28, channels)


def test_in_tf_data_from_paths(photos, goldens, recording, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for path, photo in zip(paths, photos, strict=True):
        Image.fromarray(photo).save(path)
    data = tf.data.Dataset.from_tensor_slices(paths)
    single = data.map(lambda path: preprocess(path, "inception", 224)).batch(3)
    batched = data.batch(3).map(lambda batch: preprocess(batch, "inception", 224))
    for dataset in (single, batched):
        assert dataset.element_spec.shape.as_list()[1:] == [224, 224, 3]
        (batch,) = list(dataset)
        for image, seed in zip(batch, (1, 2, 3), strict=True):
            assert_is_photo(image, goldens, recording, seed)
    assert preprocess(tf.constant(paths[0]), "inception", 224).shape == (224, 224, 3)


def test_in_tf_data_with_channels_known_late(photos):
    """tf.io.decode_png without channels= gives (None, None, None)."""
    for photo in (photos[0], photos[0][..., :1]):
        data = tf.data.Dataset.from_tensors(tf.io.encode_png(photo))
        data = data.map(lambda png: preprocess(tf.io.decode_png(png), "vgg", 64))
        (output,) = list(data)
        np.testing.assert_allclose(output, preprocess(photo, "vgg", 64)[0], atol=1e-4)


def test_in_tf_data_a_wrong_range_is_refused(photos):
    def run(image):
        data = tf.data.Dataset.from_tensors(image)
        return list(data.map(lambda x: preprocess(x, "inception", 64)))

    run(photos[0] / np.float32(255))
    for wrong in (photos[0].astype(np.float32), np.full((9, 9, 3), np.nan, np.float32)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 1\]"):
            run(wrong)


def test_in_a_tf1_session(photos, goldens, recording):
    """There nothing orders the range check before the rest by itself."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        floats = tf.compat.v1.placeholder(tf.float32, [None, None, 3])
        output = preprocess(floats, "inception", 224)
        values = session.run(output, {floats: photos[0] / np.float32(255)})
        assert_is_photo(values, goldens, recording, 1)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 1\]"):
            session.run(output, {floats: photos[0]})


def test_an_unknown_rank_is_refused():
    data = tf.data.Dataset.from_tensors(tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8)))
    with pytest.raises(InputShapeError, match="expand_animations=False"):
        data.map(lambda png: preprocess(tf.io.decode_image(png), "inception", 64))

    @tf.autograph.experimental.do_not_convert
    def not_wrapped(png):
        return preprocess(tf.io.decode_image(png), "inception", 64)

    with pytest.raises(InputShapeError, match="expand_animations=False"):
        data.map(not_wrapped)


FLOATS = np.zeros((9, 9, 3), np.float32)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FLOATS + 200, r"from 200 to 200.*divide by 255"),
        (FLOATS - 0.5, r"before any mean"),
        (FLOATS * np.nan, r"NaN"),
        (tf.constant(FLOATS + 2), r"from 2 to 2"),
        (FLOATS.astype(np.int64), r"dtype int64.*astype\('uint8'\)"),
        (FLOATS.astype(np.uint16), r"65535"),
        (FLOATS.astype(bool), r"dtype bool"),
        (np.zeros((9, 9, 4), np.uint8), r"alpha"),
        (np.zeros((3, 9, 9), np.uint8), r"channels first"),
        (np.zeros((5, 9, 9), np.uint8), r"Grayscale images of a batch"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.zeros((1, 1, 9, 9, 3), np.uint8), r"shape \(1, 1, 9, 9, 3\)"),
        (np.zeros((0, 9, 9, 3), np.uint8), r"at least one image"),
        (np.zeros((0, 9, 3), np.uint8), r"at least one pixel"),
        (tf.zeros([9, 9], tf.uint8), r"shape \(9, 9\)"),
        (tf.constant([["a.jpg"]]), r"paths of shape"),
        ([], r"empty list"),
        ([np.zeros((2, 9, 9, 3), np.uint8)], r"Element 0.*not a single image"),
    ],
)
def test_wrong_shapes_and_ranges(images, message):
    with pytest.raises(InputShapeError, match=f"(?s){message}"):
        preprocess(images, "inception", 64)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "NoneType"),
        (7, "int"),
        (b"\xff\xd8", "BytesIO"),
        ([[1, 2], [3, 4]], "itself a list"),
        (np.array([None, object()]), "NoneType"),
        (np.array([[object()]]), "ndarray"),
        (tf.ragged.constant([[1], [2, 3]]), "RaggedTensor"),
        ("/no/such/image.jpg", "no image at this path"),
        (tf.constant("/no/such/image.jpg"), "no image at this path"),
    ],
)
def test_what_is_no_image(images, message):
    with pytest.raises(ImageError, match=message):
        preprocess(images, "inception", 64)


def test_a_keras_input_is_no_image():
    with pytest.raises(ImageError, match="KerasTensor"):
        preprocess(keras.Input((9, 9, 3)), "inception", 64)


def test_one_bad_path_in_a_list_is_named(photos, tmp_path):
    Image.fromarray(photos[0]).save(tmp_path / "good.png")
    with pytest.raises(ImageNotFoundError, match=r"bad\.png"):
        preprocess([tmp_path / "good.png", tmp_path / "bad.png"], "inception", 64)


def test_wrong_kinds_and_sizes(photos):
    with pytest.raises(ArgumentError, match="Nearest:  inception"):
        preprocess(photos, "inceptoin", 64)
    for size in (0, -1, None, (1, 2, 3), "64", 64.5, (None, None)):
        with pytest.raises(ArgumentError, match="no size"):
            preprocess(photos, "vgg", size)


def test_a_kind_of_ones_own(photos, monkeypatch):
    monkeypatch.setitem(KINDS, "raw", lambda images, size: tf.image.resize(images, size))
    assert preprocess(photos, "raw", 8).shape == (3, 8, 8, 3)
