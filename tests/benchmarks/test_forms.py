"""The table of forms, and what is said to those who ask for what is not in it."""

from dataclasses import replace

import pytest

from zoo.benchmarks import forms
from zoo.benchmarks.forms import FORMS, Setting
from zoo.errors import ArgumentError

SMALL = "mobilenet_v1_0.25_128"


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({}, list(FORMS)),
        ({"forms": ["onnxruntime", "shim"]}, ["shim", "onnxruntime"]),
        ({"backends": ["jax"]}, ["jax native", "jax folded"]),
        ({"modes": ["eager"]}, ["shim eager", "native eager", "torch native eager", "timm"]),
        ({"backends": ["torch", "jax"], "modes": ["eager", "xla"]},
         ["jax native", "jax folded", "torch native eager"]),
        ({"forms": ["shim", "native"], "modes": ["function"]}, ["shim", "native"]),
    ],
)  # fmt: skip
def test_what_is_chosen(asked, chosen):
    assert forms.choose(**asked) == chosen


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"forms": ["folden"]}, "no such form(.|\n)*Nearest: +folded"),
        ({"backends": ["pytorch"]}, "no such backend(.|\n)*Nearest: +torch"),
        ({"modes": ["functional"]}, "no such mode(.|\n)*Nearest: +function"),
        ({"backends": ["jax"], "modes": ["eager"]}, "together(.|\n)*jax native"),
    ],
)
def test_what_cannot_be_chosen(asked, message):
    with pytest.raises(ArgumentError, match=message):
        forms.choose(**asked)


@pytest.mark.parametrize(
    ("setting", "asked", "message"),
    [
        ({"dtype": "bfloat16"}, ["onnxruntime"], "onnxruntime: no bfloat16: float32 alone"),
        ({"work": "training"}, ["folded", "frozen"], "folded: no training: inference alone"),
        ({"device": "gpu"}, ["openvino folded"], "openvino folded: no gpu: cpu alone"),
        ({"dtype": "int8"}, ["shim"], "no such dtype(.|\n)*float32, bfloat16, float16"),
        ({"work": "trainig"}, ["shim"], "no such work(.|\n)*Nearest: +training"),
        ({"device": "tpu"}, ["shim"], "no such device(.|\n)*cpu, gpu"),
    ],
)
def test_settings_that_no_form_has(setting, asked, message):
    with pytest.raises(ArgumentError, match=message):
        forms.check_setting(Setting(SMALL, **setting), asked)


def test_one_form_that_can_is_enough():
    forms.check_setting(Setting(SMALL, dtype="bfloat16"), ["onnxruntime", "shim"])


def test_what_is_not_here_is_named(monkeypatch):
    monkeypatch.setitem(
        FORMS, "jax native", replace(FORMS["jax native"], needs=("no_such_module",))
    )
    assert forms.unavailable("jax native", Setting(SMALL)) == "no_such_module not installed"
    assert forms.unavailable("timm", Setting(SMALL)) == "timm has no twin of it"
    assert forms.unavailable("keras", Setting("lenet")) == "keras.applications has no twin of it"
    assert forms.unavailable("frozen", Setting(SMALL, "training")).startswith("no training")
    assert forms.unavailable("shim", Setting(SMALL)) is None


def test_policies_are_keras_s():
    assert Setting(SMALL).policy == "float32"
    assert Setting(SMALL, dtype="bfloat16").policy == "mixed_bfloat16"
