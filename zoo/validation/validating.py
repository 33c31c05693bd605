"""`zoo.validate`: a model against its original, stage by stage."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo import images as image_tools
from zoo.errors import ArgumentError
from zoo.model import TF1Model
from zoo.processes import WorkerError
from zoo.validation import observed, recipe, recorded, settings, stages, tolerances
from zoo.validation.backends import elsewhere
from zoo.validation.forms import Form, Native, Shim
from zoo.validation.original import Original
from zoo.validation.results import (
    ITSELF,
    RUNS,
    TENSORFLOW_1,
    TF1_GRAPH,
    Result,
    Row,
    Setting,
    Stage,
    versions,
)
from zoo.validation.subjects import RULE, Subject, subject

_BATCH = 2

# Beginning of a golden's name -> images of the training steps, where those of full size take
# minutes, and the layers fit any.
_TRAINED_ON = {
    "resnet_": (160, 160, 3),
    "nasnet_large": (160, 160, 3),
    "pnasnet_large": (160, 160, 3),
    "i3d": (8, 112, 112, 3),
    "s3dg": (8, 112, 112, 3),
}


def validate(
    model: TF1Model | str,
    *,
    tf1_ckpt: str | os.PathLike | None = None,
    form: str = "shim",
    mode: str | None = None,
    dtype: str = "float32",
    backend: str = "tensorflow",
    device: str = "cpu",
    progress: Callable[[Stage], None] | None = None,
) -> Result:
    """Compares a model with its original, in the order of TensorFlow's guide on migrated models.

    Variables; initial values; outputs at every end point, the top five, and the regularization
    loss; gradients of every variable; three steps of gradient descent at 1e-6 with dropout off;
    the model out of the file that it is saved to; and, apart, preprocessing. The original is the
    TF1 function in a `tf.compat.v1.Session` on the CPU, and, where a registered model is given by
    its name alone, also what TensorFlow 1.15.5 computed of it in float32. Half precision is held
    against the TF1 function in that precision, and no gradients are taken in it.

    Args:
        model: a registered name, whose weights are then a function of names and shapes, as
            TensorFlow 1.15.5 was given them; name.tag, for that published checkpoint; or a model
            of `zoo.load`, which stays as it is.
        tf1_ckpt: a checkpoint of the named model instead.
        form: "shim", the TF1 code inside Keras, or "native", what `zoo.to_native` makes of it.
        mode: "eager", "function" (in a `tf.function`) or "xla"; None is "function" on TensorFlow,
            "xla" on JAX and "eager" on PyTorch.
        dtype: "float32", "bfloat16" or "float16", to compute in; variables stay float32.
        backend: of Keras: "tensorflow", "jax" or "torch"; the last two run the native form in a
            process of its own.
        device: "cpu" or "gpu".
        progress: called with each stage once it is done.

    Returns:
        A `zoo.validation.Result`: `result.passed` is the verdict, `result.first_divergence` the
        first thing that is further apart than zoo/validation/tolerances.py allows.

    Raises:
        ArgumentError: settings that do not go together, or a device that is not there.
        whatever `zoo.load` raises.

    Example:
        >>> result = zoo.validate("lenet")
        >>> assert result.passed, result
    """
    started = time.monotonic()
    setting = settings.setting(form=form, mode=mode, dtype=dtype, backend=backend, device=device)
    _check_device(setting)
    found = subject(model, tf1_ckpt=tf1_ckpt, dtype=dtype)
    run = _Validation(found, setting)
    done = []
    with _without_tf32(), _sums_as_written(form == "native"):
        for stage in run.stages():
            done.append(stage)
            if progress is not None:
                progress(stage)
    others = (backend,) if backend != "tensorflow" else ()
    return Result(
        model=found.model.model_name if found.weights != RULE else found.spec.name,
        golden=found.spec.golden,
        setting=run.setting,
        versions=versions(*others),
        stages=tuple(done),
        seconds=round(time.monotonic() - started, 1),
    )


class _Validation:
    """One call of `validate`: both sides, and what was observed of them."""

    def __init__(self, found: Subject, setting: Setting) -> None:
        self._subject = found
        facts = recorded.variables(found.golden) if found.golden else None
        self._recorded = facts
        shape = tuple(found.model.input_shape[1:])
        shape = found.spec.image_shape if None in shape else shape
        batch = facts["input_shape"][0] if facts else _BATCH
        self.setting = replace(setting, batch=batch, image_shape=shape, weights=found.weights)
        self._images = (batch, *shape)
        self._training_images = (batch, *self._trained_on(shape))
        self._rate = tolerances.LEARNING_RATES.get(found.spec.golden, tolerances.LEARNING_RATE)
        self._native = setting.form == "native"
        self._trains = setting.dtype == "float32"

    def stages(self) -> Iterator[Stage]:
        """Every stage, as it is done."""
        found = self._subject
        original = Original(
            found.model.network,
            self._images,
            trainee=found.trainee.network,
            training_images=self._training_images if self._trains else None,
            learning_rate=self._rate,
            as_written=self._native,
            as_eager=self.setting.mode == "eager" and self.setting.backend == "tensorflow",
        )
        with contextlib.closing(original), contextlib.ExitStack() as stack:
            self._allowed = self._tolerances(original)
            initial = self._initial_values(original)
            values = found.fill()
            original.fill(values.__getitem__)
            ours = self._form(found.model, self._images[1:], stack)
            trainee = self._trainee(ours, stack)
            yield from self._variables(trainee, original)
            yield initial
            yield from self._outputs(ours, original, values)
            yield from self._training(trainee, original, values)
            yield self._saved(ours)
        yield self._preprocessing()

    def _trained_on(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        golden = self._subject.spec.golden or ""
        if self._subject.golden and recorded.training_steps(golden):
            return shape
        for start, smaller in _TRAINED_ON.items():
            if golden.startswith(start) and np.prod(smaller) < np.prod(shape):
                return smaller
        return shape

    def _tolerances(self, original: Original) -> tolerances.Tolerances:
        setting = self.setting
        kernels = [name for name, one in original.variables.items() if len(one.shape) > 1]
        return tolerances.of(
            setting.dtype,
            depth=len(kernels),
            golden=self._subject.spec.golden,
            other_kernels=setting.mode == "xla"
            or setting.device == "gpu"
            or setting.backend != "tensorflow",
            native=self._native,
        )

    def _trainee(self, ours: Form, stack: contextlib.ExitStack) -> Form:
        """The form that is trained: of the subject's trainee, and for images of training."""
        found, images = self._subject, self._training_images if self._trains else self._images
        # A native model is for images of one size; TF1 code takes any.
        if found.trainee is found.model and (not self._native or images == self._images):
            return ours
        return self._form(found.trainee, images[1:], stack)

    def _form(self, model: TF1Model, image_shape, stack: contextlib.ExitStack) -> Form:
        setting = self.setting
        if not self._native:
            return Shim(model, setting.mode, setting.device)
        if setting.backend == "tensorflow":
            return Native.of(model, image_shape, setting.mode, setting.device)
        made = elsewhere(model, image_shape, setting.backend, setting.mode, setting.device)
        return stack.enter_context(made)

    def _variables(self, ours: Form, original: Original) -> Iterator[Stage]:
        native, left_out = self._native, ours.left_out
        with _timed("variables", TF1_GRAPH) as stage:
            found = ours.variables
            stage.rows = stages.variable_rows(
                found, original.variables, left_out=left_out, ordered=not native
            )
        yield stage.done()
        if self._recorded is None:
            return
        with _timed("variables", TENSORFLOW_1) as stage:
            reference = {
                name: observed.Variable(tuple(shape), trainable)
                for name, shape, trainable in self._recorded["variables"]
            }
            stage.rows = stages.variable_rows(
                found, reference, left_out=left_out, ordered=not native
            )
            if not native:
                sizes = [int(np.prod(one.shape)) for one in found.values()]
                expected = self._recorded["num_params"]
                stage.rows.append(stages.fact_row("parameters", sum(sizes), expected))
        yield stage.done()

    def _initial_values(self, original: Original) -> Stage:
        name = "initial values"
        if not self._subject.is_drawn:
            reason = "The values are a checkpoint's; by the name alone they are compared."
            return Stage.skipped(name, TF1_GRAPH, reason)
        with _timed(name, TF1_GRAPH) as stage:
            ours = self._subject.model.tf1_variables
            stage.rows = stages.value_rows(
                lambda name: ours[name].numpy(),
                {n: value for n, value in original.initial_values().items() if n in ours},
                self._allowed.initial_values,
                "variables, drawn by the same seeds",
            )
        return stage.done()

    def _outputs(self, ours: Form, original: Original, values: dict) -> Iterator[Stage]:
        images = recipe.images(self._images)
        with _timed("outputs", TF1_GRAPH) as stage:
            found, reference, rounded = ours.infer(images), original.infer(images), None
            if self.setting.dtype != "float32":
                rounded = self._rounded(reference, images, values)
                self._allowed = self._in_half_precision(reference, rounded)
                stage.reason = self._how_compared()
            stage.rows = stages.output_rows(found, rounded or reference, self._allowed)
        yield stage.done()
        if stage.failure or self._subject.golden is None:
            return
        outputs = recorded.outputs(self._subject.golden)
        if outputs is None:
            yield Stage.skipped("outputs", TENSORFLOW_1, "They were not recorded.")
        elif list(self._images) != self._recorded["input_shape"]:
            reason = f"They were recorded at {_by_x(self._recorded['input_shape'][1:])}."
            yield Stage.skipped("outputs", TENSORFLOW_1, reason)
        else:
            with _timed("outputs", TENSORFLOW_1) as stage:
                stage.rows = stages.recorded_output_rows(
                    found, self._recorded, outputs, self._allowed, rounded
                )
            yield stage.done()

    def _rounded(
        self, exact: observed.Inference, images: np.ndarray, values: dict
    ) -> observed.Inference:
        """What the TF1 graph makes of images in half precision; losses are of its variables, which
        are float32."""
        network = self._subject.model.network
        made = Original(network, self._images, trainee=network, dtype=self.setting.dtype)
        with contextlib.closing(made) as rounded:
            rounded.fill(values.__getitem__)
            found = rounded.infer(images)
        return replace(found, regularization_loss=exact.regularization_loss)

    def _in_half_precision(
        self, exact: observed.Inference, rounded: observed.Inference
    ) -> tolerances.Tolerances:
        """The tolerances, by how far the TF1 graph in half precision is from itself in float32."""
        away = stages.mean_difference
        return tolerances.in_half_precision(
            self._allowed,
            self.setting.dtype,
            {name: away(rounded.end_points[name], one) for name, one in exact.end_points.items()},
            logits=away(rounded.logits, exact.logits),
            predictions=away(stages.softmax(rounded.logits), stages.softmax(exact.logits)),
            size=stages.root_mean_square(exact.logits),
        )

    def _how_compared(self) -> str:
        """What is unlike the usual in the comparison of outputs in half precision."""
        dtype, left_out = self.setting.dtype, self._allowed.left_out
        found = f"With the TF1 graph in {dtype}, by root mean squares."
        if left_out:
            found += f" That graph itself overflows from {left_out[0]} on ({len(left_out)} in all)."
        return found

    def _training(self, ours: Form, original: Original, values: dict) -> Iterator[Stage]:
        reason = None
        if not self._trains:
            reason = "Steps of 1e-6 are less than half precision tells apart."
        elif original.random_operations:
            reason = f"Training draws at random, by {original.random_operations[0]}."
        if reason is not None:
            yield Stage.skipped("gradients", TF1_GRAPH, reason)
            yield Stage.skipped("training steps", TF1_GRAPH, reason)
            return
        images = recipe.images(self._training_images)
        classes = self._subject.model.output_shape[-1]
        labels = observed.labels(len(images), classes)
        with _timed("gradients", TF1_GRAPH) as stage:
            found = ours.train(images, labels, self._rate)
            reference = original.train(images, labels)
            stage.rows = stages.gradient_rows(
                found.gradients, reference.gradients, self._allowed.gradients
            )
            stage.reason = self._how_trained()
        yield stage.done()
        if stage.failure:
            yield Stage.skipped("training steps", TF1_GRAPH, "The gradients could not be had.")
            return
        with _timed("training steps", TF1_GRAPH) as stage:
            stage.rows = stages.step_rows(found, reference, values, self._allowed)
            stage.reason = self._how_trained(rate=True)
        yield stage.done()
        yield from self._recorded_steps(found, labels, values)

    def _how_trained(self, rate: bool = False) -> str:
        """What is unlike the usual in the training of both sides."""
        found = []
        if rate and self._rate != tolerances.LEARNING_RATE:
            found.append(f"At a learning rate of {self._rate:.0e}: see tolerances.py.")
        if self._training_images != self._images:
            found.append(f"On images of {_by_x(self._training_images[1:])}.")
        averages = (n for n in self._subject.model.tf1_variables if n.endswith("moving_variance"))
        if self._native and any(averages):
            found.append("The graph's batch norm is in plain arithmetic, as Keras has it.")
        return " ".join(found)

    def _recorded_steps(self, found: observed.Training, labels, values: dict) -> Iterator[Stage]:
        steps = self._subject.golden and recorded.training_steps(self._subject.golden)
        if not steps:
            return
        case, arrays = steps
        same = case["input_shape"] == list(self._training_images)
        if not same or case["labels"] != labels.tolist() or case["learning_rate"] != self._rate:
            reason = f"They were recorded for images of {case['input_shape']}."
            yield Stage.skipped("training steps", TENSORFLOW_1, reason)
            return
        with _timed("training steps", TENSORFLOW_1) as stage:
            stage.rows = stages.recorded_step_rows(found, arrays, values)
        yield stage.done()

    def _saved(self, ours: Form) -> Stage:
        images = recipe.images(self._images)
        with (
            _timed("saved and reloaded", ITSELF) as stage,
            tempfile.TemporaryDirectory(prefix="zoo-validate-") as folder,
        ):
            values = {name: ours.value_of(name) for name in ours.variables}
            before = ours.infer(images).output
            reloaded = ours.reloaded(Path(folder))
            rows = stages.value_rows(reloaded.value_of, values, 0.0, "variables, bit by bit")
            if self._allowed.logits is not None:
                after = reloaded.output(images)
                rows.append(stages.tensor_row("output", after, before, tolerances.RELOADED))
            stage.rows = rows
        return stage.done()

    def _preprocessing(self) -> Stage:
        model = self._subject.model
        config = model.get_config()
        kind, size = config["preprocessing"], config["image_size"]
        own = (size, size) if isinstance(size, int) else tuple(size)
        with _timed("preprocessing", TENSORFLOW_1) as stage:
            for case in recorded.preprocessed(kind):
                images = image_tools.preprocess(case.photo, kind=kind, size=case.size)
                if case.size == own and model.network.image_rank == 4:
                    images = model.preprocess(case.photo)
                values = np.ravel(images)[:: case.stride]
                allowed = tolerances.PREPROCESSING[kind]
                stage.rows.append(stages.tensor_row(case.name, values, case.values, allowed))
        if not stage.rows:
            return Stage.skipped("preprocessing", TENSORFLOW_1, f"None was recorded of {kind!r}.")
        return stage.done()


class _timed:
    """Times the making of a stage's rows; what breaks off there is the stage's failure."""

    def __init__(self, name: str, against: str) -> None:
        self._name, self._against = name, against
        self.rows: list[Row] = []
        self.reason, self.failure = "", ""

    def __enter__(self) -> _timed:
        self._started = time.monotonic()
        return self

    def __exit__(self, kind, error, traceback) -> bool:
        self._seconds = time.monotonic() - self._started
        # Of the network's own doing: no memory, an operation that a compiler does not know.
        if not isinstance(error, (tf.errors.OpError, MemoryError, WorkerError)):
            return False
        text = str(error).strip().splitlines() or [""]
        self.failure = f"{type(error).__name__}: {text[0][:300]}"
        self.rows = [Row(RUNS, (), None, None, False, self.failure)]
        return True

    def done(self) -> Stage:
        return Stage.of(
            self._name, self._against, self.rows, reason=self.reason, seconds=self._seconds
        )


def _by_x(shape) -> str:
    return "x".join(map(str, shape))


def _check_device(setting: Setting) -> None:
    if setting.device != "gpu" or setting.backend != "tensorflow":
        return  # other backends say it themselves
    if not tf.config.list_physical_devices("GPU"):
        raise ArgumentError(
            "TensorFlow sees no GPU here.",
            received="device='gpu'",
            accepted="device='cpu'",
            next_step="pip install 'tensorflow[and-cuda]' on a machine with an NVIDIA GPU, or "
            "backend='jax' or 'torch' with form='native' where those see one.",
        )


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """TF32 keeps 10 bits of a factor: that is speed, and no equivalence."""
    experimental = tf.config.experimental
    before = experimental.tensor_float_32_execution_enabled()
    experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        experimental.enable_tensor_float_32_execution(before)


@contextlib.contextmanager
def _sums_as_written(whether: bool) -> Iterator[None]:
    """Inside, where it is asked for, TensorFlow's arithmetic optimizer is off in `tf.function`s, as
    it is in the Session that they are compared with: what it makes of a sum depends on the whole
    graph, and a native model's is another."""
    optimizer, name = tf.config.optimizer, "arithmetic_optimization"
    before = optimizer.get_experimental_options().get(name, True)
    optimizer.set_experimental_options({name: before and not whether})
    try:
        yield
    finally:
        optimizer.set_experimental_options({name: before})
