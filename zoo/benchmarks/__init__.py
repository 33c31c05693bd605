"""How fast a loaded model is, and how light: throughput, start-up, load time and memory.

>>> from zoo import benchmarks
>>> for measured in benchmarks.measure_speeds("mobilenet_v1", batches=[1, 16]):
...     print(measured.ratios["shim/session"].median)
>>> benchmarks.measure_load("resnet_v1_50")

Everything that is compared is measured in turn, round after round, so that what else the machine
does meets all sides alike; a ratio is the median over the rounds.
"""

from zoo.lazy import bound_on_use

_HOME = {
    "FORMS": "zoo.benchmarks.forms",
    "Load": "zoo.benchmarks.startup",
    "Setting": "zoo.benchmarks.forms",
    "Speeds": "zoo.benchmarks.speeds",
    "Startup": "zoo.benchmarks.startup",
    "TWINS": "zoo.benchmarks.twins",
    "cores": "zoo.processes",
    "distinct_models": "zoo.benchmarks.measuring",
    "find_twin": "zoo.benchmarks.twins",
    "measure_load": "zoo.benchmarks.startup",
    "measure_speeds": "zoo.benchmarks.measuring",
    "measure_startup": "zoo.benchmarks.startup",
    "read_csv": "zoo.tables",
    "result_file_name": "zoo.benchmarks.results",
    "with_reference": "zoo.benchmarks.measuring",
    "write_csv": "zoo.tables",
}

__all__ = sorted(_HOME)
__getattr__ = bound_on_use(__name__, _HOME)
