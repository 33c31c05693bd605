import subprocess
import sys

import pytest

import zoo.images


def test_importing_and_labels_need_no_tensorflow():
    code = (
        "import sys, zoo.images; zoo.images.imagenet_labels(); zoo.images.decode; dir(zoo.images); "
        "assert 'tensorflow' not in sys.modules and 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in zoo.images.__all__:
        assert getattr(zoo.images, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = zoo.images.no_such_name
