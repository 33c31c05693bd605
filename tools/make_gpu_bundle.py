"""Makes what tools/gpu_check.sh takes to a machine with a GPU and without TensorFlow.

    python tools/make_gpu_bundle.py build/gpu_bundle.tar.gz

Weights follow from the names of variables (zoo/validation/recipe.py), so none travel: of each
network its native form's Keras configuration, its TF1 graph as StableHLO, and what TensorFlow
1.15.5 recorded; beside them zoo, Keras and what Keras needs. docs/gpu.md says more.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from gpu_check.bundle import (  # noqa: E402
    BFLOAT16,
    EXACT,
    INFERENCE,
    TF32,
    TRAINING,
    program_file,
)

# Registered names: a network of every family, and then those whose speed is measured.
FAMILIES = (
    "alexnet_v2",
    "cifarnet",
    "i3d",
    "inception_resnet_v2",
    "inception_v1",
    "inception_v2",
    "inception_v4",
    "lenet",
    "mobilenet_edgetpu_1.0_224",
    "mobilenet_v1_0.25_224",
    "mobilenet_v2_0.35_224",
    "mobilenet_v3_small_1.0_224",
    "nasnet_cifar",
    "overfeat",
    "pnasnet_mobile",
    "resnet_v2_50",
    "s3dg",
    "vgg_a",
)
TIMED = ("mobilenet_v1_1.0_224", "resnet_v1_50", "inception_v3", "vgg_16")
BATCHES = (1, 16, 64, 256)
TRAINING_BATCH = 64

# What Keras imports; NumPy and ml_dtypes come with JAX, h5py is for files that are not used here.
WHEELS = (
    "keras",
    "absl-py",
    "markdown-it-py",
    "mdurl",
    "namex",
    "optree",
    "packaging",
    "pygments",
    "rich",
    "typing-extensions",
)
PYTHONS = ("3.11", "3.12", "3.13")
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_LARGEST = 60 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="gpu-bundle-") as temporary:
        folder = Path(temporary)
        networks = []
        for name in dict.fromkeys([*given.networks, *given.timed]):
            print(name, flush=True)
            networks.append(_write_network(name, folder / "networks" / name, given))
            gc.collect()
        facts = {
            "made_by": {name: metadata.version(name) for name in ("zoo", "tensorflow", "keras")},
            "batches": given.batches,
            "training_batch": given.training_batch,
            "networks": networks,
        }
        (folder / "bundle.json").write_text(json.dumps(facts))
        _copy_code(folder)
        if given.python:
            _fetch_wheels(folder / "wheels", given.python)
        size = _pack(folder, given.archive)
    print(f"{given.archive}: {size / 2**20:.1f} MiB")
    if size > _LARGEST:
        print(f"That is more than {_LARGEST >> 20} MiB.", file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, help="the .tar.gz to write")
    parser.add_argument("--networks", nargs="*", default=FAMILIES, help="whose values are compared")
    parser.add_argument("--timed", nargs="*", default=TIMED, help="whose speed is measured as well")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--training-batch", type=int, default=TRAINING_BATCH)
    parser.add_argument(
        "--python",
        nargs="*",
        default=PYTHONS,
        help="versions to carry Keras for (%(default)s); none where the machine has it",
    )
    return parser.parse_args(arguments)


def _write_network(name: str, folder: Path, given: argparse.Namespace) -> dict:
    """One network's files, and its part of bundle.json."""
    from gpu_check.roofline import work_of

    import zoo
    from zoo.benchmarks.twins import timm_twin
    from zoo.errors import ArgumentError
    from zoo.validation import recorded

    spec = zoo.info(name)
    shape = recorded.variables(spec.golden)["input_shape"]
    model = _model(name, tuple(shape[1:]))
    native = _write_native(model, folder)
    logits = recorded.outputs(spec.golden)["logits"]
    np.savez(folder / "recorded.npz", logits=logits)
    timed = name in given.timed
    left_out = {}
    for setting in _programs(shape[0], timed, given):
        file = program_file(*setting)
        try:
            _write_program(model, folder / file, *setting)
        except ArgumentError as error:
            left_out[file] = error.what
            print(f"  without {file}: {error.what}", flush=True)
    _write_training(name, spec.golden, folder / "training")
    return {
        "name": name,
        "golden": spec.golden,
        "image_shape": shape[1:],
        "recorded_batch": shape[0],
        "classes": logits.shape[-1],
        "work": work_of(native),
        "timm": timm_twin(spec),
        "timed": timed,
        "left_out": left_out,
    }


def _model(name: str, image_shape: tuple[int, ...], **arguments):
    import zoo

    spec = zoo.info(name)
    if image_shape != spec.image_shape:
        arguments["input_shape"] = image_shape
    return zoo.load(name, weights=None, classifier_activation=None, **arguments)


def _programs(recorded_batch: int, timed: bool, given) -> list[tuple[str, str, int]]:
    found = [(INFERENCE, dtype, recorded_batch) for dtype in (EXACT, BFLOAT16)]
    if timed:
        for dtype in (TF32, BFLOAT16):
            found += [(INFERENCE, dtype, batch) for batch in given.batches]
            found.append((TRAINING, dtype, given.training_batch))
    return found


def _write_native(model, folder: Path):
    import zoo

    native = zoo.to_native(model)
    folder.mkdir(parents=True)
    for file, text in (("native", native.to_json()), ("weights", native.weight_map.to_json())):
        (folder / f"{file}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    constants = {
        entry.path: getattr(native.get_layer(entry.layer), entry.weight).numpy()
        for entry in native.weight_map
        if entry.how == "constant"
    }
    np.savez_compressed(folder / "constants.npz", **constants)
    return native


def _write_program(model, path: Path, task: str, dtype: str, batch: int, **details) -> None:
    from zoo.export.stablehlo import to_stablehlo

    program = to_stablehlo(
        model,
        batch=batch,
        training=task == TRAINING,
        dtype=BFLOAT16 if dtype == BFLOAT16 else "float32",
        **details,
    )
    if dtype == EXACT:
        program = dataclasses.replace(program, module=_highest_precision(program.module))
    program.write(path)


def _highest_precision(module: bytes) -> bytes:
    """A program whose products are of float32 as they are: a GPU takes the default for TF32."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    def visit(operation) -> ir.WalkResult:
        if operation.name in ("stablehlo.convolution", "stablehlo.dot", "stablehlo.dot_general"):
            highest = stablehlo.PrecisionAttr.get("HIGHEST")
            operation.attributes["precision_config"] = ir.ArrayAttr.get([highest, highest])
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        stablehlo.register_dialect(context)
        context.allow_unregistered_dialects = True
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        parsed.operation.walk(visit)
        return stablehlo.serialize_portable_artifact_str(
            str(parsed), stablehlo.get_minimum_version()
        )


def _write_training(name: str, golden: str, folder: Path) -> None:
    """The network as its training steps were recorded, if they were."""
    from zoo.validation import recorded

    steps = recorded.folder() / "training_steps" / f"{golden}.npz"
    if not steps.exists():
        return
    with np.load(steps, allow_pickle=False) as arrays:
        case = json.loads(str(arrays["case"]))
    shape = case["input_shape"]
    model = _model(name, tuple(shape[1:]), **case["arguments"])
    _write_native(model, folder)
    shutil.copy(steps, folder / "recorded.npz")
    _write_program(
        model,
        folder / "step.stablehlo",
        TRAINING,
        EXACT,
        shape[0],
        learning_rate=case["learning_rate"],
    )


def _copy_code(folder: Path) -> None:
    no_caches = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "zoo", folder / "zoo", ignore=no_caches)
    shutil.copytree(ROOT / "adapters", folder / "zoo" / "adapters", ignore=no_caches)
    shutil.copy(ROOT / "registry.yaml", folder / "zoo")
    shutil.copytree(HERE / "gpu_check", folder / "gpu_check", ignore=no_caches)
    shutil.copy(HERE / "gpu_check.sh", folder)


def _fetch_wheels(folder: Path, pythons: Sequence[str]) -> None:
    wanted = [f"{name}=={metadata.version(name)}" for name in WHEELS]
    for python in pythons:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version", python, "--dest", str(folder)]
        for platform in _PLATFORMS:
            command += ["--platform", platform]
        subprocess.run([*command, *wanted], check=True)


def _pack(folder: Path, archive: Path) -> int:
    """Writes the archive, whole or not at all; its size in bytes."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f".{archive.name}")
    try:
        with tarfile.open(unfinished, "w:gz") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name)
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)
    return archive.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
