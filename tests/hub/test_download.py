"""zoo.hub.download against a web server on this machine that misbehaves.

The expected bytes and hashes are those that the test itself put on the server (hashlib).
"""

import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import pytest
from interrupts import heed_interrupts

from zoo.errors import DownloadError, HashMismatchError
from zoo.hub import download as module
from zoo.hub.download import download, shown
from zoo.hub.verify import Expected


def sha256(data):
    return Expected(len(data), "sha256", hashlib.sha256(data).hexdigest())


@pytest.fixture
def target(tmp_path):
    return tmp_path / "files" / "net.tar.gz"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "md5"])
def test_file_arrives_whole_and_verified(server, target, body, algorithm):
    url = server.add("/net.tar.gz", body)
    digest = hashlib.new(algorithm, body).hexdigest()
    found = download(url, target, expected=Expected(None, algorithm, digest))
    assert target.read_bytes() == body
    assert names(target.parent) == ["net.tar.gz"]
    assert found.size == len(body)
    assert found.hashes["sha256"] == hashlib.sha256(body).hexdigest()
    assert found.hashes[algorithm] == digest


def test_wrong_bytes_are_an_error_and_leave_nothing(server, target, body):
    url = server.add("/net.tar.gz", b"x" + body[1:])
    with pytest.raises(HashMismatchError) as caught:
        download(url, target, expected=sha256(body))
    assert hashlib.sha256(body).hexdigest() in str(caught.value)
    assert hashlib.sha256(b"x" + body[1:]).hexdigest() in str(caught.value)
    assert names(target.parent) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("sends_length", [True, False])
def test_wrong_size_is_an_error_before_all_of_it_is_taken(server, target, body, sends_length):
    url = server.add("/net.tar.gz", body * 5, sends_length=sends_length)
    with pytest.raises(HashMismatchError, match="bytes"):
        download(url, target, expected=sha256(body))
    assert names(target.parent) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_troubles_are_tried_again(server, target, body, status):
    url = server.add("/net.tar.gz", body, statuses=[status, status])
    download(url, target, expected=sha256(body))
    assert target.read_bytes() == body
    assert len(server.requests) == 3


def test_retry_after_is_waited_for(server, target, body):
    url = server.add("/net.tar.gz", body, statuses=[429], headers={"Retry-After": "1"})
    begun = time.monotonic()
    download(url, target, expected=sha256(body))
    assert time.monotonic() - begun >= 1


def test_lasting_trouble_ends_in_an_error(server, target, body):
    url = server.add("/net.tar.gz", body, statuses=[503] * 100)
    with pytest.raises(DownloadError, match="503"):
        download(url, target, expected=sha256(body))
    assert len(server.requests) == module.TRIES
    assert not target.exists()


def test_missing_file_is_not_tried_again(server, target):
    with pytest.raises(DownloadError, match="404"):
        download(server.root + "/no.tar.gz", target)
    assert len(server.requests) == 1


def test_broken_connections_are_resumed_where_they_stopped(server, target, body):
    # More breaks than tries: what counts is that every try brings something.
    url = server.add("/net.tar.gz", body, break_after=[300_000] * 8)
    download(url, target, expected=sha256(body))
    assert target.read_bytes() == body
    offsets = [int(h.get("Range", "bytes=0-")[6:-1]) for _, h in server.requests]
    assert offsets == sorted(offsets) and offsets[-1] > 2_000_000
    assert len(offsets) == 9


def test_server_without_range_starts_again(server, target, body):
    url = server.add("/net.tar.gz", body, ranges=False, break_after=[1_000_000])
    download(url, target, expected=sha256(body))
    assert target.read_bytes() == body
    assert "Range" in server.requests[1][1]


def test_server_that_always_breaks_at_the_same_place_is_given_up(server, target, body):
    url = server.add("/net.tar.gz", body, ranges=False, break_after=[1_000_000] * 50)
    with pytest.raises(DownloadError, match="in a row"):
        download(url, target, expected=sha256(body))
    assert len(server.requests) <= module.TRIES + 1
    assert names(target.parent) == ["net.tar.gz.part", "net.tar.gz.part.json"]


def test_broken_chunks_without_length_are_caught_by_the_hash(server, target, body):
    url = server.add("/net.tar.gz", body, sends_length=False, break_after=[1000])
    download(url, target, expected=sha256(body))
    assert target.read_bytes() == body


def test_part_of_another_file_is_thrown_away(server, target, body):
    target.parent.mkdir()
    (target.parent / "net.tar.gz.part").write_bytes(b"y" * 1000)
    url = server.add("/net.tar.gz", body)
    download(url, target, expected=sha256(body))
    assert target.read_bytes() == body


def test_without_a_hash_only_the_same_version_is_resumed(server, target, body):
    url = server.add("/net.tar.gz", body, break_after=[1_000_000, *[0] * 50])
    with pytest.raises(DownloadError):
        download(url, target)
    changed = bytes(reversed(body))
    server.add("/net.tar.gz", changed, etag='"v2"')
    download(url, target)
    assert target.read_bytes() == changed


def test_whole_part_is_taken_without_fetching_it_again(server, target, body):
    target.parent.mkdir()
    (target.parent / "net.tar.gz.part").write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    url = server.add("/net.tar.gz", body)
    download(url, target, expected=Expected(None, "sha256", digest))
    assert target.read_bytes() == body
    assert len(server.requests) == 1


def test_empty_file(server, target):
    assert download(server.add("/net.tar.gz", b""), target).size == 0
    assert target.read_bytes() == b"" and names(target.parent) == ["net.tar.gz"]


def test_compressed_body_is_stored_as_sent(server, target):
    import gzip

    packed = gzip.compress(b"tensor" * 1000)
    url = server.add("/net.tar.gz", packed, headers={"Content-Encoding": "gzip"})
    download(url, target, expected=sha256(packed))
    assert target.read_bytes() == packed


PROCESS = """
import sys
from pathlib import Path
from zoo.hub.download import download
download(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_killed_process_leaves_no_file_and_the_next_one_resumes(server, target, body, kill):
    import threading

    gate = threading.Event()
    url = server.add("/net.tar.gz", body, gate=gate)
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, url, str(target)],
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    )
    part = target.parent / "net.tar.gz.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(kill)
    assert process.wait(120) != 0
    gate.set()
    assert not target.exists()
    stopped_at = part.stat().st_size
    download(url, target)
    assert target.read_bytes() == body
    assert server.requests[-1][1]["Range"] == f"bytes={stopped_at}-"


def test_too_little_space_is_told_before_anything_is_written(server, target, body, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1000))
    url = server.add("/net.tar.gz", body)
    with pytest.raises(DownloadError, match="not enough space") as caught:
        download(url, target, expected=sha256(body))
    assert caught.value.errno is not None
    assert "3.0 MB" in str(caught.value)
    assert not target.exists()


def test_full_disk_is_one_clear_error(server, target, body, monkeypatch):
    class FullDisk(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(path, mode):
        return FullDisk() if str(path).endswith(".part") else open(path, mode)

    monkeypatch.setattr(module, "open", full, raising=False)
    url = server.add("/net.tar.gz", body)
    with pytest.raises(DownloadError, match="not enough space") as caught:
        download(url, target, expected=sha256(body))
    assert caught.value.errno == errno.ENOSPC
    assert len(server.requests) == 1
    assert not target.exists()


def test_folder_that_cannot_be_written_to(server, tmp_path, body):
    (tmp_path / "file").write_text("in the way")
    url = server.add("/net.tar.gz", body)
    with pytest.raises(DownloadError, match="ZOO_CACHE") as caught:
        download(url, tmp_path / "file" / "net.tar.gz")
    assert caught.value.errno is not None


def test_no_network_fails_fast(target):
    begun = time.monotonic()
    with pytest.raises(DownloadError, match="not known"):
        download("https://no-such-host.invalid/net.tar.gz", target)
    assert time.monotonic() - begun < 5
    with pytest.raises(DownloadError, match="refused"):
        download("http://127.0.0.1:9/net.tar.gz", target)


def test_redirect_to_plain_http_needs_a_hash(server, target, body, monkeypatch):
    final = server.add("/net.tar.gz", body)
    url = server.add("/start", b"", redirect=final)
    monkeypatch.setattr(module, "is_trusted_transport", lambda address: address == url)
    with pytest.raises(DownloadError, match="plain http"):
        download(url, target)
    download(url, target, expected=sha256(body))


def test_secrets_in_an_address_are_never_told(server, target, body, capfd):
    host = server.root.removeprefix("http://")
    url = f"http://user:hunter2@{host}/net.tar.gz?token=s3cret"
    server.add("/net.tar.gz", body, statuses=[503])
    download(url, target)
    texts = [capfd.readouterr().err]
    dead = "http://user:hunter2@127.0.0.1:9/net.tar.gz?token=s3cret"
    import traceback

    for bad in (dead, url.replace("/net", "/missing")):
        try:
            download(bad, target)
        except DownloadError as error:
            texts.append("".join(traceback.format_exception(error)))
    assert len(texts) == 3
    for text in texts:
        assert text and "hunter2" not in text and "s3cret" not in text
    assert shown(url) == f"http://{host}/net.tar.gz?..."


def test_messages_are_plain_lines_where_stderr_is_no_terminal(server, target, body, capfd):
    url = server.add("/net.tar.gz", body)
    download(url, target)
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "zoo: fetching net.tar.gz (3.0 MB) from 127.0.0.1",
        "zoo: fetched and verified net.tar.gz",
    ]
    target.unlink()
    download(url, target, progress=False)
    assert capfd.readouterr().err == ""


def test_missing_certificate_file_is_named(target, monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(DownloadError, match="REQUESTS_CA_BUNDLE"):
        download("https://127.0.0.1:9/net.tar.gz", target)
