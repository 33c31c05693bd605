import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.errors import ImageError
from zoo.images.files import ImageNotFoundError, pil_to_array, read_image, read_image_op


@pytest.fixture
def save(tmp_path):
    """Writes bytes or a PIL image to a file and returns its path."""

    def write(content, name="image", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        return path

    return write


def png_of_size(width, height):
    """A PNG file whose header promises this many pixels, and holds none."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def as_jpeg(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["rgb_jpeg", "gray_jpeg", "cmyk_jpeg", "deep_png"])
def test_files_have_the_pixels_that_tensorflow_1_decoded(goldens, save, name):
    path = save(goldens[name].tobytes())
    expected = goldens[name + "_pixels"]
    np.testing.assert_array_equal(read_image(path), expected)
    np.testing.assert_array_equal(read_image_op(tf.constant(str(path))), expected)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "webp"])
def test_lossless_files_keep_their_pixels(recording, save, suffix):
    image = Image.fromarray(recording.smooth_photo(33, 20))
    if suffix == "gif":
        image = image.quantize(64)
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(image, f"photo.{suffix}", **options)
    np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))


def test_an_animation_gives_its_first_frame(save):
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    path = save(frames[0], "film.gif", save_all=True, append_images=frames[1:])
    assert (read_image(path) == [255, 0, 0]).all() and read_image(path).shape == (4, 5, 3)
    np.testing.assert_array_equal(read_image_op(tf.constant(str(path))), read_image(path))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_of_pil_becomes_rgb(mode):
    red = Image.new("RGB", (3, 2), (255, 0, 0)).convert(mode)
    array = pil_to_array(red)
    assert array.shape == (2, 3, 3) and array.dtype == np.uint8
    if mode in ("1", "L", "LA"):
        assert (array == array[..., :1]).all()
    else:
        assert (array[..., 0] >= 254).all() and (array[..., 1:] <= 1).all()


def test_transparent_palettes_and_16_bits():
    palette = Image.new("RGB", (2, 2), (10, 20, 30)).quantize(2)
    palette.info["transparency"] = b"\x00\x80"
    np.testing.assert_array_equal(pil_to_array(palette)[0, 0], [10, 20, 30])

    samples = np.array([[0, 255, 256, 65535]], np.uint16)
    for image in (Image.fromarray(samples), Image.fromarray(samples.astype(np.int32))):
        np.testing.assert_array_equal(pil_to_array(image)[0, :, 0], [0, 0, 1, 255])
    with pytest.raises(ImageError, match="outside 16 bits"):
        pil_to_array(Image.fromarray(np.array([[70000]], np.int32)))


def test_what_is_no_image_is_refused(save, recording):
    for content in (b"just a text", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff", b"GIF89a"):
        with pytest.raises(ImageError, match="image"):
            read_image(save(content, "photo.jpg"))
    with pytest.raises(ImageError, match="empty"):
        read_image(save(b"", "photo.jpg"))
    with pytest.raises(ImageError, match="no image"):  # a fine image, of a format not asked for
        read_image(save(Image.new("RGB", (4, 4)), "photo.tiff"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp"])
def test_truncated_files_are_refused(save, recording, suffix):
    whole = save(Image.fromarray(recording.photo(4, 60, 80)), f"whole.{suffix}").read_bytes()
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(ImageError, match=r"cut short|cannot be read|no image"):
            read_image(save(whole[: int(len(whole) * part)], f"cut.{suffix}"))


def test_flipped_bytes_raise_nothing_else(save, recording):
    """A damaged file is an ImageError or an image, whatever PIL and TensorFlow raise inside."""
    random = np.random.default_rng(0)
    image = Image.fromarray(recording.smooth_photo(31, 23))
    refused = 0
    for suffix in ("jpg", "png", "gif", "bmp", "webp"):
        whole = save(image, f"whole.{suffix}").read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for _ in range(6):
                damaged[random.integers(len(whole))] = random.integers(256)
            try:
                assert read_image(save(bytes(damaged))).shape[2] == 3
            except ImageError:
                refused += 1
    assert 50 < refused < 200


def test_missing_paths_and_directories(tmp_path):
    with pytest.raises(ImageNotFoundError, match="no image at this path") as caught:
        read_image(tmp_path / "nowhere.jpg")
    assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, ImageError)
    with pytest.raises(ImageError, match="a directory"):
        read_image(tmp_path)
    with pytest.raises(ImageError):
        read_image("x" * 5000)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 40_000, 2**31 - 1])
def test_bombs_are_refused_before_decoding(save, side):
    path = save(png_of_size(side, side), "bomb.png")
    with pytest.raises(ImageError, match="too many pixels"):
        read_image(path)
    if side < 10_000:  # PIL itself only warns of this one
        with pytest.raises(ImageError, match="too many pixels"):
            pil_to_array(Image.open(path))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_jpeg_bombs_too_and_the_bound_is_pils(save, monkeypatch, recording):
    jpeg = as_jpeg(recording.smooth_photo(16, 16))
    frame = jpeg.index(b"\xff\xc0") + 5
    bomb = jpeg[:frame] + struct.pack(">HH", 60_000, 60_000) + jpeg[frame + 4 :]
    with pytest.raises(ImageError, match="too many pixels"):
        read_image(save(bomb))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 255)
    with pytest.raises(ImageError, match="at most 255 pixels"):
        read_image(save(jpeg))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(save(jpeg)).shape == (16, 16, 3)


def test_graphs_refuse_bombs_and_text(save):
    for content in (png_of_size(20_000, 20_000), b"just a text", b""):
        with pytest.raises(tf.errors.InvalidArgumentError):
            read_image_op(tf.constant(str(save(content))))
