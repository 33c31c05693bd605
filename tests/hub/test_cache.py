"""zoo.hub.cache: where files lie, listing, checking and clearing."""

import os
from pathlib import Path

import pytest

from zoo import hub


@pytest.fixture
def fetched(server, checkpoint, body):
    return hub.fetch(checkpoint(server.add("/net.tar.gz", body), body)).path


def test_cache_dir_is_the_named_one_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "mine"))
    assert hub.cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("ZOO_CACHE", "~/mine")
    assert hub.cache_dir() == Path.home() / "mine"
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.cache_dir().name == "zoo"


@pytest.mark.parametrize("word, offline", [("1", True), ("TRUE", True), ("0", False), ("", False)])
def test_offline_words(monkeypatch, word, offline):
    monkeypatch.setenv("ZOO_OFFLINE", word)
    assert hub.is_offline() is offline


def test_empty_cache():
    assert hub.list_cached() == [] and hub.verify_cached() == [] and hub.prune() == 0


def test_listing(fetched, body):
    (entry,) = hub.list_cached()
    assert (entry.checkpoint, entry.path, entry.size) == ("net.tag", fetched, len(body))
    assert entry.source.endswith("/net.tar.gz") and entry.fetched.endswith("+00:00")
    assert hub.list_cached("net.*") and not hub.list_cached("other.*")


def test_verify_finds_a_flipped_bit_that_size_and_time_hide(fetched, body):
    assert [problem for _, problem in hub.verify_cached()] == [None]
    times = os.stat(fetched)
    damaged = bytearray(body)
    damaged[-1] ^= 1
    fetched.write_bytes(damaged)
    os.utime(fetched, ns=(times.st_atime_ns, times.st_mtime_ns))
    ((_, problem),) = hub.verify_cached()
    assert "sha256" in problem


def test_prune_frees_everything(fetched, body, cache, left_behind):
    assert hub.prune("other.*") == 0 and fetched.exists()
    freed = hub.prune()
    assert freed >= len(body) and left_behind() == []
    assert list(cache.iterdir()) == []


def test_prune_of_unfinished_downloads_keeps_files(fetched, left_behind):
    (fetched.parent / "other.tgz.part").write_bytes(b"1234")
    (fetched.parent / "other.tgz.part.json").write_text("{}")
    assert hub.prune(unfinished_only=True) == 6
    assert left_behind() == ["net.tar.gz", "net.tar.gz.json"]


def test_prune_leaves_what_another_process_fetches(fetched):
    from filelock import FileLock

    with FileLock(f"{fetched}.lock"):
        assert hub.prune() == 0
    assert fetched.exists()


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"size": 1}', "null"])
def test_broken_record_is_made_anew(server, checkpoint, body, record):
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    path = hub.fetch(spec).path
    (path.parent / "net.tar.gz.json").write_text(record)
    hub.fetch(spec)
    assert len(server.requests) == 1 and len(hub.list_cached()) == 1
