"""The recorded values, and that an installed zoo has them too."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from zoo import registry
from zoo.validation import recorded

ROOT = Path(__file__).parents[2]


def test_every_registered_network_is_recorded():
    for name in registry.list_models():
        golden = registry.info(name).golden
        if golden is not None and "zoo.adapters" in str(registry.info(name).adapter):
            assert recorded.variables(golden) is not None, name
            assert recorded.outputs(golden) is not None, name
    assert recorded.variables("nosuch") is None and recorded.outputs("nosuch") is None


def test_samples_are_the_recordings():
    value = np.arange(1000.0).reshape(10, 100)
    expected = value.ravel()[np.random.RandomState(1).choice(1000, 64)]
    np.testing.assert_array_equal(recorded.samples(value), expected)


def test_every_kind_of_preprocessing_is_recorded():
    for kind in ("inception", "vgg", "cifarnet", "lenet"):
        cases = list(recorded.preprocessed(kind))
        assert len(cases) >= 5
        height, width = cases[0].size
        channels = 1 if kind == "lenet" else 3
        assert len(cases[0].values) == -(-height * width * channels // cases[0].stride)
    assert list(recorded.preprocessed("nosuch")) == []


def test_a_built_package_carries_them(tmp_path):
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    code = (
        "from zoo import registry; from zoo.validation import recorded\n"
        "print(recorded.folder())\n"
        "assert recorded.variables('lenet') and recorded.outputs('lenet')\n"
        "assert next(recorded.preprocessed('vgg')) and registry.info('lenet')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == str(tmp_path / "zoo" / "validation" / "goldens")
