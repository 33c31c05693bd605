"""The graph of a model as StableHLO, which JAX, the TPU's compiler and other programs take."""

from __future__ import annotations

import re
from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow.compiler.mlir.stablehlo import stablehlo
from tensorflow.python.framework import auto_control_deps_utils as control_dependencies

from zoo.errors import ArgumentError
from zoo.export.saved_model import inference, input_spec
from zoo.model import TF1Model
from zoo.native.graphs import handle_of, variables_of
from zoo.programs import StableHLO, Tensor
from zoo.shim import skip_initializers
from zoo.training.trainees import AUXILIARY, LOGITS, Trainee

# Of the loss of auxiliary logits, as in Slim's train_image_classifier.py and in zoo.finetune.
_AUXILIARY_WEIGHT = 0.4

_SOURCE_LINE = re.compile(r"loc\(\"[^\"]*\":\d+[^()]*\)")

# XLA's own: a value as it is. StableHLO has no such operation, and needs none.
_COPY = re.compile(r"^ *(%[\w#]+) = \"?mhlo\.copy\"?[ (]+(%[\w#]+).*\n", re.M)


def to_stablehlo(
    model: keras.Model,
    *,
    batch: int = 1,
    training: bool = False,
    dtype: str | None = None,
    learning_rate: float = 0.01,
) -> StableHLO:
    """The model's graph, of the TF1 code itself, as a function without state.

    Variables are inputs, and what a training step makes of them are outputs, so the program holds
    no values. Inference gives what `to_saved_model` gives. A training step is Slim's, by plain
    gradient descent: mean cross entropy of integer labels, 0.4 times that of auxiliary logits where
    the network has them, and the regularization losses; moving averages move.

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, or a model with one input built on such; for
            a training step a classifier of images.
        batch: images in a batch, which StableHLO has fixed.
        training: a training step instead of inference.
        dtype: "float32", or "bfloat16" or "float16" for a model of `zoo.load`: images and
            activations are of it, variables stay float32. None leaves the model as it is.
        learning_rate: of the training step.

    Returns:
        The program; `program.write("net.stablehlo")` writes it.

    Raises:
        ArgumentError: an argument has another value, the input's size is free, or the graph has
            something that a program without state cannot have.
    """
    if batch < 1:
        raise ArgumentError("batch is 1 or more.", received=f"batch={batch}")
    if dtype is not None:
        model = _in_dtype(model, dtype)
    images = _images(model, batch)
    if training:
        labels = tf.TensorSpec([batch], tf.int32, name="labels")
        specs, run = [images, labels], _training_step(model, learning_rate)
    else:
        specs, run = [images], inference(model)
    function = tf.function(run, input_signature=specs, autograph=False, jit_compile=True)
    concrete = function.get_concrete_function()
    inputs = [*map(_of_spec, specs), *_captured(model, concrete)]
    outputs = [
        Tensor(name, tuple(spec.shape), spec.dtype.name)
        for name, spec in sorted(concrete.structured_outputs.items())
    ]
    outputs += [inputs[index] for index in _assigned(concrete)]
    # For a CPU, but with nothing of a CPU in it: "TPU" would want one.
    compiler_ir = function.experimental_get_compiler_ir(*specs)
    text = _cleaned(compiler_ir(stage="stablehlo", platform_name="CPU"))
    if "builtin.module" in text:  # which is how MLIR writes what it finds invalid
        raise ArgumentError(
            f"TensorFlow makes no valid StableHLO of {model.name} in {images.dtype.name}.",
            next_step="export it in float32: of local response normalization, for one, TensorFlow "
            "makes it there alone.",
        )
    _check(text, inputs, outputs)
    return StableHLO(
        module=_portable(text, model),
        model=getattr(model, "model_name", model.name),
        training=training,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        learning_rate=learning_rate if training else None,
    )


def _in_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """The same model with another compute dtype; its variables have no values."""
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ArgumentError(
            "There is no such dtype to compute in.",
            received=repr(dtype),
            accepted="'float32', 'bfloat16', 'float16'",
        )
    if dtype == model.dtype_policy.compute_dtype == getattr(model, "network", model).compute_dtype:
        return model
    if not isinstance(model, TF1Model):
        raise ArgumentError(
            "Only a model of zoo.load is exported in another dtype than its own.",
            received=f"dtype={dtype!r}",
            next_step="make the model in that dtype.",
        )
    config = model.get_config()
    network = config["network"]["config"]
    network["dtype"] = dtype if dtype == "float32" else f"mixed_{dtype}"
    with skip_initializers():
        return TF1Model.from_config(config)


def _images(model: keras.Model, batch: int) -> tf.TensorSpec:
    spec = input_spec(model)
    shape = [batch, *spec.shape[1:]]
    if None in shape:
        raise ArgumentError(
            "StableHLO has a fixed size of images, and the model's input size is free.",
            received=f"images of shape {tuple(spec.shape)}",
            next_step="load the model with input_shape=(height, width, channels).",
        )
    dtype = getattr(model, "network", model).compute_dtype
    return tf.TensorSpec(shape, dtype, name="images")


def _training_step(model: keras.Model, learning_rate: float) -> Callable:
    trainee = Trainee(model)
    with skip_initializers():
        logits_of = trainee.logits_model(batch_norm_frozen=False, auxiliary=trainee.has_auxiliary)
    variables = model.trainable_variables

    def step(images, labels):
        with tf.GradientTape() as tape:
            logits = logits_of(images, training=True)
            logits = logits if trainee.has_auxiliary else {LOGITS: logits}
            loss = tf.add_n([0.0, *logits_of.losses])
            for name, weight in ((LOGITS, 1.0), (AUXILIARY, _AUXILIARY_WEIGHT)):
                if name in logits:
                    loss += weight * tf.reduce_mean(
                        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits[name])
                    )
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            if gradient is not None:
                variable.assign_sub(learning_rate * tf.cast(gradient, variable.dtype))
        return {"loss": loss}

    return step


def _of_spec(spec: tf.TensorSpec) -> Tensor:
    return Tensor(spec.name, tuple(spec.shape), spec.dtype.name)


def _captured(model: keras.Model, concrete) -> list[Tensor]:
    """The variables that the graph holds, in the order in which it does."""
    variables = variables_of(model)
    names = {id(handle_of(variable)): name for name, variable in variables.items()}
    captured = []
    for tensor in concrete.captured_inputs:
        name = names.get(id(tensor))
        if name is None:
            raise ArgumentError(
                "The graph holds a tensor that is no variable of the model.",
                received=f"{tensor.dtype.name} of shape {tuple(tensor.shape)}",
                next_step="make it a constant of NumPy, or a variable.",
            )
        variable = variables[name]
        dtype = tf.as_dtype(variable.dtype).name
        captured.append(Tensor(name, tuple(variable.shape), dtype, is_variable=True))
    return captured


def _assigned(concrete) -> list[int]:
    """Indices of the inputs that the graph gives another value, which XLA has as outputs."""
    inputs = concrete.graph.inputs
    read = control_dependencies.get_read_only_resource_input_indices_graph(concrete.graph)
    resources = {i for i, tensor in enumerate(inputs) if tensor.dtype == tf.resource}
    return sorted(resources - set(read))


def _cleaned(text: str) -> str:
    """The module without copies, and without the paths of source files on this machine."""
    text = _SOURCE_LINE.sub("loc(unknown)", text)
    # Names of values are a function's own.
    return "".join(map(_without_copies, re.split(r"(?=^ *func\.func)", text, flags=re.M)))


def _without_copies(function: str) -> str:
    original = dict(match.groups() for match in _COPY.finditer(function))

    def name(match: re.Match) -> str:
        found = match[0]
        while found in original:
            found = original[found]
        return found

    return re.sub(r"%[\w#]+", name, _COPY.sub("", function)) if original else function


def _check(text: str, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """The program's inputs and outputs are those that were named."""
    signature = re.search(r"^ *func\.func @main\((.*)\) -> (.*) \{$", text, re.M)
    if signature is None:  # What breaks StableHLO's rules is written in another form.
        raise ArgumentError(
            "The compiled graph is not valid StableHLO: an operation mixes dtypes, as a rule.",
            next_step="export it in float32.",
        )
    for part, tensors in zip(signature.groups(), (inputs, outputs), strict=True):
        described = re.findall(r"tensor<([^>]*)>", part)
        named = ["x".join([*map(str, t.shape), _MLIR_DTYPES[t.dtype]]) for t in tensors]
        if described != named:
            raise ArgumentError(
                "The compiled graph has other inputs or outputs than the model has variables.",
                received=f"{len(described)}, and {len(named)} by the model",
                next_step="what the graph does with variables is unusual: export a SavedModel.",
            )


_OTHERS = re.compile(r"= \"?((?:mhlo|chlo|tf|xla)[a-z_]*\.[\w.]+)")

_MLIR_DTYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "int32": "i32",
    "int64": "i64",
    "bool": "i1",
    "uint8": "ui8",
    "uint32": "ui32",
}


def _portable(text: str, model: keras.Model) -> bytes:
    """StableHLO's serialized form, which later versions of it read (openxla.org/stablehlo,
    compatibility: for five years)."""
    try:
        return stablehlo.serialize_portable_artifact_str(text, stablehlo.get_minimum_version())
    except (ValueError, RuntimeError) as error:
        raise ArgumentError(
            f"{model.name} has an operation that StableHLO has not.",
            received=", ".join(sorted(set(_OTHERS.findall(text)))) or str(error),
            next_step="export it as a SavedModel.",
        ) from error
