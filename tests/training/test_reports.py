import numpy as np
from PIL import Image

from zoo.training import reports

HISTORY = [
    {"stage": 0, "epoch": 1, "loss": 2.0, "accuracy": 0.25, "val_loss": 2.5, "val_accuracy": 0.2},
    {"stage": 1, "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.4},
    {"stage": 1, "epoch": 2, "loss": 0.5, "accuracy": 0.75, "val_loss": 1.0, "val_accuracy": 0.6},
]
RED, BLUE = (214, 39, 40), (31, 119, 180)


def pixels(path, colour):
    """Rows and columns where the picture has the colour, below the legend."""
    image = np.asarray(Image.open(path))
    rows, columns = np.nonzero((image == colour).all(-1))
    return rows[rows > 46], columns[rows > 46]


def test_the_curves_are_drawn_where_the_numbers_are(tmp_path):
    path = tmp_path / "curve.png"
    reports.write_curves(path, HISTORY)
    assert Image.open(path).size == (960, 320)
    for colour in (RED, BLUE):
        rows, columns = pixels(path, colour)
        left = columns < 480
        for side, falls in ((left, True), (~left, False)):
            first = rows[side & (columns == columns[side].min())].mean()
            last = rows[side & (columns == columns[side].max())].mean()
            assert (last > first) == falls  # rows count from the top
    loss = pixels(path, RED)[0][pixels(path, RED)[1] < 480].min()
    assert loss < pixels(path, BLUE)[0][pixels(path, BLUE)[1] < 480].min()  # 2.5 is above 2


def test_curves_of_one_epoch_of_none_and_of_no_numbers(tmp_path):
    for history in (HISTORY[:1], [], [{"stage": 0, "epoch": 1, "loss": float("nan")}]):
        reports.write_curves(tmp_path / "curve.png", history)
        Image.open(tmp_path / "curve.png").verify()


def test_the_text_says_what_happened():
    text = reports.text(
        {
            "model": "lenet",
            "images": 80,
            "validation_images": 20,
            "class_names": [f"class {number}" for number in range(12)],
            "skipped": [f"{number}.jpg: cut short" for number in range(22)],
            "history": HISTORY,
            "best": {"metric": "val_accuracy", "value": 0.6, "stage": 1, "epoch": 2},
        }
    )
    assert "80 images to train with, 20 to validate with, 12 classes: class 0," in text
    assert "22 left out" in text
    assert "- 19.jpg: cut short\n- and 2 more" in text
    assert "| 2 | 1 | 1.0000 | 0.5000 | 1.5000 | 0.4000 |" in text
    assert "Best: val_accuracy 0.6000, epoch 2 of stage 2 (best.keras)." in text
