"""The GPU check, on the CPU and on the smallest networks.

Expected logits are TensorFlow 1.15.5's, which the bundle carries; operations are those that
TensorFlow's profiler counted (`gmacs` in results/benchmark-*.csv).
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.benchmarks.roofline import Ceilings, Roofline
from zoo.tables import read_csv
from zoo.validation import tolerances

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"


@pytest.fixture(scope="module", autouse=True)
def tools_on_the_path():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of LeNet, as the tool makes it but for Keras's wheels, which are fetched."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    spec = importlib.util.spec_from_file_location("make_gpu_bundle", TOOLS / "make_gpu_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = "--networks --timed lenet --batches 1 4 --training-batch 4 --python"
    assert module.main([str(path), *options.split()]) == 0
    return path


def gpu_check(*arguments, cwd=None):
    return subprocess.run(
        ["bash", str(TOOLS / "gpu_check.sh"), *map(str, arguments)],
        env={**os.environ, "PYTHON": sys.executable},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_whole_run_on_a_cpu(bundle, tmp_path):
    for module in ("jax", "torch"):
        pytest.importorskip(module)
    forms = ["--forms", "jax program", "torch native"]
    # From where there is another zoo, as in a checkout.
    (tmp_path / "cwd" / "zoo").mkdir(parents=True)
    (tmp_path / "cwd" / "zoo" / "__init__.py").write_text("raise ImportError('not the bundle')")
    arguments = [bundle, tmp_path, "--cpu", "--seconds", 600, *forms]
    done = gpu_check(*arguments, cwd=tmp_path / "cwd")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("gpu_check-cpu-*.json")
    facts = json.loads(path.read_text())
    assert facts["device"] == {"kind": "cpu", "name": "cpu"}
    assert set(facts["versions"]) == {"jax", "jaxlib", "keras", "torch"}
    logits = [row for row in facts["equivalence"] if row["what"] == "logits"]
    assert {(row["form"], row["dtype"]) for row in logits} == {
        (form, dtype) for form in forms[1:] for dtype in ("float32", "bfloat16")
    }
    assert all(row["passed"] for row in facts["equivalence"])
    assert all(row["top5"] == 1 for row in logits if row["dtype"] == "float32")
    speeds = facts["throughput"]
    assert {(r["form"], r["task"], r["dtype"], r["batch_size"]) for r in speeds} == {
        (form, task, dtype, 4)
        for form in forms[1:]
        for task in ("inference", "training")
        for dtype in ("tf32", "bfloat16")
    }
    for row in speeds:
        # What fits a cache is faster than memory's ceiling allows.
        assert row["rounds"] > 0 and row["samples_per_sec"] > 0 and row["of_roofline"] > 0
    (table,) = tmp_path.glob("gpu_throughput-cpu-tf32-nhwc-jax*-torch*-keras*.csv")
    assert [row["model"] for row in read_csv(table)] == ["lenet"] * 4
    assert len(list(tmp_path.glob("*.csv"))) == 4
    assert "as recorded" in path.with_suffix(".log").read_text()


@pytest.mark.slow
def test_a_wrong_value_is_found_and_what_fails_is_said(bundle, tmp_path):
    pytest.importorskip("jax")
    folder = tmp_path / "bundle"
    folder.mkdir()
    subprocess.run(["tar", "-xzf", str(bundle), "-C", str(folder)], check=True)
    recorded = folder / "networks" / "lenet" / "recorded.npz"
    logits = np.load(recorded)["logits"]
    np.savez(recorded, logits=logits + 0.001 * np.abs(logits).max())
    (folder / "networks" / "lenet" / "inference-bfloat16-2.stablehlo").unlink()
    out = tmp_path / "out"
    only = ["--forms", "jax program", "--only", "equivalence"]
    done = gpu_check(folder, out, "--cpu", "--seconds", 600, *only)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED: jax program: lenet, logits, float32" in done.stdout
    assert "skipped: jax program: lenet, logits, bfloat16: LookupError: not in the" in done.stdout


def test_without_arguments_it_says_how():
    done = gpu_check()
    assert done.returncode == 2
    assert "tools/gpu_check.sh BUNDLE OUT" in done.stderr


def test_logits_are_compared_by_their_scale():
    from gpu_check.equivalence import compare_logits

    recorded = np.arange(20.0).reshape(2, 10)
    row = compare_logits(recorded, recorded + 0.0018, 1e-4)
    assert row == {"difference": 9.47e-05, "tolerance": 1e-4, "passed": True, "top5": 1.0}
    row = compare_logits(recorded, recorded[:, ::-1].reshape(2, 1, 1, 10), 0.1)
    assert (row["passed"], row["top5"]) == (False, 0.0)
    assert not compare_logits(recorded, recorded * np.nan, 0.1)["passed"]
    assert not compare_logits(recorded, recorded[:, :9], 0.1)["passed"]


STEPS = {
    "losses": np.array([3.0, 2.0, 1.0]),
    "gradient_names": np.array(["a/weights", "a/biases"]),
    "gradient_norms": np.array([2.0, 1e-9]),
    "average_names": np.array(["a/BatchNorm/moving_mean"]),
    "average_samples": np.arange(100.0)[None, np.random.RandomState(1).choice(100, 64)],
}


@pytest.mark.parametrize(
    "losses, norms, averages, failed",
    [
        ([3.0, 2.0, 1.0], [2.0, 1e-7], 0, []),  # a gradient that is zero but for rounding
        ([3.0, 2.0, 1.002], [2.0, 1e-9], 0, ["losses of three steps"]),
        ([3.0, 2.0, 1.0], [2.1, 1e-9], 0, ["norms of gradients"]),
        ([3.0, 2.0, 1.0], [2.0, 1e-9], 20, ["moving averages"]),
    ],
)
def test_training_steps_are_compared(losses, norms, averages, failed):
    from gpu_check.equivalence import compare_steps

    names = [str(name) for name in STEPS["gradient_names"]]
    answer = {"losses": losses, "gradient_norms": dict(zip(names, norms, strict=True))}
    averages = {"a/BatchNorm/moving_mean": np.arange(100.0) + averages}
    rows = compare_steps(STEPS, answer, averages, tolerances.of(other_kernels=True))
    assert len(rows) == 3
    assert [row["what"] for row in rows if not row["passed"]] == failed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "resnet_v1_50"])
def test_operations_are_those_that_tensorflow_counts(name):
    from gpu_check.roofline import operations, work_of

    import zoo

    (table,) = (ROOT / "results").glob("benchmark-cpu-*.csv")
    counted = {row["model"]: row["gmacs"] for row in read_csv(table)}
    work = work_of(zoo.to_native(zoo.load(name, weights=None)))
    assert operations(work, training=False) / 2e9 == pytest.approx(counted[name], rel=1e-3)


def test_the_least_time_is_the_sum_of_the_layers():
    from gpu_check.roofline import Work, least_seconds

    line = Roofline(Ceilings("jax", "float32", "made up", 100.0, 10.0))
    # 1000 operations in 10 s, 1400 bytes in 140; then 100000 in 1000, 120 in 12.
    work = [Work(100, 30, 50), Work(10000, 1, 20)]
    assert least_seconds(work, line, 10, "tf32", training=False) == 140 + 1000
    assert least_seconds(work, line, 10, "bfloat16", training=True) == 3 * (70 + 1000)


def test_no_network_is_left_out_before_a_batch_size(tmp_path):
    from gpu_check.bundle import Bundle, Network
    from gpu_check.throughput import settings_of

    networks = [
        Network(tmp_path, name, name, (8, 8, 3), 2, 10, (), None, timed, {})
        for name, timed in [("small", True), ("other", False), ("large", True)]
    ]
    settings = settings_of(Bundle({}, (1, 16, 64), 64, tuple(networks)), cpu=False)
    assert [(s.network, s.task, s.batch) for s in settings[::2]] == [
        ("small", "inference", 64),
        ("large", "inference", 64),
        ("small", "training", 64),
        ("large", "training", 64),
        ("small", "inference", 1),
        ("large", "inference", 1),
        ("small", "inference", 16),
        ("large", "inference", 16),
    ]
