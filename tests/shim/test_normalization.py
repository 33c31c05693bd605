"""Batch normalization against TensorFlow 1.15.5 (tools/record_batch_norm.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.shim.normalization import BatchNormalization, batch_normalization

v1 = tf.compat.v1

with np.load(Path(__file__).parents[1] / "goldens" / "batch_norm.npz") as _file:
    GOLDENS = {key: _file[key] for key in _file.files}
CASES = sorted({key.split("/")[0] for key in GOLDENS})

# Both compute in float32 with other kernels and orders of summation: some units in the last
# place of numbers up to about 10. The moving averages take part in no long sum, yet a wrong
# epsilon or a missing Bessel's correction would be 1e-3 and more. float16 has 11 bits.
TOLERANCE = {
    "float16": {"rtol": 4e-3, "atol": 4e-3},
    "float32": {"rtol": 2e-5, "atol": 2e-5},
    "float64": {"rtol": 1e-10, "atol": 1e-10},
}


class Case:
    """One recorded case: the layer's arguments, and what TensorFlow 1.15.5 gave."""

    def __init__(self, name):
        self.golden = {
            key.removeprefix(f"{name}/"): value
            for key, value in GOLDENS.items()
            if key.startswith(f"{name}/")
        }
        self.options = json.loads(str(self.golden["options"]))
        self.shape = self.options.pop("shape")
        self.dtype = self.options.pop("dtype", "float32")
        self.options.pop("unit", None)
        self.initial = self.below("initial/")
        self.final = self.below("final/")
        self.gradients = self.below("grad/")

    def below(self, prefix):
        return {k.removeprefix(prefix): v for k, v in self.golden.items() if k.startswith(prefix)}

    def layer(self):
        return BatchNormalization(name="bn", momentum=0.9, **self.options)

    def compare(self, found, expected, what):
        assert found.dtype == expected.dtype, what
        np.testing.assert_allclose(found, expected, err_msg=what, **TOLERANCE[self.dtype])


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)


def last(name):
    return name.split("/")[-1].split(":")[0]


def built(case):
    """The layer with the recorded initial values, outside any graph."""
    layer = case.layer()
    layer.build(case.shape) if case.dtype == "float32" else layer(case.golden["inputs"][0])
    for variable in layer.variables:
        variable.assign(case.initial[last(variable.name)])
    return layer


def check_steps(case, step):
    """`step(inputs, training)` twice in training and once in inference, against the record."""
    inputs = case.golden["inputs"]
    for number in range(2):
        outputs = step(inputs[number], True)
        case.compare(outputs, case.golden["outputs"][number], f"outputs of step {number}")


def test_eager(case):
    layer = built(case)
    check_steps(case, lambda inputs, training: layer(inputs, training=training).numpy())
    for variable in layer.variables:
        case.compare(variable.numpy(), case.final[last(variable.name)], variable.name)
    inference = layer(case.golden["inputs"][0], training=False).numpy()
    case.compare(inference, case.golden["inference"], "inference")


@pytest.mark.parametrize("training_is_a_tensor", [False, True])
def test_function(case, training_is_a_tensor):
    layer = built(case)

    @tf.function(reduce_retracing=True)
    def run(inputs, training):
        return layer(inputs, training=training)

    def step(inputs, training):
        training = tf.constant(training) if training_is_a_tensor else training
        return run(tf.constant(inputs), training).numpy()

    check_steps(case, step)
    for variable in layer.variables:
        case.compare(variable.numpy(), case.final[last(variable.name)], variable.name)
    inference = step(case.golden["inputs"][0], False)
    case.compare(inference, case.golden["inference"], "inference")


def test_gradients_in_eager_mode(case):
    layer = built(case)
    inputs = tf.constant(case.golden["inputs"][0])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, training=True) * case.golden["weights"])
    sources = {"inputs": inputs}
    sources.update({last(v.name): v for v in layer.trainable_variables})
    found = tape.gradient(loss, sources)
    assert sorted(found) == sorted(case.gradients)
    for name, gradient in found.items():
        case.compare(gradient.numpy(), case.gradients[name], name)


def test_graph(case):
    """Names, shapes, trainable flags, update ops, values and gradients in a session."""
    golden = case.golden
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(case.dtype, case.shape)
        training = v1.placeholder(tf.bool, [])
        outputs = batch_normalization(
            inputs, momentum=0.9, training=training, name="bn", **case.options
        )
        variables, trainable = v1.global_variables(), v1.trainable_variables()
        names = [
            f"{v.op.name} {v.shape.as_list()} {any(v is t for t in trainable)}" for v in variables
        ]
        assert names == list(golden["names"])
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        assert len(updates) == golden["updates"]

        wanted = {"inputs": inputs, **{last(v.name): v for v in trainable}}
        gradients = tf.gradients(outputs * golden["weights"], list(wanted.values()))
        # Not before: a session that has run keeps `tf.cond` from growing outputs for gradients.
        for variable in variables:
            variable.load(case.initial[last(variable.name)], session)
        feed = {inputs: golden["inputs"][0], training: True}
        found = dict(zip(wanted, session.run(gradients, feed), strict=True))
        for name, gradient in found.items():
            case.compare(gradient, case.gradients[name], name)

        def step(values, training_value):
            feed = {inputs: values, training: training_value}
            result = session.run(outputs, feed)
            session.run(updates, feed)
            return result

        check_steps(case, step)
        for variable in variables:
            case.compare(session.run(variable), case.final[last(variable.name)], variable.name)
        case.compare(step(golden["inputs"][0], False), golden["inference"], "inference")
        for variable in variables:  # inference moves nothing
            case.compare(session.run(variable), case.final[last(variable.name)], variable.name)


@pytest.mark.parametrize("training", [True, False])
def test_constant_training_in_a_graph(case, training):
    golden = case.golden
    with tf.Graph().as_default(), v1.Session() as session:
        layer = case.layer()
        outputs = layer(tf.constant(golden["inputs"][0]), training=training)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        assert len(updates) == (golden["updates"] if training else 0)
        assert len(layer.updates) == len(updates)
        values = case.initial if training else case.final
        for variable in layer.variables:
            variable.load(values[last(variable.name)], session)
        expected = golden["outputs"][0] if training else golden["inference"]
        case.compare(session.run(outputs), expected, "outputs")


def test_fused_kernel_with_channels_first():
    """Against the record for channels last, transposed: the CPU of TensorFlow 1.15 has none."""
    case = Case("fused")
    layer = BatchNormalization(axis=1, momentum=0.9)
    inputs = case.golden["inputs"].transpose(0, 1, 4, 2, 3)
    layer.build(inputs.shape[1:])
    assert layer.fused
    for variable in layer.variables:
        variable.assign(case.initial[last(variable.name)])
    for step in range(2):
        outputs = layer(inputs[step], training=True).numpy().transpose(0, 2, 3, 1)
        case.compare(outputs, case.golden["outputs"][step], f"outputs of step {step}")
    for variable in layer.variables:
        case.compare(variable.numpy(), case.final[last(variable.name)], variable.name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_fused_kernel_at_half_precision_keeps_float32_parameters(dtype):
    """Against the float32 record: 8 bits of bfloat16 in inputs and outputs of up to 6."""
    case = Case("fused")
    layer = BatchNormalization(momentum=0.9)
    inputs = tf.cast(case.golden["inputs"], dtype)
    layer(inputs[0])
    for variable in layer.variables:
        assert variable.dtype == tf.float32
        variable.assign(case.initial[last(variable.name)])
    outputs = layer(inputs[0], training=True)
    assert outputs.dtype == dtype
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float32), case.golden["outputs"][0], rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("training_is_a_tensor", [False, True])
def test_adjustment_applies_in_training_only(training_is_a_tensor):
    """By the definition: (normalized * scale + bias) before gamma and beta."""
    inputs = np.random.RandomState(0).randn(8, 3).astype("float32")
    layer = BatchNormalization(adjustment=lambda shape: (tf.fill(shape[-1:], 2.0), 0.5))
    plain = BatchNormalization()
    run = layer
    if training_is_a_tensor:
        layer.build(inputs.shape)
        function = tf.function(lambda training: layer(inputs, training=training))

        def run(inputs, training):
            return function(tf.constant(training))

    expected = plain(inputs, training=True) * 2.0 + 0.5
    np.testing.assert_allclose(run(inputs, training=True), expected, atol=1e-5)
    expected = plain(inputs, training=False)
    np.testing.assert_allclose(run(inputs, training=False), expected, atol=1e-5)


def test_reuse_takes_the_same_variables():
    with tf.Graph().as_default():
        inputs = tf.zeros([2, 3])
        batch_normalization(inputs, name="bn")
        batch_normalization(inputs, name="bn", reuse=True)
        assert len(v1.global_variables()) == 4


def test_regularizers_and_constraints():
    with tf.Graph().as_default():
        layer = BatchNormalization(
            gamma_regularizer=lambda gamma: tf.reduce_sum(gamma * 3.0),
            beta_constraint=lambda beta: beta,
        )
        layer(tf.zeros([2, 4]))
        losses = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            assert session.run(losses) == [12.0]
        assert layer.beta.constraint is not None


def test_partitioned_scope_leaves_moving_averages_whole():
    with tf.Graph().as_default():
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(2)):
            batch_normalization(tf.zeros([2, 4]), name="bn")
        shapes = {v.op.name: v.shape.as_list() for v in v1.global_variables()}
    assert shapes["net/bn/moving_mean"] == [4]
    assert shapes["net/bn/gamma/part_0"] == [2]


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"axis": "last"}, (2, 3), "int or a list"),
        ({"axis": 2}, (2, 3), "not there"),
        ({"axis": [1, -1]}, (2, 3), "twice"),
        ({"renorm": True, "renorm_clipping": {"max": 1}}, (2, 3), "rmax, rmin, dmax"),
        ({"virtual_batch_size": 0}, (2, 3), "positive"),
        ({"virtual_batch_size": 2, "axis": 0}, (2, 3), "batch"),
        ({"virtual_batch_size": 2, "adjustment": lambda s: (1.0, 0.0)}, (2, 3), "exclude"),
        ({}, (2, None), "undefined `axis` dimension"),
        ({}, None, "undefined rank"),
    ],
)
def test_wrong_arguments(options, shape, message):
    with pytest.raises(ArgumentError, match=message):
        BatchNormalization(**options).build(shape)
