"""The worker: a network exported, compiled by the TPU's own compiler where that is installed, and
run on what JAX has here."""

import dataclasses
import importlib.util

import jax
import pytest

from zoo.errors import UnsupportedEnvironmentError
from zoo.tpu import compile_report, worker
from zoo.tpu.requests import Request

REQUEST = Request("lenet", step="training", batch=8)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A training step of the shim's own graph."""
    file = tmp_path_factory.mktemp("program") / "lenet.stablehlo"
    assert worker.export(REQUEST, file)["export_seconds"] > 0
    return file


def test_a_step_is_timed_where_there_is_a_device(program):
    row = worker.timed(REQUEST, program, jax.devices("cpu")[:1], steps=2)
    assert row["accepted"] and row["device"] == "cpu"
    assert row["measured_images_per_sec"] == pytest.approx(8e3 / row["measured_ms"], rel=0.01)


@pytest.mark.parametrize("do", [worker.run, worker.find])
def test_without_a_tpu(program, do):
    with pytest.raises(UnsupportedEnvironmentError, match="no TPU here"):
        do(REQUEST, program)


@pytest.mark.slow
def test_the_compiler_takes_lenet():
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("NOT COMPILED FOR TPUS: libtpu, the TPU's compiler, is not installed")
    (row,) = compile_report([dataclasses.replace(REQUEST, chips=4, batch=32)])
    assert row["accepted"], row["message"]
    assert 0 < row["hbm_share"] < 0.05
    assert row["fusions"] > 0 and 0 < row["roofline_ms"] < row["predicted_ms"] < 10
    # 3.3 million float32 variables, on each chip, and new ones that take their place.
    assert 4 * 3.2e6 < row["argument_bytes"] < 4 * 3.6e6
    assert 4 * 3.2e6 < row["aliased_bytes"] < 4 * 3.6e6
    # Multiplications and additions of 8 images on each chip: forward, and twice that backward.
    macs = 28**2 * 25 * 32 + 14**2 * 25 * 32 * 64 + 3136 * 1024 + 1024 * 10
    assert 2 * 2 * 8 * macs < row["flops"] < 1.5 * 3 * 2 * 8 * macs


def test_what_does_not_fit_is_said(monkeypatch):
    """By a compiler that fails as libtpu does."""

    class JaxRuntimeError(RuntimeError):
        pass

    class Lowered:
        def lower(self, *_):
            return self

        def compile(self):
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: 22.78G exceeds 15.75G\n\nLargest:\n 1.")

    class Step:
        def on(self, devices):
            return Lowered(), ()

    monkeypatch.setattr(worker, "_step", lambda *_: Step())
    monkeypatch.setattr(worker.compiler, "devices", lambda *_: [])
    row = worker.compile_only(dataclasses.replace(REQUEST, batch=4096), None)
    assert row["message"] == "RESOURCE_EXHAUSTED: 22.78G exceeds 15.75G"
    assert row["accepted"] is False
