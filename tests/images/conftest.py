"""What TensorFlow 1.15.5 made of the photos of tools/record_preprocessing.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def recording():
    """tools/record_preprocessing.py, which makes the photos; only its main needs TensorFlow 1."""
    path = ROOT / "tools" / "record_preprocessing.py"
    spec = importlib.util.spec_from_file_location("record_preprocessing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def goldens():
    """Recorded arrays by name."""
    with np.load(ROOT / "tests" / "goldens" / "preprocessing.npz", allow_pickle=False) as file:
        return dict(file)
