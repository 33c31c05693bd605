"""The plumbing of the profile: LeNet's operations are there, by name."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_operations_of_both(request):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    tool = request.config.rootpath / "tools" / "profile_operations.py"
    command = [sys.executable, tool, "lenet", "1", "2"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, tf1_code, folded, onnx = shown.replace("ONNX Runtime", "TensorFlow").split("TensorFlow")
    for part in (tf1_code, folded):
        assert "Conv2D" in part and "MatMul" in part
    assert "Conv " in onnx and "MatMul" in onnx
