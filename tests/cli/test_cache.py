import json

import pytest

from zoo.cli import errors
from zoo.hub.cache import Slot
from zoo.hub.verify import Expected
from zoo.registry import SourceSpec


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with one file of each of two checkpoints; name -> path."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    paths = {}
    for name, size in (("net_a.one", 1000), ("net_b.two", 20)):
        source = SourceSpec("https", {"url": f"https://example.org/{name}"}, digest="00")
        slot = Slot(name, source, "model.ckpt")
        slot.path.parent.mkdir(parents=True)
        slot.path.write_bytes(b"x" * size)
        slot.keep(Expected().check(slot.path, name), "example.org")
        paths[name] = slot.path
    return paths


def names(result):
    return [line.split("\t")[0] for line in result.stdout.splitlines()]


def test_list(run, cache, tmp_path):
    result = run("cache", "list")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("net_a.one", "1000", str(cache["net_a.one"])),
        ("net_b.two", "20", str(cache["net_b.two"])),
    ]
    assert f"2 files (1.0 kB) in {tmp_path / 'cache'}" in result.stderr
    assert names(run("cache", "list", "net_b*")) == ["net_b.two"]


def test_list_json(run, cache):
    files = json.loads(run("cache", "list", "--json").stdout)
    assert [(file["checkpoint"], file["size"]) for file in files] == [
        ("net_a.one", 1000),
        ("net_b.two", 20),
    ]


def test_an_empty_cache(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "none"))
    result = run("cache", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert run("cache", "verify").exit_code == 0
    assert run("cache", "prune").exit_code == 0


def test_verify(run, cache):
    result = run("cache", "verify")
    assert result.exit_code == 0
    assert [line.split("\t")[2] for line in result.stdout.splitlines()] == ["ok", "ok"]


def test_verify_finds_a_damaged_file(run, cache):
    cache["net_b.two"].write_bytes(b"y" * 20)
    result = run("cache", "verify")
    assert result.exit_code == errors.NEGATIVE
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0][2] == "ok" and "recorded" in rows[1][2]
    problems = json.loads(run("cache", "verify", "--json").stdout)
    assert [file["problem"] is None for file in problems] == [True, False]


def test_prune_asks_nobody_where_nobody_is(run, cache):
    result = run("cache", "prune")
    assert result.exit_code == errors.USAGE
    assert "--yes" in result.stderr
    assert all(path.exists() for path in cache.values())


@pytest.mark.parametrize(("answer", "kept"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_prune_asks(run, cache, monkeypatch, answer, kept):
    from zoo.cli import cache as command

    monkeypatch.setattr(command, "is_interactive", lambda: True)
    result = run("cache", "prune", "net_a.*", input=answer)
    assert "Delete 1 file (1.0 kB)" in result.stderr
    assert (result.exit_code == 0) is not kept
    assert cache["net_a.one"].exists() is kept
    assert cache["net_b.two"].exists()


def test_prune_without_asking(run, cache):
    result = run("cache", "prune", "net_a.*", "--yes")
    assert result.exit_code == 0
    assert "freed" in result.stderr
    assert not cache["net_a.one"].exists() and cache["net_b.two"].exists()


def test_prune_of_the_unfinished_keeps_whole_files(run, cache):
    part = cache["net_a.one"].with_name("other.ckpt.part")
    part.write_bytes(b"123")
    result = run("cache", "prune", "--unfinished")
    assert (result.exit_code, result.stderr) == (0, "zoo: freed 3 bytes\n")
    assert not part.exists()
    assert all(path.exists() for path in cache.values())


def test_prune_forgets_what_was_recorded_on_first_use(run, cache):
    source = SourceSpec("https", {"url": "https://example.org/net_c"})
    slot = Slot("net_c.three", source, "model.ckpt")
    slot.path.parent.mkdir(parents=True)
    slot.path.write_bytes(b"x")
    slot.keep(Expected().check(slot.path, "net_c"), "example.org")
    assert run("cache", "prune", "net_c.*", "--yes").exit_code == 0
    assert not slot.path.exists() and slot.record_path.exists()
    assert run("cache", "prune", "net_c.*", "--forget").exit_code == 0
    assert not slot.record_path.parent.exists()
    assert all(path.exists() for path in cache.values())
    assert run("cache", "prune", "--forget", "--unfinished").exit_code == errors.USAGE
