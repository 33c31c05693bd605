"""One's own mirror: a copy of a cache, in a folder or on a web server.

The expected bytes are those that the test itself put on the servers.
"""

import shutil

import pytest

from zoo import hub
from zoo.errors import ArgumentError, DownloadError, OfflineError
from zoo.hub import mirror


@pytest.fixture
def filled(server, checkpoint, body, cache, tmp_path, the_hub):
    """A cache that has been filled, moved to another place: its folder, and what it is of."""
    spec = checkpoint(server.add("/net.tar.gz", body), body)
    hub.fetch(spec)
    the_hub.add("me/net", {"model.safetensors": body[:1000]})
    hub.local_path("hf://me/net")
    folder = tmp_path / "mirror"
    shutil.move(cache, folder)
    return folder, spec


@pytest.fixture(params=["folder", "web", "file of settings"])
def mirrored(request, filled, server, monkeypatch, tmp_path):
    folder, spec = filled
    place = str(folder)
    if request.param == "web":
        for path in folder.rglob("*"):
            if path.is_file():
                server.add(f"/mirror/{path.relative_to(folder)}", path.read_bytes())
        place = f"{server.root}/mirror/"
    if request.param == "file of settings":
        (tmp_path / "config.yaml").write_text(f"mirror: {place}\n")
    else:
        monkeypatch.setenv("ZOO_MIRROR", place)
    return spec


def test_mirror_is_tried_first(mirrored, server, body):
    del server.pages["/net.tar.gz"]
    asked = len(server.requests)
    assert hub.fetch(mirrored).path.read_bytes() == body
    assert all(path.startswith("/mirror/") for path, _ in server.requests[asked:])
    (entry,) = hub.list_cached()
    assert "mirror" in entry.source


def test_mirror_serves_the_hubs_files_and_their_commits(mirrored, the_hub, body):
    the_hub.stop()
    with open(hub.local_path("hf://me/net"), "rb") as file:
        assert file.read() == body[:1000]


def test_folder_serves_offline(filled, monkeypatch, body):
    folder, spec = filled
    monkeypatch.setenv("ZOO_MIRROR", str(folder))
    assert hub.fetch(spec, offline=True).path.read_bytes() == body
    assert hub.local_path("hf://me/net", offline=True)


def test_mirror_on_the_web_is_not_asked_offline(filled, monkeypatch, server):
    monkeypatch.setenv("ZOO_MIRROR", f"{server.root}/mirror")
    asked = len(server.requests)
    with pytest.raises(OfflineError):
        hub.fetch(filled[1], offline=True)
    with pytest.raises(OfflineError):
        hub.local_path("hf://me/net", offline=True)
    assert len(server.requests) == asked


def test_wrong_file_on_the_mirror_is_told_and_passed_over(filled, monkeypatch, body, capfd):
    folder, spec = filled
    (path,) = folder.rglob("net.tar.gz")
    path.write_bytes(body[1:])
    monkeypatch.setenv("ZOO_MIRROR", str(folder))
    assert hub.fetch(spec).path.read_bytes() == body
    assert "the mirror does not serve" in capfd.readouterr().err


@pytest.mark.parametrize("place", ["folder", "web", "nowhere"])
def test_mirror_without_the_file(server, checkpoint, body, monkeypatch, tmp_path, place):
    places = {"folder": str(tmp_path), "web": f"{server.root}/none", "nowhere": "/no/such/folder"}
    monkeypatch.setenv("ZOO_MIRROR", places[place])
    assert hub.fetch(checkpoint(server.add("/a.tgz", body), body)).path.read_bytes() == body


def test_plain_http_mirror_serves_published_hashes_alone(server, checkpoint, body, monkeypatch):
    monkeypatch.setattr("zoo.hub.download.is_trusted_transport", lambda url: "/mirror" not in url)
    monkeypatch.setattr("zoo.hub.mirror.is_trusted_transport", lambda url: "/mirror" not in url)
    url = server.add("/net.tar.gz", body)
    for spec in (checkpoint(url, body), checkpoint(url, None)):
        hub.fetch(spec)
        (path,) = (entry.path for entry in hub.list_cached())
        server.add(f"/mirror/{path.relative_to(hub.cache_dir())}", body)
        hub.prune(forget=True)
        monkeypatch.setenv("ZOO_MIRROR", f"{server.root}/mirror")
        hub.fetch(spec)
        (entry,) = hub.list_cached()
        assert ("mirror" in entry.source) is (spec.sources[0].digest is not None)
        hub.prune(forget=True)
        monkeypatch.delenv("ZOO_MIRROR")
    assert mirror.read_text("pins/x.json", offline=False) is None


@pytest.mark.parametrize("text", ["mirror: [", "mirrors: /a", "just text", "- /a"])
def test_settings_that_cannot_be_understood(tmp_path, server, checkpoint, body, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ArgumentError, match="config.yaml cannot be understood"):
        hub.fetch(checkpoint(server.add("/a.tgz", body), body))


def test_mirror_that_cannot_be_written_from_leaves_nothing(filled, monkeypatch, left_behind, body):
    folder, spec = filled
    monkeypatch.setenv("ZOO_MIRROR", str(folder))

    def full(source, target):
        with open(target, "wb") as file:
            file.write(body[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(DownloadError, match="not enough space"):
        hub.fetch(spec)
    assert left_behind() == []
