"""TPUs: programs compiled for them without one, and run where there is one."""

from zoo.tpu.chips import CHIPS, Chip
from zoo.tpu.processes import Limits
from zoo.tpu.reports import compile_report, run_report
from zoo.tpu.requests import Request, every_model, requests

__all__ = [
    "CHIPS",
    "Chip",
    "Limits",
    "Request",
    "compile_report",
    "every_model",
    "requests",
    "run_report",
]
