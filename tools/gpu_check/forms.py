"""What every form of a network does: give logits, train three steps, be timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from gpu_check.bundle import BFLOAT16, Bundle, Network, TrainingCase
from gpu_check.settings import Setting


@dataclass(frozen=True)
class Timed:
    """Something ready to be timed.

    Attributes:
        run: has one more batch computed, and need not wait for it.
        wait: waits until what `run` returned is computed.
        compile_seconds: that it took to compile; 0 where nothing is compiled.
        memory: bytes of the device at most in use for it; None where that is not known.
    """

    run: Callable[[], Any]
    wait: Callable[[Any], Any]
    compile_seconds: float
    memory: int | None


@dataclass(frozen=True)
class Steps:
    """What three training steps gave.

    Attributes:
        losses: of each, before it.
        gradient_norms: of the first, by TF1 names; empty where it gives no gradients.
        averages: moving means and variances after the first, by TF1 names.
    """

    losses: list[float]
    gradient_norms: dict[str, float]
    averages: dict[str, np.ndarray]


class Form:
    """One way to run networks, in a process of its own.

    Attributes:
        packages: whose versions matter.
        bundle: that networks are of.
    """

    packages: tuple[str, ...] = ()

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._timed: dict[Setting, Timed] = {}
        self._models: dict[tuple, Any] = {}

    def device(self) -> dict[str, str]:
        """{"kind": "gpu" or the like, "name"}"""
        raise NotImplementedError

    def versions(self) -> dict[str, str]:
        return {package: metadata.version(package) for package in self.packages}

    def logits(self, network: Network, dtype: str) -> np.ndarray:
        """Of the recipe's images, with the recipe's weights."""
        raise NotImplementedError

    def three_steps(self, training: TrainingCase) -> Steps:
        """As recorded, in float32."""
        raise NotImplementedError

    def prepare(self, setting: Setting) -> None:
        """Begins to make it ready; it may compile meanwhile."""
        raise NotImplementedError

    def finish(self, setting: Setting) -> Timed:
        """Waits until it is."""
        raise NotImplementedError

    def ready(self, setting: Setting) -> dict:
        """Makes it ready, warm, and tells what that took."""
        timed = self.finish(setting)
        timed.wait(timed.run())
        self._timed[setting] = timed
        return {"compile_seconds": timed.compile_seconds, "memory": timed.memory}

    def time(self, setting: Setting, seconds: float) -> dict:
        """Seconds of one batch by itself, and of one in a row that fills `seconds`."""
        timed = self._timed[setting]
        alone = []
        for _ in range(4):
            start = time.perf_counter()
            timed.wait(timed.run())
            alone.append(time.perf_counter() - start)
        latency = statistics.median(alone[1:])
        count = max(1, round(seconds / latency))
        start = time.perf_counter()
        for _ in range(count):
            last = timed.run()
        timed.wait(last)
        return {"latency": latency, "seconds": (time.perf_counter() - start) / count}

    def forget(self, network: str) -> None:
        """Gives back what a network holds."""
        self._timed = {key: value for key, value in self._timed.items() if key[0] != network}
        self._models = {key: value for key, value in self._models.items() if key[0] != network}

    def native(self, network: Network, dtype: str, training: bool = False):
        """The native model, made once. bfloat16 is of weights too, but in training."""
        from gpu_check.native import native_model

        policy = "float32"
        if dtype == BFLOAT16:
            policy = "mixed_bfloat16" if training else "bfloat16"
        key = (network.name, policy)
        if key not in self._models:
            self._models[key] = native_model(network, policy)
        return self._models[key]
