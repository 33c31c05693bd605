"""`zoo.shim.layers` against TensorFlow 1.15.5's `tf.compat.v1.layers` (tools/record_layers.py).

The layers, networks and inputs are those of tests/layer_cases.py, the weights the recipe's.
"""

import inspect
import json
import warnings
from pathlib import Path

import keras
import layer_cases
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, ShimError
from zoo.shim import (
    layers,
    regularization_losses,
    tf1_variables,
    track_tf1_style_variables,
)

v1 = tf.compat.v1

with np.load(Path(__file__).parents[1] / "goldens" / "layers.npz") as _file:
    GOLDENS = {key: _file[key] for key in _file.files}

# TensorFlow 1.15.5's own CPU kernels cannot do these, so its channels_last values stand in.
CHANNELS_FIRST = ("conv1d", "conv2d", "conv2d_dilated", "conv3d", "separable_conv2d")
CHANNELS_FIRST += ("conv3d_transpose", "average_pooling2d", "max_pooling2d", "max_pooling3d")


def golden(case):
    prefix = f"{case}/"
    return {k.removeprefix(prefix): v for k, v in GOLDENS.items() if k.startswith(prefix)}


def below(found, prefix):
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


def compare(found, expected, what="", tolerance=1e-5):
    """Equal to `tolerance` relative to the largest number that is expected."""
    assert found.shape == expected.shape, what
    scale = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def described(variables, trainable):
    return [
        f"{name} {list(variable.shape)} {any(variable is v for v in trainable)}"
        for name, variable in variables.items()
    ]


def load_weights(variables):
    for name, variable in variables.items():
        variable.assign(layer_cases.weights(name, tuple(variable.shape)))


def graph_variables():
    return {variable.op.name: variable for variable in v1.global_variables()}


class Decorated(keras.layers.Layer):
    """A Keras layer of one function `forward(layer, x, ...)` in TF1 style."""

    def __init__(self, forward, **kwargs):
        super().__init__(**kwargs)
        self.forward = forward

    @track_tf1_style_variables
    def call(self, x, training=None):
        arguments = {} if training is None else {"training": training}
        return self.forward(x, **arguments)

    def described(self):
        return described(tf1_variables(self), self.trainable_variables)


class HoldsOne(keras.layers.Layer):
    """A Keras layer with the case's layer as an attribute."""

    def __init__(self, case):
        super().__init__()
        self.held, self.arguments = layer_cases.make_object(layers, case)

    @track_tf1_style_variables
    def call(self, x):
        return self.held(x, **self.arguments)


def functional(case):
    return lambda x: layer_cases.apply_function(layers, case, x)


def object_style(case):
    layer, arguments = layer_cases.make_object(layers, case)
    return lambda x: layer(x, **arguments)


# ----- each layer, in each style, in a graph and in a decorated method -----


@pytest.mark.parametrize("style", [functional, object_style])
@pytest.mark.parametrize("case", layer_cases.CASES)
def test_graph(case, style):
    expected = golden(case)
    gradients = below(expected, "grad/")
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = tf.constant(layer_cases.inputs(case))
        outputs = style(case)(inputs)
        variables, trainable = graph_variables(), v1.trainable_variables()
        assert described(variables, trainable) == list(expected["names"])
        if not case.startswith("dropout"):  # which ends in another op now
            assert outputs.op.name == expected["op"]
        for name, variable in variables.items():
            variable.load(layer_cases.weights(name, tuple(variable.shape)), session)
        factors = layer_cases.numbers(f"{case}/factors", outputs.shape)
        sources = [inputs if name == "inputs" else variables[name] for name in gradients]
        losses = v1.losses.get_regularization_losses()
        found, found_gradients, found_losses = session.run(
            [outputs, v1.gradients(outputs * factors, sources), losses]
        )
    compare(found, expected["outputs"], "outputs")
    compare(np.array(found_losses, np.float32), expected["losses"], "losses")
    for name, gradient in zip(gradients, found_gradients, strict=True):
        compare(gradient, gradients[name], name)


@pytest.mark.parametrize("style", ["functional", "object"])
@pytest.mark.parametrize("case", layer_cases.CASES)
def test_decorated(case, style):
    expected = golden(case)
    layer = HoldsOne(case) if style == "object" else Decorated(functional(case))
    inputs = tf.constant(layer_cases.inputs(case))
    if len(expected["names"]):
        layer(inputs)
    variables = tf1_variables(layer)
    assert described(variables, layer.trainable_variables) == list(expected["names"])
    load_weights(variables)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        factors = layer_cases.numbers(f"{case}/factors", outputs.shape)
        total = tf.reduce_sum(outputs * factors)
    compare(outputs.numpy(), expected["outputs"], "outputs")
    if "activity" not in case:
        losses = regularization_losses(layer)
        compare(np.array(losses, np.float32), expected["losses"], "losses")
    if case != "conv2d_not_trainable":  # Keras counts those of trainable variables alone
        losses = np.array(layer.losses, np.float32)
        compare(np.sort(losses), np.sort(expected["losses"]), "layer.losses")
    gradients = below(expected, "grad/")
    sources = {"inputs": inputs, **{name: v.value for name, v in variables.items()}}
    found = tape.gradient(total, {name: sources[name] for name in gradients})
    for name, gradient in found.items():
        compare(gradient.numpy(), gradients[name], name)


@pytest.mark.parametrize("case", CHANNELS_FIRST)
def test_channels_first(case):
    function, _, arguments = layer_cases.CASES[case]
    expected = np.moveaxis(golden(case)["outputs"], -1, 1)

    def forward(x):
        return getattr(layers, function)(x, data_format="channels_first", **arguments)

    layer = Decorated(forward)
    inputs = np.ascontiguousarray(np.moveaxis(layer_cases.inputs(case), -1, 1))
    try:
        layer(inputs)
        load_weights(tf1_variables(layer))
        found = layer(inputs).numpy()
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
        pytest.skip(f"no kernel on this machine: {error.message[:80]}")
    compare(found, expected)


def test_sparse_inputs_of_dense():
    x = layer_cases.numbers("sparse", (4, 5)) * (np.arange(20).reshape(4, 5) % 3 == 0)
    x[2] = 0
    with tf.Graph().as_default(), v1.Session() as session:
        outputs = [layers.dense(tf.constant(x), 3, name="d")]
        outputs += [layers.dense(tf.sparse.from_dense(x), 3, name="d", reuse=True)]
        session.run(v1.global_variables_initializer())
        dense, sparse = session.run(outputs)
    compare(sparse, dense)


# ----- names -----


def test_numbering_in_a_graph():
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = tf.constant(layer_cases.numbers("numbering", layer_cases.IMAGE))
        outputs = layer_cases.numbering(v1, layers, inputs)
        variables = graph_variables()
        names = described(variables, v1.trainable_variables())
        assert names == list(GOLDENS["numbering/names"])
        for name, variable in variables.items():
            variable.load(layer_cases.weights(name, tuple(variable.shape)), session)
        compare(session.run(outputs), GOLDENS["numbering/outputs"])


def test_numbering_is_the_same_at_every_call():
    """Each shape and each value of `training` is a trace, and each starts to count anew."""
    layer = Decorated(lambda x, **_: layer_cases.numbering(v1, layers, x))
    inputs = layer_cases.numbers("numbering", layer_cases.IMAGE)
    layer(inputs)
    assert layer.described() == list(GOLDENS["numbering/names"])
    load_weights(tf1_variables(layer))
    for training in (None, True, False):
        for size in (1, 2, 3):
            x = np.resize(inputs, (size, *inputs.shape[1:]))
            outputs = layer(x, training=training).numpy()
            compare(outputs[:2], GOLDENS["numbering/outputs"][:size])
        layer(inputs[:, :4, :5], training=training)
    assert layer.described() == list(GOLDENS["numbering/names"])


def test_held_and_functional_layers_share_one_numbering_in_every_trace():
    held = layers.Dense(2)

    def forward(x, training=None):
        return layers.dense(held(layers.dense(x, 4)), 3)

    layer = Decorated(forward)
    first = layer(tf.ones((2, 5)))
    assert list(tf1_variables(layer)) == [
        f"{name}/{part}" for name in ("dense", "dense_1", "dense_2") for part in ("kernel", "bias")
    ]
    np.testing.assert_allclose(layer(tf.ones((2, 5)), training=True), first, rtol=1e-6)
    np.testing.assert_allclose(layer(tf.ones((7, 5)))[:2], first, rtol=1e-6)
    assert len(layer.weights) == 6
    assert tf1_variables(layer)["dense_1/kernel"].value is held.kernel


def test_one_name_twice_needs_reuse():
    layer = Decorated(lambda x: layers.dense(layers.dense(x, 5, name="d"), 5, name="d"))
    with pytest.raises(ShimError, match="made twice"):
        layer(tf.ones((2, 5)))
    layer = Decorated(lambda x: layers.dense(layers.dense(x, 5, name="d"), 5, name="d", reuse=True))
    layer(tf.ones((2, 5)))
    assert list(tf1_variables(layer)) == ["d/kernel", "d/bias"]
    layer = Decorated(lambda x: layers.dense(x, 5, name="d", reuse=True))
    with pytest.raises(ShimError, match="does not exist"):
        layer(tf.ones((2, 5)))


# ----- training -----


def check_trained(step, variables):
    """Loss and outputs of each step, and the variables after the last, as recorded."""
    images, targets = layer_cases.batches()
    for number in range(layer_cases.STEPS):
        loss, outputs = step(images[number], targets[number])
        compare(np.asarray(loss), GOLDENS["network/losses"][number], f"loss {number}")
        compare(np.asarray(outputs), GOLDENS["network/outputs"][number], f"outputs {number}")
    final = below(GOLDENS, "network/final/")
    assert sorted(variables) == sorted(final)
    for name, variable in variables.items():
        compare(variable.numpy(), final[name], name)


def test_training():
    def forward(x, training):
        return layer_cases.network(v1, layers, x, training)

    layer = Decorated(forward)
    optimizer = keras.optimizers.SGD(layer_cases.LEARNING_RATE)
    layer(tf.zeros((4, 8, 8, 3)), training=False)
    assert layer.described() == list(GOLDENS["network/names"])
    load_weights(tf1_variables(layer))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            outputs = layer(x, training=True)
            loss = tf.reduce_mean(tf.square(outputs - y)) + tf.add_n(layer.losses)
        gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
        optimizer.apply(gradients, layer.trainable_variables)
        return loss, outputs

    check_trained(step, tf1_variables(layer))


# ----- arguments -----


SAME = {"'zeros'": "Zeros", "'ones'": "Ones"}  # initializers by name and as objects


def test_exports_and_signatures():
    """Every name of TF 1.15's module, with the same arguments in the same order, and defaults."""
    signatures = json.loads(str(GOLDENS["signatures"]))
    exported = [name for name in layers.__all__ if not inspect.ismodule(getattr(layers, name))]
    assert sorted(exported) == sorted(signatures)
    assert {"keras_style_scope", "set_keras_style"} <= set(dir(layers.experimental))
    for name, expected in signatures.items():
        thing = getattr(layers, name)
        function = thing.__init__ if inspect.isclass(thing) else thing
        expected = [[*rest, SAME.get(default, default)] for *rest, default in expected]
        found = [described_parameter(p) for p in inspect.signature(function).parameters.values()]
        if name == "InputSpec":  # has two more by now
            found = found[: len(expected)]
        assert found == expected, name


def described_parameter(parameter):
    default = parameter.default
    if default is inspect.Parameter.empty:
        text = "required"
    else:
        plain = default is None or isinstance(default, bool | int | float | str | tuple)
        text = repr(default) if plain else type(default).__name__
        text = SAME.get(text, text)
    return [parameter.name, str(parameter.kind), text]


REGULARIZERS = [
    "l2",
    keras.regularizers.L2(0.01),
    tf.keras.regularizers.l2(0.01),
    lambda kernel: 0.01 * tf.reduce_sum(tf.square(kernel)),
]


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_regularizers(regularizer):
    layer = Decorated(lambda x: layers.dense(x, 3, kernel_regularizer=regularizer))
    layer(tf.ones((2, 5)))
    kernel = layer.trainable_variables[0].numpy()
    compare(layer.losses[0].numpy(), 0.01 * np.square(kernel).sum())
    with tf.Graph().as_default(), v1.Session() as session:
        layers.dense(tf.ones((2, 5)), 3, kernel_regularizer=regularizer)
        v1.global_variables()[0].load(kernel, session)
        found = session.run(v1.losses.get_regularization_losses())
    compare(found[0], 0.01 * np.square(kernel).sum())


INITIALIZERS = [
    "ones",
    keras.initializers.Ones(),
    keras.initializers.Constant(1.0),
    tf.keras.initializers.Ones,
    v1.initializers.ones(),
    v1.initializers.ones,
    v1.constant_initializer(1.0),
    lambda shape, dtype=None, partition_info=None: tf.ones(shape, dtype),
]


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_initializers(initializer):
    held = layers.Conv1D(3, 2, kernel_initializer=initializer)
    layer = Decorated(lambda x: layers.dense(held(x), 3, kernel_initializer=initializer))
    layer(tf.ones((2, 4, 5)))
    for name in ("conv1d/kernel", "dense/kernel"):
        np.testing.assert_array_equal(tf1_variables(layer)[name], 1)
    with tf.Graph().as_default(), v1.Session() as session:
        layers.dense(tf.ones((2, 5)), 3, kernel_initializer=initializer)
        session.run(v1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(v1.global_variables()[0]), 1)


@pytest.mark.parametrize("constraint", ["non_neg", keras.constraints.NonNeg(), tf.nn.relu])
def test_constraints(constraint):
    layer = Decorated(lambda x: layers.dense(x, 3, kernel_constraint=constraint))
    layer(tf.ones((2, 5)))
    kernel, bias = layer.trainable_variables
    kernel.assign([[1, -2, 3]] * 5)
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.apply([tf.ones((5, 3)), tf.ones(3)], [kernel, bias])
    np.testing.assert_array_equal(kernel, [[0.5, 0, 2.5]] * 5)


@pytest.mark.parametrize("activation", ["relu", tf.nn.relu, keras.activations.relu, keras.ops.relu])
def test_activations(activation):
    x = layer_cases.inputs("conv2d")
    arguments = {**layer_cases.CASES["conv2d"][2], "activation": activation}
    layer = Decorated(lambda x: layers.conv2d(x, **arguments))
    layer(x)
    load_weights(tf1_variables(layer))
    compare(layer(x).numpy(), golden("conv2d")["outputs"])


def test_the_scope_gives_initializer_regularizer_and_dtype():
    def forward(x):
        with v1.variable_scope(
            "s",
            initializer=v1.ones_initializer(),
            custom_getter=lambda getter, name, *args, **kwargs: getter(
                name.replace("s/", "renamed/"), *args, **kwargs
            ),
        ):
            return layers.dense(x, 3)

    layer = Decorated(forward)
    np.testing.assert_array_equal(layer(tf.ones((2, 5))), 5)
    assert list(tf1_variables(layer)) == ["renamed/dense/kernel", "renamed/dense/bias"]


def test_a_convolution_takes_one_batch_dimension():
    with pytest.raises(ArgumentError, match="rank 4"):
        layers.conv2d(tf.ones((2, 2, 5, 5, 3)), 3, 3)
    layer = layers.Conv2D(3, 3)
    with tf.Graph().as_default():
        layer = layers.Conv2D(3, 3)
        layer(tf.ones((2, 5, 5, 3)))
        with pytest.raises(ValueError, match="ndim=4"):
            layer(tf.ones((2, 2, 5, 5, 3)))


# ----- held by a Keras layer or a module -----


class Held(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(3, 3, kernel_regularizer="l2")
        self.norm = layers.BatchNormalization(momentum=0.5)
        self.many = [layers.Dense(4, kernel_regularizer="l2"), layers.Dense(2)]
        self.seen = []

    @track_tf1_style_variables
    def call(self, x, training=False):
        with v1.variable_scope("held"):
            x = self.norm(self.conv(x), training=training)
            self.many[0](x)  # a second call in one trace adds no second loss
            for layer in self.many:
                x = layer(x)
        self.seen.append(
            [
                len(v1.losses.get_regularization_losses()),
                len(v1.get_collection(v1.GraphKeys.UPDATE_OPS)),
            ]
        )
        return x


def test_attributes():
    layer = Held()
    x = layer_cases.numbers("held", (4, 6, 6, 3))
    outputs = layer(x)
    variables = tf1_variables(layer)
    assert variables["held/conv2d/kernel"].value is layer.conv.kernel
    assert variables["held/dense_1/bias"].value is layer.many[1].bias
    assert len(layer.weights) == 10 and len(layer.losses) == 2
    layer(x, training=True)
    mean = tf.reduce_mean(tf.nn.conv2d(x, layer.conv.kernel, 1, "VALID"), [0, 1, 2])
    compare(layer.norm.moving_mean.numpy(), mean.numpy() / 2)
    layer(x[:, :5])
    assert not np.allclose(layer(x), outputs)  # by the new moving averages
    # Every trace has the losses in its collection once, as a graph of TF1 has.
    assert all(seen == [2, 0] for seen in layer.seen) and len(layer.seen) >= 3


def test_attributes_in_a_functional_model():
    x = layer_cases.numbers("held", (4, 6, 6, 3))
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(Held()(inputs)))
    model.compile("sgd", "mse")
    history = model.fit(x, np.zeros((4, 32)), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert len(model.weights) == 10 and len(model.losses) == 2


def test_attributes_under_mixed_precision():
    layer = Held(dtype="mixed_bfloat16")
    x = layer_cases.numbers("held", (4, 6, 6, 3))
    outputs = layer(x)
    assert outputs.dtype == tf.bfloat16
    assert {v.dtype for v in layer.weights} == {"float32"}
    full = Held()
    full(x)
    full.set_weights(layer.get_weights())
    compare(tf.cast(outputs, tf.float32).numpy(), full(x).numpy(), tolerance=0.03)


def test_attributes_of_a_module():
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, kernel_regularizer="l2")

        @track_tf1_style_variables
        def __call__(self, x):
            with v1.variable_scope("m"):
                return layers.dense(self.dense(x), 2)

    module = Module()
    module(tf.ones((2, 4)))
    assert list(tf1_variables(module)) == [
        "m/dense/kernel",
        "m/dense/bias",
        "m/dense_1/kernel",
        "m/dense_1/bias",
    ]
    assert module.dense.kernel is tf1_variables(module)["m/dense/kernel"]
    assert len(module.trainable_variables) == 4
    assert len(regularization_losses(module)) == 1


def test_a_held_layer_outlives_graphs_of_other_layers():
    """TensorFlow changes the bases of a layer's class with each layer made in a graph."""
    layer = Held()
    x = tf.ones((2, 6, 6, 3))
    expected = layer(x).numpy()
    with tf.Graph().as_default():
        in_graph = layers.Conv2D(3, 3)
        in_graph(tf.ones((2, 6, 6, 3)))
    np.testing.assert_allclose(layer(tf.ones((3, 6, 6, 3)))[:2], expected, rtol=1e-5)
    np.testing.assert_allclose(Held()(x).shape, expected.shape)
    with in_graph.kernel.graph.as_default():
        in_graph(tf.ones((1, 6, 6, 3)))
        assert len(v1.global_variables()) == 2


def test_variables_are_in_the_objects_checkpoint(tmp_path):
    first, second = HoldsOne("dense"), HoldsOne("dense")
    x = layer_cases.inputs("dense")
    expected = first(x).numpy()
    assert not np.allclose(second(x), expected)
    path = tf.train.Checkpoint(model=first).save(str(tmp_path / "c"))
    names = [name for name, _ in tf.train.list_variables(path)]
    assert "model/held/kernel/.ATTRIBUTES/VARIABLE_VALUE" in names
    tf.train.Checkpoint(model=second).restore(path).assert_consumed()
    np.testing.assert_array_equal(second(x), expected)


def test_a_saved_model_holds_the_layer(tmp_path):
    module = tf.Module()
    module.layer = HoldsOne("dense")
    x = layer_cases.inputs("dense")
    expected = module.layer(x).numpy()
    module.serve = tf.function(module.layer.call, input_signature=[tf.TensorSpec(x.shape)])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(x), expected)


# ----- losses of a call's values -----


class Around(keras.layers.Layer):
    """Losses from a TF1 layer, a decorated layer, a Keras layer and itself, with factors."""

    def __init__(self):
        super().__init__()
        self.inner = Decorated(lambda x: layers.dense(x, 3, activity_regularizer="l2"))
        self.native = keras.layers.Dense(3, activity_regularizer="l2")

    @track_tf1_style_variables
    def call(self, x):
        self.add_loss(10.0 * tf.reduce_sum(x))
        x = self.native(self.inner(layers.dense(x, 3, activity_regularizer="l1")))
        return x


def test_activity_losses_are_those_of_the_call():
    layer = Decorated(lambda x: layers.dense(x, 4, activity_regularizer="l2"))
    for x in tf.ones((2, 5)), tf.random.normal((2, 5)), tf.random.normal((7, 5)):
        with tf.GradientTape() as tape:
            layer(x)
            loss = tf.add_n(layer.losses)
        kernel = layer.trainable_variables[0].value
        expected = 0.02 * tf.transpose(x) @ (x @ kernel) / x.shape[0]
        compare(tape.gradient(loss, kernel).numpy(), expected.numpy())
        compare(loss.numpy(), 0.01 * np.square(x @ kernel).sum() / len(x))
        assert len(layer.losses) == 1


def test_losses_of_everything_inside():
    layer = Around()
    for x in tf.ones((2, 5)), tf.fill((2, 5), 2.0), tf.ones((3, 5)):
        outputs = layer(x).numpy()
        losses = sorted(np.array(layer.losses))
        assert len(losses) == 4
        compare(losses[-1], 10 * np.sum(x))
        native = 0.01 * np.square(outputs).sum() / len(x)
        assert any(np.isclose(loss, native) for loss in losses)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, Around()(inputs))
    model.compile("sgd", "mse")
    loss = model.evaluate(np.ones((2, 5)), np.zeros((2, 3)), verbose=0)
    assert loss > 100 and len(model.losses) == 4


def test_losses_of_a_module_inside_a_layer():
    class Module(tf.Module):
        @track_tf1_style_variables
        def __call__(self, x):
            return layers.dense(x, 4, activity_regularizer="l2")

    module = Module()
    layer = Decorated(lambda x: module(x))
    for size in (2, 3):
        outputs = layer(tf.random.normal((size, 5)))
        assert len(layer.losses) == 1
        compare(layer.losses[0].numpy(), 0.01 * np.square(outputs).sum() / size)


def test_losses_in_eager_steps():
    layer = Decorated(lambda x: layers.dense(x, 4, activity_regularizer="l2"))
    x = tf.random.normal((2, 5))
    tf.config.run_functions_eagerly(True)
    try:
        outputs = layer(x)
    finally:
        tf.config.run_functions_eagerly(False)
    compare(layer.losses[0].numpy(), 0.01 * np.square(outputs).sum() / 2)


# ----- the rest of TF1's behaviour -----


def test_isinstance_and_classes_of_ones_own():
    class Scale(layers.Layer):
        def build(self, shape):
            self.factor = self.add_variable("factor", [int(shape[-1])], initializer="ones")
            self.built = True

        def call(self, x):
            return x * self.factor

    for name in layer_cases.CLASSES.values():
        assert issubclass(getattr(layers, name), layers.Layer)
    assert isinstance(layers.Dense(2), layers.Layer) and isinstance(Scale(), layers.Layer)
    assert not isinstance(layers.Dense(2), Scale)
    assert not isinstance(keras.layers.Dense(2), layers.Layer)
    layer = Decorated(lambda x: Scale()(Scale().apply(x)))
    np.testing.assert_array_equal(layer(tf.ones((2, 3))), 1)
    assert list(tf1_variables(layer)) == ["scale/factor", "scale_1/factor"]


def test_updates_in_a_graph():
    with tf.Graph().as_default():
        layer = layers.BatchNormalization()
        layer(tf.ones((2, 3)), training=True)
        collected = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        assert len(layer.updates) == len(collected) == 2


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Held()(tf.ones((2, 6, 6, 3)), training=True)
        Decorated(functional("conv2d"))(layer_cases.inputs("conv2d"))
        with tf.Graph().as_default():
            layers.BatchNormalization().apply(layers.dense(tf.ones((2, 3)), 3), training=True)


def test_keras_style():
    """The names are TensorFlow 1.15.5's."""
    with layers.experimental.keras_style_scope():
        dense = layers.Dense(3)
        with tf.Graph().as_default(), v1.variable_scope("scope"):
            for layer in layers.Dense(3, name="d"), layers.Dense(3), layers.Dense(3):
                layer(tf.ones((2, 5)))
            names = [variable.op.name for variable in v1.global_variables()]
            assert names[::2] == ["scope/d/kernel", "scope/dense_1/kernel", "scope/dense_2/kernel"]
            with pytest.raises(ValueError, match="scope argument not allowed"):
                layers.dense(tf.ones((2, 5)), 3, name="d")
    with pytest.raises(ShimError, match="Keras 2's rules"):
        Decorated(dense)(tf.ones((2, 5)))
