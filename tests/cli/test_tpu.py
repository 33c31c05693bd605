"""`zoo validate --device tpu`: what is asked for, and what is shown. Nothing is compiled."""

import json

import pytest

from zoo import tpu
from zoo.cli import errors
from zoo.tpu import estimates


@pytest.fixture
def compiled(monkeypatch):
    """What was asked for; the compiler takes all but VGG."""
    asked = []

    def report(requests, out, progress):
        for request in requests:
            asked.append(request)
            accepted = not request.model.startswith("vgg")
            yield {
                **vars(request),
                "what": "compiled",
                "accepted": accepted,
                "message": None if accepted else "RESOURCE_EXHAUSTED: 22.78G exceeds 15.75G",
                "hbm_share": 0.01475 if accepted else None,
                "predicted_ms": 4.8987 if accepted else None,
            }

    monkeypatch.setattr(tpu, "compile_report", report)
    return asked


def test_a_row_for_each_program(run, compiled):
    options = ("--chip", "v5e", "--chip", "v6e", "--batch", "8", "--chips", "4")
    done = run("validate", "lenet", "--device", "tpu", "--compile-only", *options)
    assert done.exit_code == 0
    assert [(one.chip, one.chips, one.batch, one.dtype) for one in compiled] == [
        ("v5e", 4, 8, "bfloat16"),
        ("v6e", 4, 8, "bfloat16"),
    ]
    first = done.stdout.splitlines()[0].split("\t")
    assert first[:6] == ["lenet", "shim", "inference", "bfloat16", "4 x v5e", "8"]
    assert first[6:8] == ["compiled", "1.5%"] and first[-1] == "accepted"
    assert estimates.LABEL in done.stderr


def test_what_the_compiler_refuses(run, compiled):
    arguments = ("vgg_16", "--device", "tpu", "--compile-only", "--step", "training")
    done = run("validate", *arguments, "--form", "native", "--dtype", "float32")
    assert done.exit_code == errors.NEGATIVE
    assert "NOT ACCEPTED: RESOURCE_EXHAUSTED" in done.stdout
    (one,) = compiled
    assert (one.step, one.form, one.dtype) == ("training", "native", "float32")


def test_json(run, compiled):
    done = run("validate", "lenet", "--device", "tpu", "--compile-only", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["model"], row["what"], row["accepted"]) == ("lenet", "compiled", True)


def test_all(run, compiled):
    run("validate", "all", "--device", "tpu", "--compile-only")
    assert len(compiled) == len(tpu.every_model())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--compile-only",), "--compile-only goes with --device tpu"),
        (("--batch", "4"), "--batch goes with --device tpu"),
        (("--device", "tpu", "--mode", "xla"), "do not go with --device tpu"),
        (("--device", "tpu", "--compile-only", "--chip", "v9"), "no such chip"),
    ],
)
def test_what_does_not_go_together(run, compiled, options, said):
    done = run("validate", "lenet", *options)
    assert done.exit_code == errors.USAGE
    assert said in " ".join(done.stderr.split())
