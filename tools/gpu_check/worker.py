"""The process in which one form runs: asked in lines of JSON, answers in such lines.

`python -m gpu_check.worker FORM BUNDLE`, started by processes.py.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gpu_check.bundle import Bundle
from gpu_check.forms import Form
from gpu_check.settings import Setting


def _form(name: str, bundle: Bundle) -> Form:
    if name.startswith("jax"):
        from gpu_check import jax_forms

        return {"jax native": jax_forms.Native, "jax program": jax_forms.Program}[name](bundle)
    from gpu_check import torch_forms

    kind = torch_forms.Timm if name.startswith("timm") else torch_forms.Native
    return kind(bundle, compiled=name.endswith("compiled"))


class Worker:
    """What the process can be asked to do."""

    def __init__(self, form: str, bundle: Path) -> None:
        self.bundle = Bundle.read(bundle)
        self.form = _form(form, self.bundle)

    def describe(self) -> dict:
        return {"device": self.form.device(), "versions": self.form.versions()}

    def ceilings(self, backend: str, dtype: str) -> dict:
        from zoo.benchmarks import roofline

        return asdict(roofline.ceilings(backend, dtype))

    def logits(self, network: str, dtype: str, to: str) -> dict:
        np.save(to, self.form.logits(self.bundle.by_name[network], dtype))
        return {}

    def three_steps(self, network: str, to: str) -> dict:
        steps = self.form.three_steps(self.bundle.by_name[network].training)
        np.savez(to, **steps.averages)
        return {"losses": steps.losses, "gradient_norms": steps.gradient_norms}

    def forget(self, network: str) -> dict:
        self.form.forget(network)
        gc.collect()
        return {}

    def prepare(self, setting: list) -> dict:
        self.form.prepare(Setting(*setting))
        return {}

    def ready(self, setting: list) -> dict:
        return self.form.ready(Setting(*setting))

    def time(self, setting: list, seconds: float) -> dict:
        return self.form.time(Setting(*setting), seconds)


def main(form: str, bundle: str) -> None:
    # Libraries print what they like, from C++ too: to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        job = json.loads(line)
        try:
            worker = worker or Worker(form, Path(bundle))
            answer = getattr(worker, job.pop("do"))(**job)
        except Exception as error:
            traceback.print_exc()
            said = str(error).strip().split("\n")[0][:300]
            answer = {"error": f"{type(error).__name__}: {said}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
