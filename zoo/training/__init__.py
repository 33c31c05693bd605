"""Training over several devices and machines, where Keras 3's own `fit` does not do it."""

from zoo.training.distributed import evaluate, fit
from zoo.training.tpu import tpu_strategy

__all__ = ["evaluate", "fit", "tpu_strategy"]
