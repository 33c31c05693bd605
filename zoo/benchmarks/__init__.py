"""How fast a loaded model is, and how light: throughput, start-up, load time and memory.

>>> from zoo import benchmarks
>>> benchmarks.measure_throughput("mobilenet_v1").ratios["function/session"].median
>>> benchmarks.measure_load("resnet_v1_50")

Everything that is compared is measured in turn, in one process where it fits in one, round after
round, so that what else the machine does meets all sides alike; a ratio is the median over the
rounds.
"""

import importlib

_HOME = {
    "FORMS": "zoo.benchmarks.forms",
    "FormSpeeds": "zoo.benchmarks.forms",
    "Load": "zoo.benchmarks.startup",
    "Startup": "zoo.benchmarks.startup",
    "Throughput": "zoo.benchmarks.throughput",
    "TWINS": "zoo.benchmarks.twins",
    "find_twin": "zoo.benchmarks.twins",
    "measure_forms": "zoo.benchmarks.forms",
    "measure_load": "zoo.benchmarks.startup",
    "measure_startup": "zoo.benchmarks.startup",
    "measure_throughput": "zoo.benchmarks.throughput",
    "read_csv": "zoo.benchmarks.results",
    "result_file_name": "zoo.benchmarks.results",
    "write_csv": "zoo.benchmarks.results",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'zoo.benchmarks' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
