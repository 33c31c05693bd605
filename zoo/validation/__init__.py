"""Proof that a loaded network is still the TF1 graph's function."""

from zoo.lazy import bound_on_use

# Bound on first use: results are shown without TensorFlow.
_HOME = {
    "EndPointDifference": "zoo.validation.equivalence",
    "Report": "zoo.validation.equivalence",
    "Result": "zoo.validation.results",
    "Row": "zoo.validation.results",
    "Run": "zoo.validation.results",
    "Setting": "zoo.validation.results",
    "Stage": "zoo.validation.results",
    "compare_with_tf1_graph": "zoo.validation.equivalence",
    "validate": "zoo.validation.validating",
    "validate_many": "zoo.validation.many",
    "verify": "zoo.validation.equivalence",
}

__all__ = sorted(_HOME)
__getattr__ = bound_on_use(__name__, _HOME)
