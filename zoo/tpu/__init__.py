"""TPUs: programs compiled for them without one, and run where there is one."""

from zoo.tpu.chips import CHIPS, Chip
from zoo.tpu.processes import Limits
from zoo.tpu.reports import compile_report, run_report
from zoo.tpu.requests import Request, combinations, every_model

__all__ = [
    "CHIPS",
    "Chip",
    "Limits",
    "Request",
    "combinations",
    "compile_report",
    "every_model",
    "run_report",
]
