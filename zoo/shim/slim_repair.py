"""tf-slim 1.1.0 mended in place for TensorFlow 2.18 to 2.21 with Keras 3.

tf-slim's last release is of 2020. Since then TensorFlow moved names out of the private modules
tf-slim takes them from, dropped the batch normalization under `tensorflow.python.layers`, and
gave tensors an element-wise `==`. Each function of `REPAIRS` puts one thing back and says why.
They set attributes of tf-slim's own modules; TensorFlow's are left as they are, but for the one
that lost its batch normalization.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_slim
from tensorflow.python.framework import ops
from tf_slim.data import tfexample_decoder
from tf_slim.layers import layers, optimizers, rev_block_lib, utils
from tf_slim.losses import metric_learning
from tf_slim.metrics import histogram_ops, metric_ops
from tf_slim.ops import variables
from tf_slim.training import training

from zoo.shim import freezing, normalization
from zoo.shim.calls import current_call
from zoo.shim.patches import Patches

v1 = tf.compat.v1
learning = tf_slim.learning

_patches = Patches()


def repair_tf_slim() -> None:
    """Applies every repair, or none if one fails. Does nothing when they are in place already."""
    if _patches:
        return
    try:
        for repair in REPAIRS:
            repair()
    except BaseException:
        restore_tf_slim()
        raise


def restore_tf_slim() -> None:
    """Puts back what `repair_tf_slim` replaced. Does nothing when nothing is replaced."""
    _patches.restore()


class _ModuleView(types.ModuleType):
    """A TensorFlow module as one tf-slim module sees it: as it is, with some names put back."""

    def __init__(self, module: types.ModuleType, names: dict[str, object]) -> None:
        super().__init__(module.__name__, f"{module.__name__} with {', '.join(names)}")
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> object:
        return getattr(self._module, name)


def _put_names(owner: types.ModuleType, alias: str, **names: object) -> None:
    """Gives `owner`, a tf-slim module, the names in the TensorFlow module it calls `alias`."""
    _patches.put(owner, alias, _ModuleView(getattr(owner, alias), names))


# ----- names and habits that TensorFlow and NumPy dropped -----


def put_back_tensor_classes() -> None:
    """`ops.Tensor` and `ops.IndexedSlices` moved out of `tensorflow.python.framework.ops`.

    tf-slim asks for them in isinstance checks: of `is_training` (so in every batch norm of rank
    2, and in dropout), of learning rates, and of gradients.
    """
    _put_names(utils, "ops", Tensor=tf.Tensor)
    _put_names(rev_block_lib, "framework_ops", Tensor=tf.Tensor)
    for module in (optimizers, learning, training):
        _put_names(module, "ops", Tensor=tf.Tensor, IndexedSlices=tf.IndexedSlices)


def put_back_control_flow() -> None:
    """`cond`, `case`, `while_loop` and `Assert` moved out of `control_flow_ops`.

    A batch norm with a tensor for `is_training` needs `cond`; the image decoders, the
    clustering loss and the histogram metrics need the others.
    """
    _put_names(utils, "control_flow_ops", cond=v1.cond)
    _put_names(tfexample_decoder, "control_flow_ops", cond=v1.cond, case=v1.case)
    _put_names(metric_learning, "control_flow_ops", while_loop=v1.while_loop)
    _put_names(metric_ops, "control_flow_ops", cond=v1.cond)
    _put_names(histogram_ops, "control_flow_ops", Assert=v1.Assert)


def put_back_stack_and_unstack() -> None:
    """`stack` and `unstack` moved out of `array_ops`.

    The example decoders, `legacy_fully_connected` and the streaming metrics use them.
    """
    for module in (layers, tfexample_decoder, metric_ops):
        _put_names(module, "array_ops", stack=tf.stack, unstack=tf.unstack)


def put_back_variable_function() -> None:
    """`variable_scope.variable` is gone; `local_variable` and `global_variable` call it."""
    _put_names(variables, "variable_scope", variable=v1.Variable)


def put_back_batch_normalization() -> None:
    """`tensorflow.python.layers.normalization` imports from a Keras 2 that has no such module.

    It asks tf_keras for `legacy_tf_layers`, which is not there under that name in any release,
    so `slim.batch_norm` fails with ModuleNotFoundError, with or without tf_keras. The layer of
    `zoo.shim.normalization` takes the place, in TensorFlow's module itself: its names lead
    nowhere, and code written for `tf.layers` looks them up there too.
    """
    owner = layers.normalization_layers
    for name in ("BatchNormalization", "BatchNorm"):
        _patches.put(owner, name, normalization.BatchNormalization)
    for name in ("batch_normalization", "batch_norm"):
        _patches.put(owner, name, normalization.batch_normalization)


def raise_epsilon_of_fused_batch_norm() -> None:
    """TensorFlow 1's `tf.nn.fused_batch_norm` raised an epsilon below 1.001e-5 to that.

    TensorFlow's layer sees to it itself; tf-slim calls the function for a batch norm of rank 2,
    with `zero_debias_moving_mean`, or with `updates_collections` of one's own.
    """

    def fused_batch_norm(*args, epsilon=0.001, **kwargs):
        epsilon = max(epsilon, normalization.FUSED_EPSILON)
        return v1.nn.fused_batch_norm(*args, epsilon=epsilon, **kwargs)

    _put_names(layers, "nn", fused_batch_norm=fused_batch_norm)


def slice_checkpoint_values_for_partitions() -> None:
    """NumPy takes no list of slices for an index any more.

    `assign_from_checkpoint` cuts a partitioned variable's part out of the checkpoint's value
    with one, and fails with IndexError.
    """

    class Value(np.ndarray):
        def __getitem__(self, index):
            return super().__getitem__(tuple(index) if isinstance(index, list) else index)

    class CheckpointReader:
        def __init__(self, path):
            self._reader = v1.train.NewCheckpointReader(path)

        def get_tensor(self, name):
            return np.asarray(self._reader.get_tensor(name)).view(Value)

        def __getattr__(self, name):
            return getattr(self._reader, name)

    train = _ModuleView(v1.train, {"NewCheckpointReader": CheckpointReader})
    _put_names(variables, "tf", train=train)


# ----- graph mode's habits outside graph mode -----


class _ByIdentity(list):
    """A list whose `in` asks whether the very object is there."""

    def __contains__(self, wanted: object) -> bool:
        return any(item is wanted for item in self)


def look_up_variables_by_identity() -> None:
    """`variable in collection` compares values since TensorFlow 2.

    Outside a `tf.Graph` the `==` of two variables is element-wise, so the test raises for
    shapes that do not fit, or takes two variables of one equal element for the same one. And a
    set of variables cannot be made, as they have no hash.
    """

    def get_collection(key, scope=None):
        return _ByIdentity(ops.get_collection(key, scope))

    _put_names(layers, "ops", get_collection=get_collection)
    _put_names(variables, "ops", get_collection=get_collection)

    def get_variables_to_restore(include=None, exclude=None):
        for scopes in (include, exclude):
            if scopes is not None and not isinstance(scopes, list | tuple):
                raise TypeError("include and exclude are a list or a tuple of scopes each.")
        included = [None] if include is None else include
        excluded = _ByIdentity()
        for scope in exclude or ():
            excluded.extend(variables.get_variables(scope))
        found = (v for scope in included for v in variables.get_variables(scope))
        return [variable for variable in found if variable not in excluded]

    _patches.put(variables, "get_variables_to_restore", get_variables_to_restore)
    _patches.put(tf_slim, "get_variables_to_restore", get_variables_to_restore)


def name_scopes_in_eager_mode() -> None:
    """`ops.name_scope` gives None for the scope's name in eager mode.

    The pooling layers, `flatten` and others hand it on as the alias of their end point, which
    fails for None. A name scope that is entered in eager mode too has the name.
    """

    def name_scope(name, default_name=None, values=None):
        return ops.name_scope(name, default_name, values, skip_on_eager=False)

    _put_names(layers, "ops", name_scope=name_scope)


def end_points_of_one_call() -> None:
    """In eager mode every call of a network shares one graph's collections.

    A collection of end points would grow with each call and show those of earlier calls, and a
    `tf.function` reads it as well. So in eager mode it is cleared once it was converted, and
    in a graph the tensors that an unfinished eager call left are passed over.
    """
    convert = utils.convert_collection_to_dict

    def convert_collection_to_dict(collection, clear_collection=False):
        eager = tf.executing_eagerly()
        end_points = convert(collection, clear_collection=clear_collection or eager)
        if eager:
            return end_points
        in_graph = ((k, v) for k, v in end_points.items() if not isinstance(v, ops.EagerTensor))
        return OrderedDict(in_graph)

    _patches.put(utils, "convert_collection_to_dict", convert_collection_to_dict)


def forget_updates_that_ran() -> None:
    """In eager mode an update has run by the time it is collected.

    `slim.batch_norm` of rank 2 puts its updates in UPDATE_OPS all the same, where they would
    pile up call by call and be seen by each later `tf.function`.
    """

    def add_to_collections(names, value):
        if tf.executing_eagerly() and isinstance(value, tf.Variable):
            return
        ops.add_to_collections(names, value)

    _put_names(layers, "ops", add_to_collections=add_to_collections)


# ----- inside a decorated Keras layer -----


def freeze_batch_norm_with_its_layer() -> None:
    """`layer.trainable = False` means batch norm as at inference.

    TensorFlow's layer sees to it itself. A batch norm of rank 2, of `updates_collections=None` or
    with `batch_weights` is tf-slim's own, and asks `utils` alone whether it trains.
    """

    def constant_value(value, dtype=None):
        return False if freezing.is_frozen() else utils.constant_value(value, dtype)

    def smart_cond(pred, fn1, fn2, name=None):
        return fn2() if freezing.is_frozen() else utils.smart_cond(pred, fn1, fn2, name)

    _put_names(layers, "utils", constant_value=constant_value, smart_cond=smart_cond)


def make_variables_of_zero_debias_at_inference() -> None:
    """`zero_debias_moving_mean` has two more variables, which are made in training alone.

    A decorated layer makes all that it has at its first call, which is at inference as a rule.
    """
    original = layers._fused_batch_norm

    def _fused_batch_norm(inputs, **arguments):
        trains = layers.utils.constant_value(arguments["is_training"]) is not False
        if trains or not arguments["zero_debias_moving_mean"] or current_call() is None:
            return original(inputs, **arguments)
        scope, reuse = arguments.pop("scope"), arguments["reuse"]
        with v1.variable_scope(scope, "BatchNorm", [inputs], reuse=reuse) as scope:
            outputs = original(inputs, scope=scope, **arguments)
            with v1.variable_scope(scope, reuse=True):
                shape = v1.get_variable("moving_mean").shape
            # Where TensorFlow's assign_moving_average has them.
            with v1.variable_scope(f"{scope.name}/moving_mean"):
                for name, its_shape in (("biased", shape), ("local_step", [])):
                    v1.get_variable(
                        name, its_shape, initializer=v1.zeros_initializer(), trainable=False
                    )
        return outputs

    _patches.put(layers, "_fused_batch_norm", _fused_batch_norm)


REPAIRS: tuple[Callable[[], None], ...] = (
    put_back_tensor_classes,
    put_back_control_flow,
    put_back_stack_and_unstack,
    put_back_variable_function,
    put_back_batch_normalization,
    raise_epsilon_of_fused_batch_norm,
    slice_checkpoint_values_for_partitions,
    look_up_variables_by_identity,
    name_scopes_in_eager_mode,
    end_points_of_one_call,
    forget_updates_that_ran,
    freeze_batch_norm_with_its_layer,
    make_variables_of_zero_debias_at_inference,
)
