"""The process in which one program is exported, compiled or run: `python -m zoo.tpu.worker`.

Asked by processes.py, and a process of its own since a compiler may take all memory, or forever,
or die.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from zoo import processes
from zoo.errors import UnsupportedEnvironmentError
from zoo.tpu import compiler, estimates
from zoo.tpu.chips import chip
from zoo.tpu.requests import Request


def export(request: Request, file: Path) -> dict:
    """Writes the program. A process with TensorFlow."""
    import zoo

    policy = "float32" if request.dtype == "float32" else f"mixed_{request.dtype}"
    training = request.step == "training"
    activation = None if training and request.form == "native" else "softmax"
    start = time.perf_counter()
    model = zoo.load(request.model, weights=None, dtype=policy, classifier_activation=activation)
    if request.form == "native":
        zoo.to_native(model, training=training).save(file)
    else:
        from zoo.export import to_stablehlo

        to_stablehlo(model, batch=request.batch, training=training).write(file)
    return {"export_seconds": round(time.perf_counter() - start, 2)}


def compile_only(request: Request, file: Path) -> dict:
    """What the compiler says of the program. A process with JAX."""
    kind = chip(request.chip)
    jitted, arguments = _step(request, file).on(compiler.devices(kind, request.chips))
    lowered = jitted.lower(*arguments)
    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except Exception as error:  # JAX's own class is not public
        if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
            raise
        seconds = round(time.perf_counter() - start, 2)
        return {"accepted": False, "message": compiler.short(error), "compile_seconds": seconds}
    seconds = round(time.perf_counter() - start, 2)
    return {"accepted": True, "compile_seconds": seconds, **_analysed(compiled, kind, request)}


def _analysed(compiled, kind, request: Request) -> dict:
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    estimate = estimates.read_estimate(compiled.as_text())
    needed = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
        - memory.alias_size_in_bytes
    )
    # Of one chip, as everything that the compiler says.
    flops = cost["flops"]
    roofline = estimates.roofline_seconds(flops, estimate.traffic, kind, request.dtype)
    predicted = estimate.seconds(kind)
    return {
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "aliased_bytes": memory.alias_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "hbm_share": round(needed / kind.hbm, 4),
        "flops": flops,
        "bytes_accessed": cost["bytes accessed"],
        "hbm_traffic": estimate.traffic,
        "fusions": estimate.fusions,
        "roofline_ms": round(1e3 * roofline, 4),
        "estimated_cycles": estimate.cycles,
        "predicted_ms": round(1e3 * predicted, 4),
        "predicted_images_per_sec": round(request.batch / predicted, 1) if predicted else None,
        "prediction": estimates.LABEL,
    }


def run(request: Request, file: Path) -> dict:
    """Runs the program on the TPU that there is, and times it. A process with JAX."""
    return timed(request, file, _tpus(request.chips))


def find(request: Request, file: Path) -> dict:
    """Looks for the chips that `run` needs. A process with JAX."""
    return {"device": _tpus(request.chips)[0].device_kind}


def _tpus(chips: int) -> list:
    import jax

    try:
        found = jax.devices("tpu")
    except RuntimeError as error:
        raise UnsupportedEnvironmentError(
            "There is no TPU here that JAX can run on.",
            received=compiler.short(error),
            next_step="on a TPU VM `pip install 'jax[tpu]'`; elsewhere --compile-only asks the "
            "compiler alone.",
        ) from error
    if len(found) < chips:
        raise UnsupportedEnvironmentError(
            "This machine has fewer TPU chips than are asked for.",
            received=f"{chips} chips asked for, {len(found)} there",
        )
    return found[:chips]


def timed(request: Request, file: Path, devices: list, steps: int = 20) -> dict:
    """Milliseconds of a step on these devices: the median of single ones, on zeros and ones."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    jitted, arguments = _step(request, file).on(devices)
    # Ones: a moving variance of zero would divide by next to nothing.
    *batch, variables = jax.tree.map(
        lambda leaf: jax.device_put(jnp.ones(leaf.shape, leaf.dtype), leaf.sharding), arguments
    )
    start = time.perf_counter()
    compiled = jitted.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        results = jax.block_until_ready(compiled(*batch, variables))
        seconds.append(time.perf_counter() - start)
        variables = results[1] if request.step == "training" else variables
    median = float(np.median(seconds[1:]))
    return {
        "accepted": True,
        "device": devices[0].device_kind,
        "compile_seconds": round(compile_seconds, 2),
        "measured_ms": round(1e3 * median, 4),
        "measured_images_per_sec": round(request.batch / median, 1),
    }


def _step(request: Request, file: Path):
    from zoo.tpu import steps

    if request.form == "shim":
        return steps.shim_step(file)
    return steps.native_step(file, request.batch, training=request.step == "training")


def _answering(work: Callable[[Request, Path], dict]) -> Callable[..., dict]:
    """Of a request as plain data, and the path of the program's file."""

    def answer(request: dict, file: str) -> dict:
        try:
            return work(Request(**request), Path(file))
        except UnsupportedEnvironmentError as error:
            return {"missing": str(error)}

    return answer


VERBS = {"export": export, "compile": compile_only, "find": find, "run": run}

if __name__ == "__main__":
    processes.answer({verb: _answering(work) for verb, work in VERBS.items()})
