"""Models of zoo in the forms that other programs run."""

from zoo.export.tf1 import to_tf1

__all__ = ["to_tf1"]
