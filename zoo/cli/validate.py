"""`zoo validate`: is the network the original, end point by end point and step by step?"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.cli import errors, output
from zoo.cli.info import complete_name
from zoo.cli.progress import hint
from zoo.cli.startup import import_tensorflow
from zoo.validation import results, settings
from zoo.validation.results import Result, Run, Setting

_EVERY = "all"
_RESULTS = Path("results")


def validate(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...|all",
            help="Models' names; name.tag for a published checkpoint of one; `all` for every one.",
            autocompletion=complete_name,
            show_default=False,
        ),
    ],
    ckpt: Annotated[
        str | None,
        typer.Option(
            "--ckpt",
            metavar="PATH",
            help="A TF1 checkpoint of your own, for one NAME, or its address; otherwise weights "
            "are a function of names and shapes, as TensorFlow 1.15.5 was given them.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help=", ".join(settings.DEVICES) + ".")] = "cpu",
    form: Annotated[
        str, typer.Option(help="shim (the TF1 code inside Keras) or native (plain Keras).")
    ] = "shim",
    mode: Annotated[
        str | None,
        typer.Option(
            help="eager, function or xla. By default function on TensorFlow, xla on JAX and "
            "eager on PyTorch.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help=", ".join(settings.DTYPES) + ". By default float32, on a TPU bfloat16.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Keras's: tensorflow, or jax or torch for the native form.")
    ] = "tensorflow",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Models at a time, each in a process of its own; by default as many as cores and "
            "memory allow.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write JSON, CSV and a page to look at, as models are done. For `all` it is "
            "results/, if that is there. Models that passed in the file there, with the same "
            "settings and versions, are kept and not run again.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run them again, whatever the file in DIR has.")
    ] = False,
    compile_only: Annotated[
        bool,
        typer.Option(
            "--compile-only", help="With --device tpu: ask the TPU's compiler; needs no TPU."
        ),
    ] = False,
    chip: Annotated[
        list[str] | None,
        typer.Option(help="With --compile-only: kinds of chip; v5e.", show_default=False),
    ] = None,
    chips: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --device tpu: how many, which share a batch; 1.", show_default=False
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            help="With --device tpu: inference, or training by gradient descent; inference.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --device tpu: images in a batch of all chips; 64.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare models with their originals, in the order of TensorFlow's guide.

    Variables, initial values, every end point, the top five, regularization loss, gradients of
    every variable, three training steps, the saved model, and preprocessing: against the TF1
    graph in a tf.compat.v1.Session in the same process, and against what TensorFlow 1.15.5
    computed. Shown is the first thing that is further apart than its tolerance, or else what comes
    closest to that.

    The exit code is 1 if a model is not its original.
    """
    asked = {"chip": chip, "chips": chips, "step": step and [step], "batch": batch}
    asked = {key: value for key, value in asked.items() if value}
    if device == "tpu":
        if ckpt is not None or mode is not None:
            raise typer.BadParameter("--ckpt and --mode do not go with --device tpu.")
        raise typer.Exit(_on_tpu(names, compile_only, dtype, form, asked, out, json))
    if asked or compile_only:
        given = ", ".join(f"--{key}" for key in asked) or "--compile-only"
        raise typer.BadParameter(f"{given} goes with --device tpu.")
    setting = settings.setting(
        form=form, mode=mode, dtype=dtype or "float32", backend=backend, device=device
    )
    is_all = names == [_EVERY]
    names = _every_model() if is_all else [_known(name) for name in names]
    if ckpt is not None and len(names) > 1:
        raise typer.BadParameter("--ckpt is one model's.")
    folder = _RESULTS if out is None and is_all and _RESULTS.is_dir() else out
    run, kept = _begin(folder, setting, [] if again or ckpt is not None else names)
    todo = [name for name in names if name not in kept]
    if kept:
        hint(f"{len(kept)} of {len(names)} models passed before and are kept (--again runs them)")
    arguments = {
        **{key: getattr(setting, key) for key in ("form", "mode", "dtype", "backend", "device")},
        "tf1_ckpt": None if ckpt is None else os.path.expanduser(ckpt),
    }
    found: list[Result] = []
    for result in _results(context, todo, jobs, arguments, show_stages=not json):
        found.append(result)
        run = run.adding(result)
        if not json:
            _show(result)
        if folder is not None:
            _write(run, folder, setting)
    if json:
        output.print_json(replace(run, results=tuple(found)).to_dict())
    elif len(names) > 1:
        print(_summary(run, names))
    raise typer.Exit(0 if all(r.passed for r in found) else errors.NEGATIVE)


def _every_model() -> list[str]:
    """One of each network first, the largest: a run that is broken off has met most of them."""
    names = registry.list_models()
    largest = {registry.info(name).golden or name: name for name in names}
    return sorted(names, key=lambda name: name not in largest.values())


def _known(name: str) -> str:
    """The registered name, with its tag if that was given."""
    spec = registry.info(name)
    tagged = spec.checkpoint is not None and name == spec.checkpoint.full_name
    return name if tagged else spec.name


def _on_tpu(names, compile_only, dtype, form, asked, out, json) -> int:
    from zoo.cli.tpu import validate_on_tpu

    return validate_on_tpu(
        names,
        compile_only=compile_only,
        dtype=[dtype or "bfloat16"],
        form=[form],
        out=out,
        json=json,
        **asked,
    )


def _results(
    context: typer.Context,
    names: Sequence[str],
    jobs: int | None,
    arguments: dict,
    show_stages: bool,
) -> Iterator[Result]:
    """A result for each model, as it is done; one alone is validated in this process."""
    if len(names) != 1:
        from zoo.validation import validate_many

        yield from validate_many(names, jobs, **arguments) if names else ()
        return
    import_tensorflow(debug=context.obj)
    from zoo.validation import validate as validate_one

    result = validate_one(names[0], **arguments)
    if show_stages:
        output.table(_HEADER, [_cells(row) for row in results.flat_rows(result)])
        if output.is_terminal():
            print()
    yield result


_HEADER = ("STAGE", "AGAINST", "", "COMPARED", "WORST", "DIFFERENCE", "TOLERANCE", "SECONDS")


def _cells(row: dict) -> tuple[str, ...]:
    def number(key: str) -> str:
        return output.NOTHING if row[key] is None else f"{row[key]:.1e}"

    worst = row["reason"] if row["status"] == "skipped" else row["worst"]
    return (
        row["stage"],
        row["against"],
        row["status"],
        str(row["compared"]),
        worst or output.NOTHING,
        number("difference"),
        number("tolerance"),
        f"{row['seconds']:.1f}",
    )


def _show(result: Result) -> None:
    verdict, color = ("PASSED", "green") if result.passed else ("FAILED", "red")
    text = output.printable(f"{result} {result.seconds:.0f} s")
    print(f"{output.emphasize(verdict, color)}  {text}")
    sys.stdout.flush()


def _summary(run: Run, names: Sequence[str]) -> str:
    passed = [result for result in run.results if result.model in names and result.passed]
    return f"{len(passed)} of {len(names)} models are their originals."


def _begin(folder: Path | None, setting: Setting, names: Sequence[str]) -> tuple[Run, set[str]]:
    """The run to go on with, and the names of the models in it that need not be run again."""
    command = shlex.join(["zoo", *sys.argv[1:]])
    if folder is None:
        return Run.begin(command), set()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / results.file_name(setting, ".json")
    if not path.exists():
        return Run.begin(command), set()
    before = Run.read_json(path)
    kept = {
        result.model
        for result in before.results
        if result.model in names
        and result.passed
        and result.setting.weights == "rule"
        and results.versions().items() <= result.versions.items()
    }
    return Run.begin(command, before.results), kept


def _write(run: Run, folder: Path, setting: Setting) -> None:
    """All files, each complete or as it was."""
    from zoo.validation.page import write_page

    order = {name: number for number, name in enumerate(registry.list_models())}
    ordered = sorted(run.results, key=lambda result: (order.get(result.model, -1), result.model))
    run = replace(run, results=tuple(ordered))
    run.write_json(folder / results.file_name(setting, ".json"))
    run.write_csv(folder / results.file_name(setting, ".csv"))
    write_page(run, folder / results.file_name(setting, ".html"))
