"""Record what TensorFlow 1.15.5 makes of Slim's evaluation preprocessing.

    python3.7 tools/record_preprocessing.py     # an environment with TensorFlow 1.15.5 and Pillow

writes tests/goldens/preprocessing.npz, the expected values of tests/images. The pipelines are
those of evaluation in inception_preprocessing.py, vgg_preprocessing.py, cifarnet_preprocessing.py
and lenet_preprocessing.py of tensorflow/models, research/slim/preprocessing, run in a Session on
placeholders of unknown height and width, as Slim's own evaluation runs them. The photos are noise,
a function of a seed, so that the tests make the same ones.
"""

import io
import pathlib

import numpy as np

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens"

# (seed, height, width): odd and even, portrait and landscape, smaller and larger than the output.
PHOTOS = [(1, 331, 500), (2, 97, 64), (3, 300, 300), (4, 257, 225), (5, 1, 3)]

# (kind, output height, output width, short side after the first resize or None). Slim's short
# side is 256; 299 pixels do not fit in it, so 342 = 299 * 256 / 224 keeps Slim's ratio.
OUTPUTS = [
    ("inception", 224, 224, None),
    ("inception", 299, 299, None),
    ("inception", 96, 160, None),
    ("vgg", 224, 224, 256),
    ("vgg", 299, 299, 342),
    ("vgg", 192, 160, 256),
    ("cifarnet", 32, 32, None),
    ("lenet", 28, 28, None),
]

# Of each flattened output every 307th value is kept, of the small ones every 7th: prime, so all
# rows, columns and channels have their turn.
STRIDES = {"inception": 307, "vgg": 307, "cifarnet": 7, "lenet": 7}


def photo(seed, height, width, channels=3):
    """A uint8 image of noise, (height, width, channels); RandomState's streams never change."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def smooth_photo(height, width, channels=3):
    """A uint8 image of slow waves, (height, width, channels), as JPEG likes them."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / (5 + 3 * c)) + np.cos(columns / (9 - c)) for c in range(channels)]
    return np.clip(np.stack(waves, -1) * 60 + 128, 0, 255).astype(np.uint8)


def case_name(kind, height, width, seed):
    return "{}_{}x{}_photo{}".format(kind, height, width, seed)  # noqa: UP032 (Python 3.7)


def inception_eval(tf, image, height, width):
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.central_crop(image, central_fraction=0.875)
    image = tf.image.resize_bilinear(image[None], [height, width], align_corners=False)[0]
    return (image - 0.5) * 2.0


def vgg_eval(tf, image, height, width, short_side):
    rows, columns = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    ratio = tf.cond(rows > columns, lambda: short_side / columns, lambda: short_side / rows)
    scaled = tf.cast(tf.rint(tf.stack([rows * ratio, columns * ratio])), tf.int32)
    image = tf.image.resize_bilinear(image[None], scaled, align_corners=False)[0]
    corner = tf.cast((scaled - [height, width]) / 2, tf.int32)
    image = tf.slice(image, tf.concat([corner, [0]], 0), [height, width, 3])
    return image - [123.68, 116.78, 103.94]


def cifarnet_eval(tf, image, height, width):
    image = tf.image.resize_image_with_crop_or_pad(tf.to_float(image), height, width)
    return tf.image.per_image_standardization(image)


def lenet_eval(tf, image, height, width):
    image = tf.image.resize_image_with_crop_or_pad(tf.to_float(image), height, width)
    return tf.div(tf.subtract(image, 128.0), 128.0)


def record_outputs(tf):
    evals = {"inception": inception_eval, "cifarnet": cifarnet_eval, "lenet": lenet_eval}
    with tf.Session() as session:
        for kind, height, width, short_side in OUTPUTS:
            channels = 1 if kind == "lenet" else 3  # digits are grey
            image = tf.placeholder(tf.uint8, [None, None, channels])
            if kind == "vgg":
                output = vgg_eval(tf, image, height, width, short_side)
            else:
                output = evals[kind](tf, image, height, width)
            for shape in PHOTOS:
                values = session.run(output, {image: photo(*shape, channels=channels)})
                assert values.shape == (height, width, channels), values.shape
                yield case_name(kind, height, width, shape[0]), values.ravel()[:: STRIDES[kind]]


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def record_files(tf):
    """Small encoded files, and the pixels that TF1's decoders see in them."""
    from PIL import Image

    rgb = encoded(Image.fromarray(smooth_photo(61, 43)), "JPEG", quality=80)
    gray = encoded(Image.fromarray(smooth_photo(61, 43, 1)[..., 0]), "JPEG", quality=80)
    cmyk = encoded(Image.fromarray(smooth_photo(29, 22, 4), "CMYK"), "JPEG", quality=80)
    deep = (np.arange(31 * 17) * 123).astype(np.uint16).reshape(31, 17)
    files = {
        "rgb_jpeg": (rgb, tf.image.decode_jpeg),
        "gray_jpeg": (gray, tf.image.decode_jpeg),
        "cmyk_jpeg": (cmyk, tf.image.decode_jpeg),
        "deep_png": (encoded(Image.fromarray(deep), "PNG"), tf.image.decode_png),
    }
    with tf.Session() as session:
        for name, (data, decode) in files.items():
            yield name, np.frombuffer(data, np.uint8)
            yield name + "_pixels", session.run(decode(data, channels=3))


def main():
    import tensorflow as tf

    assert tf.__version__ == "1.15.5", tf.__version__
    recorded = dict(record_outputs(tf))
    recorded.update(record_files(tf))
    path = GOLDENS / "preprocessing.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(str(path), **recorded)
    print(len(recorded), "arrays,", path.stat().st_size, "bytes:", path)


if __name__ == "__main__":
    main()
