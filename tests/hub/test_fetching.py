"""zoo.hub.fetch: sources in order, the cache, offline mode, first use, many processes.

The expected bytes and hashes are those that the test itself put on the server (hashlib).
"""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time

import pytest

from zoo import hub
from zoo.errors import DownloadError, HashMismatchError, OfflineError
from zoo.registry import CheckpointSpec, SourceSpec


def file_source(path, **rest):
    return SourceSpec("file", {"path": str(path)}, **rest)


def test_fetched_file_and_member(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    fetched = hub.fetch(spec)
    assert fetched.path.read_bytes() == body
    assert fetched.path.name == "net.tar.gz"
    assert (fetched.source, fetched.member) == (spec.sources[0], "net.ckpt")


def test_second_call_needs_no_network_and_no_hashing(server, checkpoint, body, monkeypatch):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    first = hub.fetch(spec)
    server.stop()
    monkeypatch.setattr("zoo.hub.verify.fingerprint_of", lambda *args: pytest.fail("read again"))
    assert hub.fetch(spec) == first
    assert hub.fetch(spec, offline=True) == first


def test_mirror_serves_where_the_first_address_does_not(server, checkpoint, body):
    server.add("/wrong.tar.gz", body[1:])
    good = server.add("/mirror.tar.gz", body)
    spec = checkpoint(
        server.root + "/missing.tar.gz", body, mirrors=[server.root + "/wrong.tar.gz", good]
    )
    assert hub.fetch(spec).path.read_bytes() == body


def test_next_source_serves_where_the_first_does_not(server, checkpoint, body, tmp_path, capfd):
    other = SourceSpec(
        "https",
        {"url": server.add("/b.tgz", body)},
        None,
        None,
        "md5",
        hashlib.md5(body).hexdigest(),
    )
    spec = checkpoint(server.root + "/missing.tar.gz", body, more=[other])
    assert hub.fetch(spec).source is other
    assert "404" in capfd.readouterr().err
    # The first source is not asked again once the second one's file is here.
    asked = len(server.requests)
    hub.fetch(spec)
    assert len(server.requests) == asked


def test_one_error_tells_of_every_source(server, checkpoint, body, tmp_path, left_behind):
    server.add("/wrong.tgz", b"other")
    wrong = SourceSpec("https", {"url": server.root + "/wrong.tgz"}, None, 7, "md5", "0" * 32)
    spec = checkpoint(
        server.root + "/missing.tar.gz",
        body,
        more=[file_source(tmp_path / "gone.ckpt"), wrong],
    )
    with pytest.raises(DownloadError) as caught:
        hub.fetch(spec)
    text = str(caught.value)
    for part in (
        "net.tag",
        "/missing.tar.gz",
        "404",
        "gone.ckpt",
        "5 bytes",
        "7 bytes",
        "tf1_ckpt",
    ):
        assert part in text
    assert left_behind() == []


def test_only_wrong_files_are_a_hash_mismatch(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", b"other"), body)
    with pytest.raises(HashMismatchError):
        hub.fetch(spec)


def test_unknown_kind_is_told(checkpoint):
    with pytest.raises(DownloadError, match="carrier pigeon"):
        hub.fetch(CheckpointSpec("net", "tag", (SourceSpec("carrier pigeon", {}),)))


# -- this machine's own trouble ----------------------------------------------------------------


def test_full_disk_does_not_try_other_sources(server, checkpoint, body, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 0))
    spec = checkpoint(server.add("/a.tgz", body), body, mirrors=[server.add("/b.tgz", body)])
    with pytest.raises(DownloadError, match="not enough space") as caught:
        hub.fetch(spec)
    assert caught.value.errno == errno.ENOSPC
    assert len(server.requests) == 1


def test_cache_that_cannot_be_made(server, checkpoint, body, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="ZOO_CACHE"):
        hub.fetch(checkpoint(server.add("/net.tar.gz", body), body))


# -- offline -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["ZOO_OFFLINE", "HF_HUB_OFFLINE", None])
def test_offline_uses_no_network(server, checkpoint, body, monkeypatch, variable):
    if variable:
        monkeypatch.setenv(variable, "1")
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    with pytest.raises(OfflineError) as caught:
        hub.fetch(spec, offline=None if variable else True)
    text = str(caught.value)
    assert "net.tag" in text and "tf1_ckpt" in text and "/net.tar.gz" in text
    assert server.requests == []


def test_offline_argument_overrules_the_environment(server, checkpoint, body, monkeypatch):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    assert hub.fetch(spec, offline=False).path.read_bytes() == body


def test_file_put_into_the_cache_by_hand_is_verified_and_taken(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    with pytest.raises(OfflineError) as caught:
        hub.fetch(spec, offline=True)
    place = str(caught.value).split("is looked for at ")[1].split("\n")[0]
    os.makedirs(os.path.dirname(place))
    with open(place, "wb") as file:
        file.write(body[1:])
    with pytest.raises(OfflineError):
        hub.fetch(spec, offline=True)
    with open(place, "wb") as file:
        file.write(body)
    assert str(hub.fetch(spec, offline=True).path) == place


def test_local_files_serve_offline(checkpoint, tmp_path, body):
    path = tmp_path / "net.ckpt"
    path.write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    source = file_source(path, size=len(body), algorithm="sha256", digest=digest)
    spec = CheckpointSpec("net", "tag", (source,))
    assert hub.fetch(spec, offline=True).path == path
    path.write_bytes(body[:-1] + b"?")
    with pytest.raises(DownloadError, match="not the published file"):
        hub.fetch(spec, offline=False)


# -- the cached file changes -------------------------------------------------------------------


def test_damaged_cached_file_is_fetched_again(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    path = hub.fetch(spec).path
    damaged = bytearray(body)
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(1, 1))
    with pytest.raises(OfflineError):
        hub.fetch(spec, offline=True)
    assert hub.fetch(spec).path.read_bytes() == body


def test_touched_file_is_read_again_and_kept(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    path = hub.fetch(spec).path
    os.utime(path, ns=(1, 1))
    hub.fetch(spec)
    assert len(server.requests) == 1
    assert json.loads((path.parent / "net.tar.gz.json").read_text())["mtime_ns"] == 1


def test_corrected_hash_in_the_registry_throws_the_old_file_away(server, checkpoint, body):
    url = server.add("/net.tar.gz", body)
    hub.fetch(checkpoint(url, body))
    server.add("/net.tar.gz", body + b"new")
    assert hub.fetch(checkpoint(url, body + b"new")).path.read_bytes() == body + b"new"


# -- recorded on first use ---------------------------------------------------------------------


def test_first_use_is_recorded_and_enforced(server, checkpoint, body, left_behind):
    url = server.add("/net.tar.gz", body)
    spec = checkpoint(url, None)
    path = hub.fetch(spec).path
    record = json.loads((path.parent / "net.tar.gz.json").read_text())
    assert record["first_use"] and record["size"] == len(body)
    assert record["hashes"] == {"sha256": hashlib.sha256(body).hexdigest()}

    path.unlink()
    other = body[:-1] + b"?"
    server.add("/net.tar.gz", other, etag='"v2"')
    with pytest.raises(HashMismatchError) as caught:
        hub.fetch(spec)
    text = str(caught.value)
    assert hashlib.sha256(body).hexdigest() in text and hashlib.sha256(other).hexdigest() in text
    assert "net.tar.gz.json" in text
    assert left_behind() == ["net.tar.gz.json"]

    server.add("/net.tar.gz", body + b"longer", etag='"v3"')
    with pytest.raises(HashMismatchError, match=f"{len(body) + 6} bytes"):
        hub.fetch(spec)

    (path.parent / "net.tar.gz.json").unlink()
    assert hub.fetch(spec).path.read_bytes() == body + b"longer"


def test_record_of_first_use_survives_pruning(server, checkpoint, body):
    spec = checkpoint(server.add("/net.tar.gz", body), None)
    hub.fetch(spec)
    assert hub.prune() == len(body)
    server.add("/net.tar.gz", b"?" + body[1:], etag='"v2"')
    with pytest.raises(HashMismatchError):
        hub.fetch(spec)


# -- many processes ----------------------------------------------------------------------------

PROCESS = """
import hashlib, sys
from zoo import hub
from zoo.registry import CheckpointSpec, SourceSpec
source = SourceSpec("https", {"url": sys.argv[1]}, None, None, "sha256", sys.argv[2])
path = hub.fetch(CheckpointSpec("net", "tag", (source,))).path
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def start(url, digest):
    command = [sys.executable, "-c", PROCESS, url, digest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_eight_processes_make_one_download(server, body):
    import threading

    gate = threading.Event()
    digest = hashlib.sha256(body).hexdigest()
    url = server.add("/net.tar.gz", body, gate=gate)
    processes = [start(url, digest) for _ in range(8)]
    time.sleep(2)  # all of them are there before the first one can finish
    gate.set()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [out.strip() for out, _ in outputs] == [digest] * 8
    assert len(server.requests) == 1
    assert any("waiting" in err for _, err in outputs)


@pytest.mark.slow
def test_killed_process_frees_the_lock(server, body, cache):
    import threading

    gate = threading.Event()
    url = server.add("/net.tar.gz", body, gate=gate)
    process = start(url, hashlib.sha256(body).hexdigest())
    deadline = time.monotonic() + 20
    while not list(cache.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    gate.set()
    source = SourceSpec(
        "https", {"url": url}, None, None, "sha256", hashlib.sha256(body).hexdigest()
    )
    spec = CheckpointSpec("net", "tag", (source,))
    assert hub.fetch(spec).path.read_bytes() == body
