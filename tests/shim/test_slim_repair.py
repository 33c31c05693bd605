"""Each repair of tf-slim: what it is for fails without it and works with it."""

import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim
from running import Running
from tensorflow.python.framework import func_graph
from tensorflow.python.layers import normalization as tf_normalization
from tf_slim.data import tfexample_decoder
from tf_slim.layers import layers, optimizers, rev_block_lib, utils
from tf_slim.losses import metric_learning
from tf_slim.metrics import metric_ops
from tf_slim.nets import inception_v1, resnet_v1
from tf_slim.nets.resnet_utils import resnet_arg_scope
from tf_slim.ops import variables

from zoo.shim import freezing, slim_repair
from zoo.shim.slim_repair import REPAIRS, repair_tf_slim, restore_tf_slim

v1 = tf.compat.v1
IMAGE = np.random.RandomState(0).rand(1, 8, 8, 3).astype("float32")


@pytest.fixture(autouse=True)
def leave_it_repaired():
    """And leave the graph of eager mode's collections as it was: empty."""
    repair_tf_slim()
    yield
    restore_tf_slim()
    repair_tf_slim()
    v1.reset_default_graph()


def in_graph(build):
    """What the TF1 graph that `build` makes gives in a session."""
    with tf.Graph().as_default(), v1.Session() as session:
        outputs = build()
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        return session.run(outputs)


def in_function(build):
    """What `build` returns when it is traced for a `tf.function`."""
    returned = []
    func_graph.func_graph_from_py_func("traced", lambda: returned.append(build()), [], {})
    return returned[0]


# ----- one check, or more, for each repair; the values are worked out by hand -----


def check_batch_norm_of_rank_2():
    outputs = in_graph(lambda: slim.batch_norm(tf.constant([[1.0], [3.0]]), epsilon=0.0))
    # The kernel raises epsilon to 1.001e-5.
    np.testing.assert_allclose(outputs, [[-1.0], [1.0]], atol=1e-5)


def check_learning_rate_may_be_a_tensor():
    def build():
        variable = v1.get_variable("v", initializer=3.0)
        step = v1.train.get_or_create_global_step()
        train = optimizers.optimize_loss(variable * 2.0, step, tf.constant(0.5), "SGD")
        with tf.control_dependencies([train]):
            return variable.read_value()

    assert in_graph(build) == 2.0


def check_gradients_may_be_indexed_slices():
    def build():
        slices = tf.IndexedSlices(tf.constant([[3.0, 4.0]]), tf.constant([0]), tf.constant([2, 2]))
        variable = v1.get_variable("v", [2, 2])
        clipped = slim.training.clip_gradient_norms([(slices, variable)], 1.0)
        scaled = slim.learning.multiply_gradients(clipped, {variable: tf.constant(2.0)})
        return scaled[0][0].values

    np.testing.assert_allclose(in_graph(build), [[1.2, 1.6]], rtol=1e-6)


def check_recompute_grad():
    def build():
        double = rev_block_lib.recompute_grad(lambda x: x * x)
        x = tf.constant(3.0)
        return tf.gradients(double(x), x)[0]

    assert in_graph(build) == 6.0


def check_smart_cond():
    def build():
        predicate = v1.placeholder_with_default(False, [])
        return utils.smart_cond(predicate, lambda: tf.constant(1), lambda: tf.constant(2))

    assert in_graph(build) == 2


def check_image_decoder():
    pixels = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(tf.io.encode_png(pixels).numpy())
    example.features.feature["format"].bytes_list.value.append(b"png")
    features = {key: v1.FixedLenFeature([], tf.string) for key in ("image", "format")}

    def build():
        handlers = {"image": tfexample_decoder.Image("image", "format")}
        decoder = tfexample_decoder.TFExampleDecoder(features, handlers)
        return decoder.decode(tf.constant(example.SerializeToString()), ["image"])[0]

    np.testing.assert_array_equal(in_graph(build), pixels)


def check_clustering_score():
    points = tf.constant([[0.0], [1.0], [10.0], [13.0]])

    def build():
        distances = metric_learning.pairwise_distance(tf.identity(points.numpy()))
        return metric_learning.compute_gt_cluster_score(distances, tf.constant([0, 0, 1, 1]))

    # Each cluster has one medoid; its other point is 1 or 3 away.
    np.testing.assert_allclose(in_graph(build), -4.0, rtol=1e-6)


def check_streaming_concat():
    def build():
        value, update = metric_ops.streaming_concat(tf.constant([[1.0, 2.0]]))
        with tf.control_dependencies([update]):
            return tf.identity(value)

    assert in_graph(build).shape[1] == 2


def check_histogram_metric():
    def build():
        labels, scores = tf.constant([True, False]), tf.constant([0.9, 0.1])
        auc, update = slim.metrics.auc_using_histogram(labels, scores, [0.0, 1.0])
        with tf.control_dependencies([update]):
            return tf.identity(auc)

    in_graph(build)


def check_legacy_fully_connected_of_rank_3():
    def build():
        ones = tf.initializers.ones()
        return layers.legacy_fully_connected(tf.ones([2, 3, 4]), 5, weight_init=ones)

    np.testing.assert_array_equal(in_graph(build), np.full([2, 3, 5], 4.0))


def check_tensor_decoder_with_shape_keys():
    features = {key: v1.FixedLenFeature([size], tf.int64) for key, size in [("v", 6), ("s", 2)]}
    example = tf.train.Example()
    example.features.feature["v"].int64_list.value.extend(range(6))
    example.features.feature["s"].int64_list.value.extend([2, 3])

    def build():
        handlers = {"v": tfexample_decoder.Tensor("v", shape_keys=["s"])}
        decoder = tfexample_decoder.TFExampleDecoder(features, handlers)
        return decoder.decode(tf.constant(example.SerializeToString()), ["v"])[0]

    np.testing.assert_array_equal(in_graph(build), np.arange(6).reshape(2, 3))


def check_curve_points():
    def build():
        labels, scores = tf.constant([0, 1]), tf.constant([0.1, 0.9])
        return metric_ops.streaming_curve_points(labels, scores, num_thresholds=3)[0]

    assert in_graph(build).shape == (3, 2)


def check_local_and_global_variables():
    with tf.Graph().as_default():
        local, shared = slim.local_variable(1.0), slim.global_variable(2.0)
        assert v1.local_variables()[0] is local and v1.global_variables()[0] is shared
        assert v1.trainable_variables() == []


def check_batch_norm_of_rank_4():
    def build():
        return slim.batch_norm(tf.constant([1.0, 3.0], shape=[2, 1, 1, 1]), scope="bn")

    outputs = in_graph(build).ravel()
    np.testing.assert_allclose(outputs, np.array([-1.0, 1.0]) / np.sqrt(1.001), rtol=1e-5)


def check_batch_norm_that_tf_slim_fuses_itself():
    """As TensorFlow 1.15.5 gives it: 1e-3 / sqrt(1e-6 + 1.001e-5), not 1e-3 / sqrt(1e-6 + 1e-6)."""
    outputs = in_graph(lambda: slim.batch_norm(tf.constant([[-1e-3], [1e-3]]), epsilon=1e-6))
    np.testing.assert_allclose(outputs.ravel(), [-0.301374, 0.301374], rtol=1e-4)


def check_batch_norm_of_tf_layers():
    def build():
        return tf_normalization.batch_normalization(tf.constant([[1.0], [3.0]]), training=True)

    np.testing.assert_allclose(in_graph(build).ravel(), [-0.9995, 0.9995], atol=1e-4)
    assert tf_normalization.BatchNorm is tf_normalization.BatchNormalization


def check_partitioned_variable_takes_a_checkpoint():
    value = np.arange(8.0, dtype="float32").reshape(4, 2)

    def build(folder):
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(2)):
            parts = list(v1.get_variable("v", initializer=tf.constant(value)))
        whole = v1.train.Saver([*parts])
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            path = whole.save(session, f"{folder}/model")
            for part in parts:
                part.load(np.zeros(part.shape, "float32"), session)
            assign, feed = slim.assign_from_checkpoint(path, parts)
            session.run(assign, feed)
            return np.concatenate(session.run(parts))

    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default():
        np.testing.assert_array_equal(build(folder), value)


def check_variables_collections_outside_a_graph():
    def build():
        for scope in ("a", "b"):
            # Two biases of equal size and value, and a kernel of another shape.
            slim.conv2d(IMAGE, 4, 3, scope=scope, variables_collections=["mine"])
        for variable in v1.get_collection("mine"):
            variables.add_model_variable(variable)
        return [variable.name for variable in v1.get_collection("mine")]

    expected = [f"{scope}/{name}:0" for scope in "ab" for name in ("weights", "biases")]
    assert in_function(build) == expected
    v1.reset_default_graph()
    assert build() == expected


def check_variables_to_restore_in_a_function():
    def build():
        for name in ("a/v", "a/w", "b/v"):
            v1.add_to_collection(v1.GraphKeys.GLOBAL_VARIABLES, tf.Variable([1.0], name=name))
        found = slim.get_variables_to_restore(exclude=["b"])
        assert slim.get_variables_to_restore(include=["a"]) == found
        return [variable.name for variable in found]

    assert in_function(build) == ["a/v:0", "a/w:0"]


def check_pooling_has_an_end_point_in_eager_mode():
    with v1.variable_scope("net"):
        pooled = slim.max_pool2d(IMAGE, 2, scope="pool", outputs_collections=["ends"])
    end_points = slim.utils.convert_collection_to_dict("ends")
    assert list(end_points) == ["net/pool"] and end_points["net/pool"] is pooled


def check_end_points_are_of_one_eager_call():
    def network(depth):
        for number in range(depth):
            net = slim.conv2d(IMAGE, 2, 1, scope=f"conv{number}", outputs_collections="ends")
        return net, slim.utils.convert_collection_to_dict("ends")

    assert list(network(3)[1]) == ["conv0", "conv1", "conv2"]
    assert list(network(1)[1]) == ["conv0"]


def check_function_sees_no_end_points_of_eager_calls():
    slim.conv2d(IMAGE, 2, 1, scope="unfinished", outputs_collections="ends")

    def build():
        slim.conv2d(IMAGE, 2, 1, scope="conv", outputs_collections="ends")
        return list(slim.utils.convert_collection_to_dict("ends"))

    assert in_function(build) == ["conv"]


def check_eager_updates_are_not_collected():
    slim.batch_norm(
        tf.constant([[1.0], [3.0]]), decay=0.5, variables_collections={"moving_mean": ["mine"]}
    )
    assert v1.get_collection(v1.GraphKeys.UPDATE_OPS) == []


def check_frozen_batch_norm():
    def build():
        with freezing.batch_norm_is_frozen(True):
            return slim.batch_norm(tf.constant([[1.0], [3.0]]), is_training=True)

    np.testing.assert_allclose(in_graph(build), [[1.0], [3.0]], rtol=1e-3)


def check_zero_debias_at_inference_first():
    def code(inputs, training):
        return slim.batch_norm(inputs, zero_debias_moving_mean=True, is_training=training)

    layer = Running(code)
    for training in (False, True):
        layer(np.float32([[1.0], [3.0]]), training=training)
    assert len(layer.weights) == 5


CHECKS = [
    (slim_repair.put_back_tensor_classes, check_batch_norm_of_rank_2),
    (slim_repair.put_back_tensor_classes, check_learning_rate_may_be_a_tensor),
    (slim_repair.put_back_tensor_classes, check_gradients_may_be_indexed_slices),
    (slim_repair.put_back_tensor_classes, check_recompute_grad),
    (slim_repair.put_back_control_flow, check_smart_cond),
    (slim_repair.put_back_control_flow, check_image_decoder),
    (slim_repair.put_back_control_flow, check_clustering_score),
    (slim_repair.put_back_control_flow, check_streaming_concat),
    (slim_repair.put_back_control_flow, check_histogram_metric),
    (slim_repair.put_back_stack_and_unstack, check_legacy_fully_connected_of_rank_3),
    (slim_repair.put_back_stack_and_unstack, check_tensor_decoder_with_shape_keys),
    (slim_repair.put_back_stack_and_unstack, check_curve_points),
    (slim_repair.put_back_variable_function, check_local_and_global_variables),
    (slim_repair.put_back_batch_normalization, check_batch_norm_of_rank_4),
    (slim_repair.put_back_batch_normalization, check_batch_norm_of_tf_layers),
    (
        slim_repair.raise_epsilon_of_fused_batch_norm,
        check_batch_norm_that_tf_slim_fuses_itself,
    ),
    (
        slim_repair.slice_checkpoint_values_for_partitions,
        check_partitioned_variable_takes_a_checkpoint,
    ),
    (slim_repair.look_up_variables_by_identity, check_variables_collections_outside_a_graph),
    (slim_repair.look_up_variables_by_identity, check_variables_to_restore_in_a_function),
    (slim_repair.name_scopes_in_eager_mode, check_pooling_has_an_end_point_in_eager_mode),
    (slim_repair.end_points_of_one_call, check_end_points_are_of_one_eager_call),
    (slim_repair.end_points_of_one_call, check_function_sees_no_end_points_of_eager_calls),
    (slim_repair.forget_updates_that_ran, check_eager_updates_are_not_collected),
    (slim_repair.freeze_batch_norm_with_its_layer, check_frozen_batch_norm),
    (
        slim_repair.make_variables_of_zero_debias_at_inference,
        check_zero_debias_at_inference_first,
    ),
]


def test_every_repair_has_a_check():
    assert {repair for repair, _ in CHECKS} == set(REPAIRS)


@pytest.mark.parametrize(("repair", "check"), CHECKS, ids=lambda value: value.__name__)
def test_repair(repair, check, monkeypatch):
    restore_tf_slim()
    monkeypatch.setattr(slim_repair, "REPAIRS", [other for other in REPAIRS if other is not repair])
    repair_tf_slim()
    with pytest.raises(Exception):  # noqa: B017
        check()
    restore_tf_slim()
    monkeypatch.undo()
    v1.reset_default_graph()
    repair_tf_slim()
    check()


def test_collections_without_tensor_equality():
    v1.disable_tensor_equality()
    try:
        check_variables_collections_outside_a_graph()
    finally:
        v1.enable_tensor_equality()


# ----- the repair as a whole -----


def snapshot():
    owners = [module for name, module in sys.modules.items() if name.startswith("tf_slim")]
    return {(o.__name__, k): v for o in [*owners, tf_normalization] for k, v in vars(o).items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert [key for key in left if left[key] is not right[key]] == []


def test_repair_twice_is_repair_once():
    once = snapshot()
    repair_tf_slim()
    assert_same(snapshot(), once)


def test_restore_puts_everything_back():
    repaired = snapshot()
    restore_tf_slim()
    original = snapshot()
    assert layers.normalization_layers is tf_normalization
    assert not hasattr(layers.ops, "Tensor")
    restore_tf_slim()
    assert_same(snapshot(), original)
    repair_tf_slim()
    assert repaired.keys() == snapshot().keys()
    restore_tf_slim()
    assert_same(snapshot(), original)


def test_failed_repair_leaves_nothing_behind(monkeypatch):
    def fail():
        raise AttributeError("no such module in this tf-slim")

    restore_tf_slim()
    original = snapshot()
    monkeypatch.setattr(slim_repair, "REPAIRS", [*REPAIRS, fail])
    with pytest.raises(AttributeError, match="no such module"):
        repair_tf_slim()
    assert_same(snapshot(), original)


def test_tensorflow_keeps_its_other_modules():
    """A view is tf-slim's own: what it adds is not seen from TensorFlow."""
    assert utils.ops.Tensor is tf.Tensor
    assert not hasattr(sys.modules["tensorflow.python.framework.ops"], "Tensor")


def test_nothing_asks_for_keras_2(monkeypatch):
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            assert not name.startswith("tf_keras"), "tf_keras was imported"

    restore_tf_slim()
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    repair_tf_slim()
    slim.conv2d(IMAGE, 2, 3, normalizer_fn=slim.batch_norm)


NETWORKS = {
    "inception_v1": (inception_v1.inception_v1, inception_v1.inception_v1_arg_scope, 224),
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_arg_scope, 33),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_same_end_points_everywhere(name):
    """The names in a TF1 graph are those tf-slim's own tests assert."""
    network, arg_scope, size = NETWORKS[name]

    def build():
        with slim.arg_scope(arg_scope()):
            _, end_points = network(tf.zeros([1, size, size, 3]), num_classes=5, is_training=False)
        return {key: value.shape.as_list() for key, value in end_points.items()}

    with tf.Graph().as_default():
        expected = build()
    assert len(expected) > 10
    assert in_function(build) == expected
    v1.reset_default_graph()
    assert build() == expected
    v1.reset_default_graph()
    assert build() == expected
