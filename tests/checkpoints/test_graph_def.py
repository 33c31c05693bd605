import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import CheckpointFormatError


@pytest.mark.parametrize("file", ["reference.pb", "resource.pb", "imported.pb"])
def test_variables_of_a_frozen_graph(frozen, made, file):
    with open_checkpoint(frozen / file) as checkpoint:
        assert checkpoint.format == "graph_def"
        assert checkpoint.names() == ["net/biases", "net/weights"]
        assert checkpoint.shape("net/weights") == (3, 3, 2, 4)
        np.testing.assert_array_equal(checkpoint.read("net/weights"), made["net/weights"])
        np.testing.assert_array_equal(checkpoint.read("net/biases"), np.full(4, 0.5, np.float32))


def test_the_other_constants_can_be_listed_and_read(frozen):
    with open_checkpoint(frozen / "reference.pb") as checkpoint:
        assert checkpoint.constants() == ["Mean/reduction_indices"]
        assert checkpoint.read("Mean/reduction_indices").tolist() == [1, 2]
        assert "Mean/reduction_indices" not in checkpoint


def test_a_name_without_suffix_is_told_by_content(frozen, tmp_path):
    (tmp_path / "graph").write_bytes((frozen / "reference.pb").read_bytes())
    with open_checkpoint(tmp_path / "graph") as checkpoint:
        assert checkpoint.format == "graph_def"


def graph_of(*nodes):
    from tensorflow.core.framework import graph_pb2

    return graph_pb2.GraphDef(node=nodes)


def constant(name, **tensor):
    from tensorflow.core.framework import attr_value_pb2, node_def_pb2, tensor_pb2

    value = attr_value_pb2.AttrValue(tensor=tensor_pb2.TensorProto(**tensor))
    return node_def_pb2.NodeDef(name=name, op="Const", attr={"value": value})


def read_of(name):
    from tensorflow.core.framework import node_def_pb2

    return node_def_pb2.NodeDef(name=f"{name}/read", op="Identity", input=[name])


def shape(*dims):
    from tensorflow.core.framework import tensor_shape_pb2

    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=dim) for dim in dims]
    return tensor_shape_pb2.TensorShapeProto(dim=sizes)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": 1, "float_val": [1.0, 2.0]},  # the last value fills the rest
        {"dtype": 1, "float_val": [3.0]},
        {"dtype": 1},  # none: zeros
        {"dtype": 9, "int64_val": [-5, 2**40]},
        {"dtype": 19, "half_val": [15360, 49152]},
        {"dtype": 14, "half_val": [16256]},
        {"dtype": 3, "tensor_content": np.arange(6, dtype="<i4").tobytes()},
    ],
)
def test_ways_to_write_a_tensor(tmp_path, tensor):
    import tensorflow as tf

    node = constant("w", tensor_shape=shape(2, 3), **tensor)
    (tmp_path / "a.pb").write_bytes(graph_of(node, read_of("w")).SerializeToString())
    with open_checkpoint(tmp_path / "a.pb") as checkpoint:
        expected = tf.make_ndarray(node.attr["value"].tensor)
        assert checkpoint.dtype("w") == expected.dtype
        np.testing.assert_array_equal(checkpoint.read("w"), expected)


def test_content_of_the_wrong_size(tmp_path):
    node = constant("w", tensor_shape=shape(2, 3), dtype=1, tensor_content=bytes(20))
    (tmp_path / "a.pb").write_bytes(graph_of(node, read_of("w")).SerializeToString())
    with pytest.raises(CheckpointFormatError, match=r"a\.pb is damaged.*'w' of shape \(2, 3\)"):
        open_checkpoint(tmp_path / "a.pb")


def test_a_claimed_shape_takes_no_memory(tmp_path):
    node = constant("w", tensor_shape=shape(10**7, 10**7), dtype=1, float_val=[1.0])
    (tmp_path / "a.pb").write_bytes(graph_of(node, read_of("w")).SerializeToString())
    with open_checkpoint(tmp_path / "a.pb") as checkpoint:
        values = checkpoint.read("w")
        assert values.shape == checkpoint.shape("w") == (10**7, 10**7)
        assert values[-1, -1] == 1.0


def test_an_input_that_is_not_there(tmp_path):
    graph = graph_of(constant("w", dtype=1, float_val=[1.0]), read_of("w"), read_of("v"))
    (tmp_path / "a.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(CheckpointFormatError, match="takes 'v', which is not there"):
        open_checkpoint(tmp_path / "a.pb")


def test_a_graph_without_variables(tmp_path):
    graph = graph_of(constant("pi", dtype=1, float_val=[3.14]))
    (tmp_path / "a.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(CheckpointFormatError, match="holds no frozen variables"):
        open_checkpoint(tmp_path / "a.pb")
