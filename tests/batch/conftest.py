"""Files that are to be named, and the rows that one process gives of them: `zoo predict --json`."""

import io
import json

import numpy as np
import pytest
from conftest import SMALL
from PIL import Image
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Five pictures of different sizes and formats, one cut short, a text, and one not there."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.RandomState(0)
    paths = []
    for number, suffix in enumerate(("png", "jpg", "png", "jpg", "bmp")):
        pixels = random.randint(0, 256, (6 + number, 8, 3)).astype(np.uint8)
        image = Image.fromarray(pixels).resize((90 + 30 * number, 150), Image.BICUBIC)
        paths.append(folder / f"{number}.{suffix}")
        image.save(paths[-1])
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "PNG")
    (folder / "cut.png").write_bytes(whole.getvalue()[:60])
    (folder / "text.jpg").write_text("no image")
    return [str(path) for path in (*paths, *(folder / n for n in ("cut.png", "text.jpg", "none")))]


@pytest.fixture(scope="session")
def expected(files, small_checkpoint):
    """The rows of `zoo predict`, which takes one image at a time."""
    from zoo.cli.app import app

    command = ["predict", SMALL, *files, "--ckpt", small_checkpoint, "--top", "3", "--json"]
    ran = CliRunner().invoke(app, command)
    rows = json.loads(ran.stdout)
    assert ["error" in row for row in rows] == [False] * 5 + [True] * 3
    return rows


@pytest.fixture(scope="session")
def check_rows(expected):
    def check(rows, named=True) -> None:
        """Whether the rows are those of one process, in any order.

        Probabilities to 1e-6: a batch's sums are taken in another order than one image's.
        """
        if named:
            rows = sorted(rows, key=lambda row: row["image"])
        wanted = sorted(expected, key=lambda row: row["image"]) if named else expected
        for row, of_one in zip(rows, wanted, strict=True):
            row = {key: value for key, value in row.items() if value is not None}
            if "error" in of_one:
                assert row.keys() <= of_one.keys() and row["error"]
                assert row["error"].splitlines()[0] == of_one["error"].splitlines()[0]
                continue
            assert row.get("image", of_one["image"]) == of_one["image"]
            for one, other in zip(row["predictions"], of_one["predictions"], strict=True):
                assert one == pytest.approx(other, abs=1e-6)

    return check
