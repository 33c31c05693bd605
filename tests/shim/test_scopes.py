"""Variable scopes, custom getters and gradients in decorated methods, as TF1 code writes them.

Expected names are those that TF1's rules of scopes give; expected values are arithmetic.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from running import Running

from zoo.errors import ShimError
from zoo.shim import tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1

X = np.ones((2, 3), np.float32)


def names_after_two_calls(code) -> list[str]:
    layer = Running(code)
    layer(X)
    layer(np.ones((4, 3), np.float32))  # another signature: the code runs once more
    return list(tf1_variables(layer))


def variable(name, value=1.0, **arguments):
    return v1.get_variable(name, [3], initializer=v1.constant_initializer(value), **arguments)


# ----- names -----


def test_nested_and_reentered_scopes():
    def code(x):
        with v1.variable_scope("a") as a:
            variable("w")
            with v1.variable_scope("b"):
                variable("w")
        with v1.variable_scope("elsewhere"):
            with v1.variable_scope(a) as again:  # a scope object leaves what it is opened in
                assert again.name == "a"
                variable("w2")
        with v1.variable_scope("a"):
            with v1.variable_scope("b"):
                variable("w2")
        return x

    assert names_after_two_calls(code) == ["a/w", "a/b/w", "a/w2", "a/b/w2"]


def test_default_names_are_numbered_in_each_scope_and_call():
    def code(x):
        for scope in ("", "n"):
            with v1.variable_scope(scope):
                for _ in range(2):
                    with v1.variable_scope(None, "block"):
                        x = x * variable("w")
        return x

    assert names_after_two_calls(code) == ["block/w", "block_1/w", "n/block/w", "n/block_1/w"]


def test_a_scope_opened_before_a_default_name_counts():
    def code(x):
        with v1.variable_scope("block"):
            pass
        with v1.variable_scope(None, "block"):
            return x * variable("w")

    assert names_after_two_calls(code) == ["block_1/w"]


def test_name_scopes_name_ops_and_no_variables():
    ops = []

    def code(x):
        with v1.variable_scope("s"), v1.name_scope("inner"):
            product = x * variable("w")
        with v1.variable_scope("s", reuse=True, auxiliary_name_scope=False):
            ops.extend([product.name, (x * variable("w")).name])
        return product

    assert names_after_two_calls(code) == ["s/w"]
    assert ops[:2] == ["s/inner/mul:0", "mul:0"]


def test_reuse_variables_holds_to_the_end_of_the_scope():
    def code(x):
        with v1.variable_scope("s"):
            first = variable("w")
            v1.get_variable_scope().reuse_variables()
            with v1.variable_scope("inner") as inner:
                assert inner.reuse
            assert variable("w") is first
            with pytest.raises(ShimError, match="s/z does not exist"):
                variable("z")
        return x * first

    assert names_after_two_calls(code) == ["s/w"]


def test_reuse_is_inherited_and_auto_reuse_makes_what_is_missing():
    def code(x):
        for _ in range(2):
            with v1.variable_scope("s", reuse=v1.AUTO_REUSE):
                with v1.variable_scope("t"):
                    x = x * variable("w", 2.0)
        return x

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), np.full((2, 3), 4.0))
    assert names_after_two_calls(code) == ["s/t/w"]


def test_the_root_scope_may_reuse():
    def code(x):
        variable("w")
        with v1.variable_scope(v1.get_variable_scope(), reuse=True):
            return x * variable("w")

    assert names_after_two_calls(code) == ["w"]


def test_two_layers_never_share_by_name():
    def code(x):
        with v1.variable_scope("s", reuse=v1.AUTO_REUSE):
            return x * variable("w")

    one, two = Running(code), Running(code)
    one(X), two(X)
    one.weights[0].assign([5.0, 5.0, 5.0])
    np.testing.assert_array_equal(one(X), np.full((2, 3), 5.0))
    np.testing.assert_array_equal(two(X), X)


def test_another_layer_called_inside_shares_nothing_either():
    inner = Running(lambda x: x * variable("w", 2.0))

    def code(x):
        with v1.variable_scope("s"):
            variable("w")
        with v1.variable_scope("s", reuse=True):
            with pytest.raises(ShimError, match="s/v does not exist"):
                variable("v")
        return inner(x) * variable("w", 3.0)

    layer = Running(code)
    layer.inner = inner
    np.testing.assert_array_equal(layer(X), np.full((2, 3), 6.0))
    assert len(layer.weights) == 3
    with pytest.raises(ShimError, match="have a variable named w"):
        tf1_variables(layer)


def test_collections_are_filtered_by_scope():
    found = {}

    def code(x):
        for scope in "ab":
            with v1.variable_scope(scope):
                variable("w", regularizer=tf.nn.l2_loss)
                variable("steps", trainable=False)
        for key in ("GLOBAL_VARIABLES", "TRAINABLE_VARIABLES", "REGULARIZATION_LOSSES"):
            items = v1.get_collection(getattr(v1.GraphKeys, key), scope="a")
            found[key] = [item.op.name for item in items]
        return x

    names_after_two_calls(code)
    assert found == {
        "GLOBAL_VARIABLES": ["a/w", "a/steps"],
        "TRAINABLE_VARIABLES": ["a/w"],
        "REGULARIZATION_LOSSES": ["a/w/Regularizer/L2Loss"],
    }


def test_collections_of_ones_own():
    found = []

    def code(x):
        made = variable("w", collections=["mine", v1.GraphKeys.GLOBAL_VARIABLES])
        found.append((v1.get_collection("mine"), made))
        return x * made

    names_after_two_calls(code)
    for collection, made in found:
        assert len(collection) == 1 and collection[0] is made


def test_the_op_of_a_variable_has_its_name():
    def code(x):
        with v1.variable_scope("s"):
            made = variable("w")
        assert (made.op.name, made.op.type) == ("s/w", "VarHandleOp")
        return x * made

    for layer in (Running(code), Running(code, dtype="mixed_bfloat16")):
        layer(X)
        tf.function(lambda x, layer=layer: layer(x))(X[:1])


# ----- what a scope gives its variables -----


def test_scopes_give_dtype_initializer_regularizer_and_constraint():
    def code(x):
        with v1.variable_scope(
            "s",
            dtype=tf.float64,
            initializer=v1.constant_initializer(2.0),
            regularizer=tf.nn.l2_loss,
            constraint=tf.nn.relu,
        ):
            v1.get_variable("a", [3])
            with v1.variable_scope("t", regularizer=None, initializer=v1.ones_initializer()):
                v1.get_variable("b", [2], tf.float16)
        with v1.variable_scope("u") as scope:
            scope.set_dtype(tf.float64)
            scope.set_initializer(v1.constant_initializer(3.0))
            scope.set_regularizer(lambda variable: tf.reduce_sum(variable))
            v1.get_variable("c", [3])
        v1.get_variable("d", [3])
        return x

    layer = Running(code)
    layer(X)
    made = tf1_variables(layer)
    assert {name: variable.dtype for name, variable in made.items()} == {
        "s/a": "float64",
        "s/t/b": "float16",
        "u/c": "float64",
        "d": "float32",
    }
    np.testing.assert_array_equal(made["s/a"], [2, 2, 2])
    np.testing.assert_array_equal(made["s/t/b"], [1, 1])
    # TF1 scopes hand down a regularizer for which none is given: s/t/b has one, d has none.
    assert sorted(float(loss) for loss in layer.losses) == [1.0, 6.0, 9.0]
    # Nor does TF 1.15 hand down a constraint.
    assert [variable.constraint is not None for variable in made.values()] == [1, 0, 0, 0]


def test_an_initializers_dtype_and_shape_are_the_variables():
    def code(x):
        with v1.variable_scope("s"):
            v1.get_variable("a", initializer=tf.constant([1, 2], tf.int32), trainable=False)
            v1.get_variable("b", [], tf.bool, v1.zeros_initializer(), trainable=False)
        return x

    layer = Running(code)
    layer(X)
    assert [(v.dtype, tuple(v.shape)) for v in layer.weights] == [("int32", (2,)), ("bool", ())]


def test_a_scopes_partitioner_is_refused_with_the_alternative():
    def code(x):
        with v1.variable_scope("s", partitioner=v1.fixed_size_partitioner(2)):
            return x * v1.get_variable("w", [3])

    with pytest.raises(ShimError, match="s/w is asked for in parts") as caught:
        Running(code)(X)
    assert "tf.distribute" in str(caught.value)


def test_keras_optimizers_apply_constraints():
    def code(x):
        with v1.variable_scope("s", constraint=lambda w: tf.clip_by_value(w, -0.5, 0.5)):
            return x * variable("w")

    model = keras.Sequential([Running(code)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X, verbose=0)
    np.testing.assert_array_equal(model.weights[0], [0.5, 0.5, 0.5])


def test_optimizers_leave_untrainable_variables_alone():
    def code(x):
        return x * variable("w") * variable("fixed", 2.0, trainable=False)

    model = keras.Sequential([Running(code)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X, verbose=0)
    trained, fixed = model.weights
    # d/dw mean((2 w - 1)^2), a third of the mean for each of three: 4 (2 - 1) / 3.
    np.testing.assert_allclose(trained, np.full(3, 1 - 0.1 * 4 / 3), rtol=1e-6)
    np.testing.assert_array_equal(fixed, np.full(3, 2.0))


def test_optimizers_of_tf1_tell_variables_of_one_name_apart():
    one, two = (Running(lambda x: x * variable("w")) for _ in range(2))
    x = tf.constant(X)
    one(x), two(x)
    optimizer = v1.train.MomentumOptimizer(0.1, 0.5)
    variables = [layer.weights[0]._value for layer in (one, two)]
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(2.0 * one(x)) + tf.reduce_sum(two(x))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    # Gradients 4 and 2 at each step: w - 0.1 * (g + (g + g / 2)).
    np.testing.assert_allclose(one.weights[0], np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(two.weights[0], np.full(3, 0.5), rtol=1e-6)


# ----- custom getters -----


def test_a_getter_may_call_twice_and_rename():
    def weight_norm(getter, name, *args, **kwargs):
        return getter(name + "_g", *args, **kwargs) * getter(name + "_v", *args, **kwargs)

    def rename(getter, name, *args, **kwargs):
        return 10.0 * getter(name.replace("kernel", "w"), *args, **kwargs)

    def code(x):
        with v1.variable_scope("s", custom_getter=weight_norm):
            with v1.variable_scope("t", custom_getter=rename):
                return x * variable("kernel", 2.0)

    layer = Running(code)
    for _ in range(2):
        np.testing.assert_array_equal(layer(X), np.full((2, 3), 40.0))
    assert names_after_two_calls(code) == ["s/t/w_g", "s/t/w_v"]


def test_a_getter_of_one_variable():
    def doubled(getter, name, *args, **kwargs):
        return 2.0 * getter(name, *args, **kwargs)

    layer = Running(lambda x: x * variable("w", 3.0, custom_getter=doubled))
    np.testing.assert_array_equal(layer(X), np.full((2, 3), 6.0))


def test_a_getter_that_reads_moving_averages():
    def code(x, training=False):
        average = tf.train.ExponentialMovingAverage(0.9)

        def shadow(getter, name, *args, **kwargs):
            return average.average(getter(name, *args, **kwargs))

        with v1.variable_scope("s"):
            w = variable("w", 2.0)
        average.apply([w])
        with v1.variable_scope("s", reuse=True, custom_getter=shadow):
            return x * variable("w")

    layer = Running(code)
    layer(X)
    w, _ = layer.weights
    w.assign([12.0, 12.0, 12.0])
    np.testing.assert_allclose(layer(X), np.full((2, 3), 3.0), rtol=1e-6)  # 2 + 0.1 * 10
    # The slot has the name that TF 1.15 gives it in checkpoints.
    assert list(tf1_variables(layer)) == ["s/w", "s/w/ExponentialMovingAverage"]


# ----- gradients -----


def cubed(x):
    return (x * variable("w", 2.0)) ** 3


def test_second_order_gradients():
    layer = Running(cubed)
    x = tf.constant(X)
    layer(x)
    sources = layer.trainable_variables
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = layer(x)
        (first,) = inner.gradient(y, sources)
    (second,) = outer.gradient(first, sources)
    np.testing.assert_allclose(first, np.full(3, 2 * 3 * 2.0**2))  # two rows of 3 w^2
    np.testing.assert_allclose(second, np.full(3, 2 * 6 * 2.0))


def test_jacobians():
    layer = Running(cubed)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    expected = np.zeros((2, 3, 2, 3))
    for i in range(2):
        for j in range(3):
            expected[i, j, i, j] = 3 * 2.0**3
    np.testing.assert_allclose(tape.jacobian(y, x), expected)


def test_forward_mode():
    layer = Running(cubed)
    x = tf.constant(X)
    layer(x)
    with tf.autodiff.ForwardAccumulator(x, 2 * tf.ones_like(x)) as accumulator:
        y = layer(x)
    np.testing.assert_allclose(accumulator.jvp(y), np.full((2, 3), 48.0))


def test_gradients_inside():
    def code(x):
        w = variable("w", 2.0)
        return v1.gradients(x * w * w, [w])[0]

    np.testing.assert_array_equal(Running(code)(X), np.full(3, 2 * 2 * 2.0))


@pytest.mark.parametrize("makes_variable", [False, True])
def test_custom_gradients_inside(makes_variable):
    @tf.custom_gradient
    def reverse(x):
        scale = variable("w", 2.0) if makes_variable else 2.0

        def gradient(upstream, variables=None):
            by_x = -upstream
            by_variables = [10.0 * tf.reduce_sum(upstream, 0) for _ in variables or ()]
            return (by_x, by_variables) if variables else by_x

        return x * scale, gradient

    layer = Running(reverse)
    x = tf.constant(X)
    layer(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    by_x, *by_variables = tape.gradient(y, [x, *layer.trainable_variables])
    np.testing.assert_array_equal(y, 2 * X)
    np.testing.assert_array_equal(by_x, -X)
    assert [gradient.numpy().tolist() for gradient in by_variables] == [[20.0] * 3] * makes_variable


@pytest.mark.parametrize("around", [False, True], ids=["eager", "in a tf.function"])
def test_what_is_recomputed_for_the_gradient_uses_the_same_variables(around):
    runs = []

    def scaled(x):
        runs.append(v1.get_default_graph())
        with v1.variable_scope("inner"):
            return x * variable("w", 2.0)

    def code(x):
        with v1.variable_scope("s"):
            return tf.recompute_grad(scaled)(x)

    layer = Running(code)
    layer(X)
    layer.weights[0].assign([5.0, 5.0, 5.0])

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, *layer.trainable_variables])

    by_x, by_variable = (tf.function(gradients) if around else gradients)(tf.constant(X))
    np.testing.assert_array_equal(by_x, 5 * X)
    np.testing.assert_array_equal(by_variable, [2.0, 2.0, 2.0])
    assert runs[-1] is not runs[0]  # it did run again, for the gradient
    assert list(tf1_variables(layer)) == ["s/inner/w"]


# ----- where it runs -----


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_training_step_in_one_function(jit_compile):
    def code(x):
        return x * variable("w", 2.0, regularizer=lambda w: 0.5 * tf.reduce_sum(w))

    layer = Running(code)
    layer(X)

    @tf.function(jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x)) + tf.add_n(layer.losses)
        (gradient,) = tape.gradient(loss, layer.trainable_variables)
        layer.trainable_variables[0].assign_sub(gradient)
        return loss

    assert float(step(X)) == 12 + 3
    np.testing.assert_array_equal(layer.weights[0], np.full(3, 2 - 2.5))


def test_a_model_compiled_by_xla():
    model = keras.Sequential([Running(lambda x: x * variable("w", 2.0))])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=True)
    history = model.fit(X, X, verbose=0).history
    np.testing.assert_allclose(history["loss"], [1.0], rtol=1e-6)
    np.testing.assert_allclose(model.weights[0], np.full(3, 2 - 0.1 * 2 / 3), rtol=1e-6)


# ----- errors that AutoGraph and Keras do not bury -----


@pytest.mark.parametrize("around", [False, True], ids=["eager", "in a tf.function"])
@pytest.mark.parametrize("autograph", [False, True], ids=["plain", "autograph"])
def test_a_function_inside_that_makes_variables_is_refused_readably(around, autograph):
    @tf.function(autograph=autograph)
    def scale(x):
        return x * v1.get_variable("w", [3])

    layer = Running(scale)
    call = tf.function(lambda x: layer(x)) if around else layer
    with pytest.raises(ShimError) as caught:
        call(X)
    message = str(caught.value)
    assert message.startswith("Variable w is asked for inside a tf.function")
    assert "take the tf.function away" in message and len(message) < 400


def test_a_variable_made_without_get_variable_is_refused():
    layer = Running(lambda x: x * tf.Variable([1.0, 2.0, 3.0]))
    with pytest.raises(ShimError, match="tf.Variable is made inside") as caught:
        layer(X)
    assert "get_variable" in str(caught.value)


def test_a_variable_made_once_by_the_code_itself_is_kept():
    class Scale(tf.Module):
        factor = None

        @track_tf1_style_variables
        def __call__(self, x):
            if self.factor is None:
                self.factor = tf.Variable([1.0, 2.0, 3.0])
            return x * self.factor

    module = Scale()
    np.testing.assert_array_equal(module(tf.constant(X)), X * [1, 2, 3])
    assert len(module.variables) == 1
