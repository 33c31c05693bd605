import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.checkpoints import archives, open_checkpoint
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError, UnsafeArchiveError


@pytest.fixture
def numbers(made):
    return {name: value for name, value in made.items() if value.dtype != object}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_written_by_numpy(tmp_path, numbers, save):
    save(tmp_path / "a.npz", **numbers)
    with open_checkpoint(tmp_path / "a.npz") as checkpoint:
        assert checkpoint.format == "npz"
        assert set(checkpoint) == set(numbers)
        for name, value in numbers.items():
            found = checkpoint.read(name)
            assert (found.dtype, found.shape) == (value.dtype, value.shape)
            assert (checkpoint.dtype(name), checkpoint.shape(name)) == (value.dtype, value.shape)
            np.testing.assert_array_equal(found, value)


def test_npz_with_pickled_objects_is_refused(tmp_path, made):
    np.savez(tmp_path / "a.npz", names=made["net/names"])
    with pytest.raises(CheckpointFormatError, match="pickled"):
        open_checkpoint(tmp_path / "a.npz")


def test_npz_is_told_by_content(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.arange(3))
    (tmp_path / "a.npz").rename(tmp_path / "weights")
    with open_checkpoint(tmp_path / "weights") as checkpoint:
        assert checkpoint.format == "npz"


def test_safetensors_written_by_the_library(tmp_path, numbers):
    from safetensors.numpy import save_file

    save_file(numbers, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.format == "safetensors"
        assert set(checkpoint) == set(numbers)
        for name, value in numbers.items():
            assert (checkpoint.dtype(name), checkpoint.shape(name)) == (value.dtype, value.shape)
            np.testing.assert_array_equal(checkpoint.read(name), value)


def test_safetensors_bfloat16(tmp_path):
    import ml_dtypes
    from safetensors.numpy import save_file

    value = np.array([1.5, -2], ml_dtypes.bfloat16)
    save_file({"w": value}, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.dtype("w") == value.dtype
        np.testing.assert_array_equal(checkpoint.read("w"), value)


# -- Headers that lie --------------------------------------------------------------------------


def safetensors_file(path, header, data=bytes(16), length=None):
    """A file with this header (JSON, or bytes as they are), whose length may be told wrongly."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype="F32", shape=(4,), start=0, end=16):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "header",
    [
        {"w": entry(shape=[5])},
        {"w": entry(shape=[2])},
        {"w": entry(shape=[1 << 40])},
        {"w": entry(shape=[1 << 62, 1 << 62])},
        {"w": entry(shape=[-4])},
        {"w": entry(shape=[2.0, 2])},
        {"w": entry(dtype="F64")},
        {"w": entry(dtype="PICKLE")},
        {"w": entry(end=17)},
        {"w": entry(end=1 << 63, shape=[1 << 61])},
        {"w": entry(start=16, end=0)},
        {"w": entry(start=-16, end=0)},
        {"w": entry(start=4, end=16, shape=[3])},
        {"w": entry(), "v": entry()},
        {"w": entry(end=8, shape=[2]), "v": entry(start=4, end=16, shape=[3])},
        {"w": entry(end=8, shape=[2])},
        {"w": {"dtype": "F32", "shape": [4]}},
        {"w": None},
        {"w": [1, 2]},
        {"__metadata__": {"a": {"b": 1}}, "w": entry()},
        b'{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}',
        b"{" * 100_000,
        b'{"w\xff": 1}',
        b"{}" + b" " * 6,
    ],
    ids=range(24),
)
def test_safetensors_header_that_lies(tmp_path, header):
    with pytest.raises(CheckpointFormatError, match="Next:"):
        open_checkpoint(safetensors_file(tmp_path / "a.safetensors", header))


@pytest.mark.parametrize(
    "length", [0, 1, 40, 10_000, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1]
)
def test_safetensors_header_of_another_length(tmp_path, length):
    path = safetensors_file(tmp_path / "a.safetensors", {"w": entry()}, length=length)
    with pytest.raises(CheckpointFormatError):
        open_checkpoint(path)


def test_safetensors_honest_header(tmp_path):
    path = safetensors_file(tmp_path / "a.safetensors", {"w": entry()})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("w").tolist() == [0, 0, 0, 0]


NUMBERS = st.one_of(
    st.integers(-4, 40), st.sampled_from([1 << 31, 1 << 62, (1 << 64) - 1, 1 << 64])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "w"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(
            ["F32", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "C64", "x"]
        ),
        "shape": st.lists(NUMBERS, max_size=3),
        "data_offsets": st.lists(NUMBERS, min_size=1, max_size=3),
    }
)
HEADERS = st.dictionaries(st.text(max_size=3), ENTRIES | JSON, max_size=3)
FEW = settings(max_examples=100, deadline=None)


def opened_or_refused(path):
    """Whole arrays of the shapes and dtypes told, or an error of zoo's; nothing else."""
    try:
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint:
                value = checkpoint.read(name)
                assert value.shape == checkpoint.shape(name)
                assert value.dtype == checkpoint.dtype(name)
                assert value.nbytes <= 1 << 20
    except (CheckpointFormatError, CheckpointNotFoundError):
        pass


@FEW
@given(header=HEADERS, data=st.binary(max_size=40))
def test_any_safetensors_header(tmp_path_factory, header, data):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    opened_or_refused(safetensors_file(path, header, data))


@FEW
@given(header=st.binary(max_size=60), data=st.binary(max_size=40), length=st.none() | NUMBERS)
def test_any_bytes_as_a_safetensors_header(tmp_path_factory, header, data, length):
    length = None if length is None else length % (1 << 64)
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    opened_or_refused(safetensors_file(path, b"{" + header, data, length))


# -- .npz that lie -----------------------------------------------------------------------------


def npz_file(path, *members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def npy(header, data=b"", version=1):
    text = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text + data


def described(descr="'<f4'", shape="(4,)", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n"


@pytest.mark.parametrize(
    "content",
    [
        npy(described(shape="(5,)"), bytes(16)),
        npy(described(shape="(3,)"), bytes(16)),
        npy(described(shape="(-4,)"), bytes(16)),
        npy(described(shape=f"({1 << 70},)"), bytes(16)),
        npy(described(shape="(True, 4)"), b""),
        npy(described(shape="4"), bytes(16)),
        npy(described(descr="'|O'"), bytes(32)),
        npy(described(descr="[('a', '|O')]"), bytes(32)),
        npy(described(descr="'<f9'"), bytes(16)),
        npy(described(descr="__import__('os').system('false')"), bytes(16)),
        npy("__import__('os').abort()", bytes(16)),
        npy("{" * 5000, bytes(16)),
        npy(b"\xff" * 100, bytes(16)),
        npy(described(), bytes(16), version=9),
        npy(described(), bytes(15)),
        b"\x80\x04cos\nsystem\n(S'false'\ntR.",
        b"",
    ],
    ids=range(17),
)
def test_npz_array_that_lies(tmp_path, content):
    with pytest.raises(CheckpointFormatError, match="Next:"):
        open_checkpoint(npz_file(tmp_path / "a.npz", ("w.npy", content)))


def test_npz_bomb(tmp_path):
    content = npy(described(shape=f"({25 << 20},)"), bytes(100 << 20))
    path = npz_file(tmp_path / "a.npz", ("w.npy", content), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UnsafeArchiveError, match="expands to more than"):
        open_checkpoint(path)


def test_npz_of_too_many_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    np.savez(tmp_path / "a.npz", *range(6))
    with pytest.raises(UnsafeArchiveError, match="more than 5 members"):
        open_checkpoint(tmp_path / "a.npz")


@FEW
@given(
    descr=st.sampled_from(["'<f4'", "'<f2'", "'|b1'", "'|O'", "'|V3'", "'<U2'", "[]", "None", "x"]),
    shape=st.lists(NUMBERS, max_size=3).map(tuple),
    order=st.sampled_from(["False", "True", "2"]),
    data=st.binary(max_size=40),
    damage=st.binary(max_size=4),
)
def test_any_npz_header(tmp_path_factory, descr, shape, order, data, damage):
    path = tmp_path_factory.mktemp("any") / "a.npz"
    header = described(descr, repr(shape), order).encode() + damage
    opened_or_refused(npz_file(path, ("w.npy", npy(header, data))))
