"""Proof that a loaded network is still the TF1 graph's function."""

from zoo.validation.equivalence import EndPointDifference, Report, compare_with_tf1_graph, verify

__all__ = ["EndPointDifference", "Report", "compare_with_tf1_graph", "verify"]
