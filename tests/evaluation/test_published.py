"""The verdicts, against the binomial distribution by hand: at p = 0.709 the standard error is
0.20 points on 50,000 images, 0.64 on 5,000, 4.5 on 100."""

import pytest

from zoo.evaluation.published import compare
from zoo.registry import Accuracy

PUBLISHED = Accuracy(top1=70.9, top5=89.9, by="TF-Slim README")


def verdict(top1, images, classes=1000):
    given = {"images": images, "classes": classes, "all_classes": 1000}
    return compare("net.tag", PUBLISHED, top1=top1, top5=90.0, **given)


@pytest.mark.parametrize(
    "top1, images, expected",
    [
        (70.9, 50_000, "agrees"),
        (70.6, 50_000, "agrees"),
        (70.4, 50_000, "differs"),
        (71.4, 50_000, "differs"),
        (70.9, 5_000, "cannot tell"),  # by chance up to 1.28 points
        (68.0, 5_000, "differs"),
        (70.0, 100, "cannot tell"),
        (50.0, 100, "differs"),
        (0.0, 30, "cannot tell"),  # 9 wrong ones expected: no normal distribution
        (100.0, 2, "cannot tell"),
    ],
)
def test_verdicts(top1, images, expected):
    assert verdict(top1, images).verdict == expected


def test_differences_and_errors():
    comparison = verdict(71.1, 50_000)
    assert comparison.top1 == pytest.approx(0.2)
    assert comparison.top5 == pytest.approx(0.1)
    assert comparison.standard_error == pytest.approx(0.2031, abs=1e-4)


def test_how_many_images_it_takes_is_told():
    # 4 * 0.709 * 0.291 / 0.01**2 = 8252.8
    assert "8,253" in verdict(70.0, 100).why


def test_a_part_of_the_classes_is_no_measure():
    comparison = verdict(95.0, 50_000, classes=10)
    assert comparison.verdict == "cannot tell"
    assert "10 of the 1000 classes" in comparison.why


def test_a_figure_without_top_5():
    comparison = compare(
        "n.t",
        Accuracy(top1=75.2),
        top1=75.0,
        top5=92.0,
        images=50_000,
        classes=1000,
        all_classes=1000,
    )
    assert comparison.top5 is None and comparison.verdict == "agrees"
