"""Runs tf-slim's own tests with and without zoo's repair of tf-slim, and compares.

    python tools/run_slim_tests.py            # layers and nets, some 4 minutes on 2 idle cores
    python tools/run_slim_tests.py --all      # the whole package, some 10 minutes
    python tools/run_slim_tests.py --json     # the result as JSON on standard output

The tests are those inside the installed tf_slim package, as they are. Each file runs in processes
of its own, one with `zoo.shim.slim_repair.repair_tf_slim()` and one without, two at a time. It
prints both counts and what still fails with the repair, each with the reason from `REASONS`.

Exit code: 0; or 1 if a test fails with the repair that passes without it, or fails for a reason
that is not in `REASONS`.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

# What fails in the test itself, not in tf-slim, and so is left: the tests (a pattern), a piece of
# the failure's text that must be there, and the reason.
_RESOURCE_SWITCH = "the test switches resource variables by a private name that TensorFlow removed"
_VARIABLE_V1 = "the test makes variables by a private name that TensorFlow removed"
_INDEXED_SLICES = "the test takes IndexedSlices from a private module that no longer has it"
_RANDINT = "the test calls int() on an array of one element, which NumPy 2 refuses"
REASONS = [
    (
        "layers/layers_test.py::DropoutTest::testCreateDropout",
        "selectv2",
        "the test asserts the name of the last op of TensorFlow's dropout, which is now a select",
    ),
    (
        "layers/optimizers_test.py::OptimizersTest::testGradientNoise*",
        "able_resource_variables",
        _RESOURCE_SWITCH,
    ),
    (
        "layers/sparse_ops_test.py::DenseToSparseTensorTest::test_dense_to_sparse_tensor_1d_str*",
        "'object'",
        "the test uses np.object, which NumPy removed",
    ),
    (
        "data/tfexample_decoder_test.py::TFExampleDecoderTest::testDecodeExampleWithR*",
        "'tostring'",
        "the test uses ndarray.tostring, which NumPy removed",
    ),
    (
        "data/tfexample_decoder_test.py::*::testDecodeImageWithItemHandlerCallback",
        "'case'",
        "the test takes case from a private module that no longer has it",
    ),
    (
        "evaluation_test.py::*",
        "nose",
        "the test imports nose, which has no release for Python 3.10+",
    ),
    ("learning_test.py::ClipGradientNormsTest::*", "'IndexedSlices'", _INDEXED_SLICES),
    ("learning_test.py::MultiplyGradientsTest::*", "'IndexedSlices'", _INDEXED_SLICES),
    ("learning_test.py::Train*Test::*", "0-dimensional", _RANDINT),
    ("training/training_test.py::*", "0-dimensional", _RANDINT),
    ("training/evaluation_test.py::*", "0-dimensional", _RANDINT),
    (
        "losses/metric_learning_test.py::NpairsLossMultiLabelTest::testNpairsMultiLabel",
        "'float'",
        "the test uses np.float, which NumPy removed",
    ),
    (
        "metrics/classification_test.py::F1ScoreTest::testSomeCorrect",
        "5.9604645e-08",
        "the test asks float32 for 7 decimal places, and gets one unit in the last place less",
    ),
    (
        "metrics/metric_ops_large_test.py::*",
        "'product'",
        "the test uses np.product, which NumPy removed",
    ),
    ("metrics/metric_ops_test.py::*", "'VariableV1'", _VARIABLE_V1),
    (
        "metrics/metric_ops_test.py::StreamingConcatTest::*",
        "able_resource_variables",
        _RESOURCE_SWITCH,
    ),
    (
        "metrics/metric_ops_test.py::CountTest::testReturnType",
        "'Tensor'",
        "the test takes Tensor from a private module that no longer has it",
    ),
    ("ops/variables_test.py::*", "'VariableV1'", _VARIABLE_V1),
    ("ops/variables_test.py::*", "resource_variables_enabled", _RESOURCE_SWITCH),
    (
        "ops/variables_test.py::VariablesTest::testVariableWithReplicaDeviceSetter",
        "/device:CPU:0",
        "the test counts on cached_session() to put ops on CPU:0, as TF1's test harness did",
    ),
]

_RUN = """
import sys, pytest
if sys.argv.pop(1) == "repaired":
    from zoo.shim.slim_repair import repair_tf_slim
    repair_tf_slim()
sys.exit(pytest.main(sys.argv[1:]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the whole package's tests")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()

    started = time.monotonic()
    package = Path(importlib.util.find_spec("tf_slim").origin).parent
    outcomes = run_all(package, test_files(package, options.all))
    result = compare(outcomes["as it is"], outcomes["repaired"])
    result["seconds"] = round(time.monotonic() - started)
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 1 if result["unexplained"] or result["broken"] else 0


def test_files(package: Path, everything: bool) -> list[str]:
    found = sorted(path.relative_to(package).as_posix() for path in package.rglob("*_test.py"))
    return [name for name in found if everything or name.startswith(("layers/", "nets/"))]


def run_all(package: Path, names: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """For each mode, test id -> (outcome, text of the failure)."""
    outcomes = {"as it is": {}, "repaired": {}}
    jobs = [(name, mode) for name in names for mode in outcomes]
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures = {pool.submit(run_file, package, *job): job for job in jobs}
        for number, future in enumerate(as_completed(futures), start=1):
            name, mode = futures[future]
            found = future.result()
            outcomes[mode].update(found)
            counts = Counter(outcome for outcome, _ in found.values())
            print(f"[{number}/{len(jobs)}] {name} {mode}: {in_words(counts)}", file=sys.stderr)
    return outcomes


def run_file(package: Path, name: str, mode: str) -> dict[str, tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        pytest_options = ["-q", "-p", "no:cacheprovider", "--tb=short", f"--rootdir={folder}"]
        command = [sys.executable, "-c", _RUN, mode, *pytest_options]
        done = subprocess.run(
            [*command, f"--junitxml={report}", str(package / name)],
            cwd=folder,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
        )
        if not report.exists():
            text = (done.stdout + done.stderr)[-2000:]
            return {f"{name}::(no report)": ("failed", text)}
        return read_report(name, report)


def read_report(name: str, report: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        # A file that cannot be imported is reported as one case that has no class.
        group = case.get("classname", "").rsplit(".", 1)[-1] or "(import)"
        outcome, text = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, text = "failed", f"{child.get('message')}\n{child.text}"
            elif child.tag == "skipped":
                outcome = "skipped"
        found[f"{name}::{group}::{case.get('name')}"] = (outcome, text)
    return found


def compare(before: dict, after: dict) -> dict:
    """Both counts, and the tests that still fail: with a reason, without one, or only now."""
    failing = {test: text for test, (outcome, text) in after.items() if outcome == "failed"}
    reasons = {test: reason_of(test, text) for test, text in failing.items()}
    return {
        "without repair": count_by_folder(before),
        "with repair": count_by_folder(after),
        "left": {test: reason for test, reason in reasons.items() if reason},
        "unexplained": {
            test: failing[test].strip().splitlines()[0] for test, why in reasons.items() if not why
        },
        "broken": [test for test in failing if before.get(test, ("",))[0] == "passed"],
    }


def reason_of(test: str, text: str) -> str | None:
    for pattern, evidence, reason in REASONS:
        if fnmatch.fnmatchcase(test, pattern) and evidence in text:
            return reason
    return None


def count_by_folder(outcomes: dict) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter] = {}
    for test, (outcome, _) in outcomes.items():
        folder = test.split("/")[0] if "/" in test else "(top)"
        for key in (folder, "total"):
            counts.setdefault(key, Counter())[outcome] += 1
    order = sorted(key for key in counts if key != "total") + ["total"]
    return {key: dict(counts[key]) for key in order if key in counts}


def in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts.get(key, 0)} {key}" for key in ("failed", "passed", "skipped"))


def as_text(result: dict) -> str:
    lines = []
    for mode in ("without repair", "with repair"):
        lines += [f"{mode}:"] + [f"  {k:9} {in_words(v)}" for k, v in result[mode].items()]
    lines.append(f"still failing, in the test itself: {len(result['left'])}")
    lines += [f"  {test}\n      {reason}" for test, reason in sorted(result["left"].items())]
    for key, title in (
        ("unexplained", "FAILING WITH NO REASON IN THE TABLE"),
        ("broken", "BROKEN BY THE REPAIR"),
    ):
        if result[key]:
            lines += [f"{title}: {len(result[key])}"] + [f"  {test}" for test in result[key]]
    if result["unexplained"]:
        lines += [f"  {text}" for text in result["unexplained"].values()]
    lines.append(f"{result['seconds']} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
