"""Models of zoo in the forms that other programs run."""

from zoo.export.keras import to_keras
from zoo.export.onnx import to_onnx
from zoo.export.saved_model import to_saved_model
from zoo.export.stablehlo import to_stablehlo
from zoo.export.tf1 import to_tf1
from zoo.export.tflite import to_tflite

__all__ = ["to_keras", "to_onnx", "to_saved_model", "to_stablehlo", "to_tf1", "to_tflite"]
