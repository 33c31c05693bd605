"""zoo.hub.local_path and open_checkpoint: paths, web addresses and repositories on the Hub.

The expected bytes are those that the test itself put on the servers; the values of checkpoints
are those that NumPy or `tf.compat.v1.train.Saver` wrote.
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import hub
from zoo.errors import ArgumentError, DownloadError, HashMismatchError, OfflineError


@pytest.fixture
def arrays():
    return {"net/weights": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def npz(arrays):
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


@pytest.mark.parametrize("path", ["a/b.ckpt", "/a/b.tgz!c", "C:\\net.ckpt", "hf:/me/net"])
def test_paths_are_handed_back(path):
    assert hub.local_path(path) == path
    assert hub.local_path(Path(path)) == str(Path(path))
    assert not hub.is_address(path)


def test_file_address(tmp_path, npz, arrays):
    path = tmp_path / "my net.npz"
    path.write_bytes(npz)
    assert hub.local_path(path.as_uri()) == str(path)
    with zoo.open_checkpoint(path.as_uri()) as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("net/weights"), arrays["net/weights"])
    with pytest.raises(ArgumentError, match="on this machine"):
        hub.local_path("file://server/share/net.npz")


def test_web_address(server, npz, arrays):
    url = server.add("/files/net.npz", npz)
    with zoo.open_checkpoint(url) as checkpoint:
        assert checkpoint.names() == ["net/weights"]
    asked = len(server.requests)
    assert hub.local_path(url, offline=True).endswith("/net.npz")
    assert len(server.requests) == asked
    assert [entry.checkpoint for entry in hub.list_cached()] == ["https.127.0.0.1"]


def test_web_address_is_held_to_the_hash_of_its_first_use(server, npz):
    url = server.add("/net.npz", npz)
    hub.local_path(url)
    hub.prune()
    server.add("/net.npz", npz + b"?", etag='"v2"')
    with pytest.raises(HashMismatchError, match="recorded on first use"):
        hub.local_path(url)
    hub.prune(forget=True)
    with open(hub.local_path(url), "rb") as file:
        assert file.read() == npz + b"?"


def test_web_address_offline(server, npz):
    url = server.add("/net.npz", npz)
    with pytest.raises(OfflineError, match="/net.npz"):
        hub.local_path(url, offline=True)


def test_plain_http_is_refused():
    with pytest.raises(ArgumentError, match="Plain http"):
        hub.local_path("http://example.org/net.npz?token=s3cret")


@pytest.mark.parametrize("address", ["ftp://x.org/net.npz", "s3://b/net", "HFF://me/net"])
def test_other_schemes(address):
    with pytest.raises(ArgumentError, match="hf://, https://, http://, file://"):
        hub.local_path(address)


def test_secrets_of_an_address_are_not_told(server):
    host = server.root.removeprefix("http://")
    with pytest.raises(DownloadError) as caught:
        hub.local_path(f"http://me:hunter2@{host}/net.npz?token=s3cret")
    assert "hunter2" not in str(caught.value) and "s3cret" not in str(caught.value)
    with pytest.raises(ArgumentError) as caught:
        hub.local_path("ftp://me:hunter2@x.org/net.npz")
    assert "hunter2" not in str(caught.value)


def test_checkpoint_of_a_repository(the_hub, npz, arrays):
    the_hub.add("me/net", {"weights.npz": npz})
    with zoo.open_checkpoint("hf://me/net") as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("net/weights"), arrays["net/weights"])


@pytest.fixture
def published(the_hub, small_checkpoint):
    """The address of a repository with MobileNet V1 0.25 as `tf.train.Saver` wrote it."""
    folder = Path(small_checkpoint).parent
    files = [path for path in folder.iterdir() if path.name.startswith("model.ckpt")]
    the_hub.add("me/mobilenet", {f"tf1/{path.name}": path.read_bytes() for path in files})
    return "hf://me/mobilenet"


@pytest.mark.parametrize("argument", ["source", "tf1_ckpt"])
def test_model_is_loaded_from_the_hub(published, small_checkpoint, argument):
    model = zoo.load("mobilenet_v1_0.25_128", **{argument: published})
    assert len(model.load_report.loaded) == 137
    with zoo.open_checkpoint(small_checkpoint) as written:
        for name in ("MobilenetV1/Conv2d_0/weights", "MobilenetV1/Logits/Conv2d_1c_1x1/biases"):
            np.testing.assert_array_equal(model.tf1_variables[name], written.read(name))


def test_source_and_tf1_ckpt_are_one_too_many(published, small_checkpoint):
    with pytest.raises(ArgumentError, match="both name a checkpoint"):
        zoo.load("mobilenet_v1_0.25_128", source=published, tf1_ckpt=small_checkpoint)


def test_source_that_cannot_be_had(the_hub):
    with pytest.raises(DownloadError, match="no such repository"):
        zoo.load("mobilenet_v1_0.25_128", source="hf://me/nothing")


def test_inspect_command(published, small_checkpoint):
    from typer.testing import CliRunner

    from zoo.cli.app import app

    result = CliRunner().invoke(app, ["inspect", published, "--json"])
    assert result.exit_code == 0, result.output
    seen = json.loads(result.stdout)
    assert seen["format"] == "v2" and seen["roles"]["variable"]["count"] == 137
    index = Path(f"{small_checkpoint}.index").read_bytes()
    assert Path(f"{seen['path']}.index").read_bytes() == index
