"""A web server on this machine that misbehaves on request, and a cache of its own for each test."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hub_server import HubServer

from zoo.registry import CheckpointSpec, SourceSpec


@dataclass
class Page:
    """What one path of the server gives.

    Attributes:
        statuses: answered first, one a request, before the body is given.
        break_after: bytes sent before the connection is cut, one entry a request.
        ranges: whether Range is honoured.
        sends_length: whether Content-Length is sent.
        gate: if set, the answer waits for it after half of the body.
    """

    body: bytes
    statuses: list[int] = field(default_factory=list)
    break_after: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"v1"'
    sends_length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    gate: threading.Event | None = None


class Server:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"server_state": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # clients that hang up are no news
        self.root = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def add(self, path: str, body: bytes, **page) -> str:
        self.pages[path] = Page(body, **page)
        return self.root + path

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self.server_state.requests.append((self.path, dict(self.headers)))
        page = self.server_state.pages.get(self.path.partition("?")[0])
        if page is None:
            return self.send_error(404)
        if page.redirect:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self.end_headers()
            return None
        if page.statuses:
            self.send_response(page.statuses.pop(0))
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self._body(page)

    def _body(self, page: Page) -> None:
        start = 0
        wanted = self.headers.get("Range")
        fresh = self.headers.get("If-Range") in (None, page.etag)
        if wanted and page.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(page.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(page.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            last = len(page.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(page.body)}")
        else:
            self.send_response(200)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.etag:
            self.send_header("ETag", page.etag)
        if page.sends_length:
            self.send_header("Content-Length", str(len(page.body) - start))
        self.end_headers()
        body = page.body[start:]
        if page.break_after:
            self.wfile.write(body[: page.break_after.pop(0)])
            self.wfile.flush()
            self.connection.close()
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        if page.gate is not None:
            self.wfile.flush()
            page.gate.wait(30)
        self.wfile.write(body[half:])


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, online, with short waits between tries."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    for name in (
        "ZOO_OFFLINE",
        "ZOO_MIRROR",
        "HF_HUB_OFFLINE",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("zoo.hub.download.BACKOFF", 0.01)
    monkeypatch.setattr("zoo.hub.mirror.config_path", lambda: tmp_path / "config.yaml")
    return folder


@pytest.fixture
def the_hub(monkeypatch, tmp_path):
    """A Hub of the test's own, which this process and those that it starts take for the Hub."""
    hub = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    # Read when huggingface_hub is imported, which an earlier test may have done.
    file = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", file)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no_token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def body() -> bytes:
    """Bytes of a checkpoint, to the cache: 3 MB that do not repeat."""
    return np.random.RandomState(0).bytes(3_000_000)


@pytest.fixture
def checkpoint():
    """Makes a CheckpointSpec of one https source: checkpoint(url, body) verifies the bytes."""

    def make(url, published=None, *, mirrors=(), size=None, algorithm="sha256", more=()):
        source = SourceSpec(
            kind="https",
            options={"url": url, "mirrors": tuple(mirrors)},
            member="net.ckpt",
            size=size,
            algorithm=algorithm if published is not None else None,
            digest=hashlib.new(algorithm, published).hexdigest() if published is not None else None,
        )
        return CheckpointSpec("net", "tag", (source, *more))

    return make


@pytest.fixture
def left_behind(cache):
    """Names of what the cache holds, locks aside."""
    return lambda: sorted(
        path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )
