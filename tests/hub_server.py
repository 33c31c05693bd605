"""A small Hugging Face Hub on this machine, for the real huggingface_hub client to talk to.

It speaks the parts of the protocol that are needed to read and to publish a model: information
and file tree, `resolve` with its redirect to a server of big files on another port, ETag and
commit headers, ranges, creating a repository, preupload, the LFS batch API with upload and
verification, and commits. It can be made to misbehave, request by request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BIG = (".safetensors", ".keras", ".npz", ".gz", ".tgz", ".bin", ".data-00000-of-00001", ".h5")
TOKEN = "hf_TokenOfTheTestsThatNobodyMaySee"


@dataclass
class Fault:
    """How the answer to one request goes wrong.

    Attributes:
        status, headers: answered in place of what was asked for.
        cut: bytes of the body after which the connection is closed; negative from its end.
        truncate: the same, but Content-Length goes along with it.
        change: what becomes of the body; its length is told as it is then.
        instead: a body in place of the right one.
        wait: seconds until the second half of the body is sent.
        down: seconds that the whole server is then gone, with `cut`.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    truncate: int | None = None
    change: Callable[[bytes], bytes] | None = None
    instead: bytes | None = None
    wait: float = 0
    down: float = 0


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # newest last
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, changes: dict[str, bytes | None], branch="main", message="") -> str:
        """Add a commit with files changed, or deleted where None; gives its name."""
        files = dict(self.commits.get(self.branches.get(branch, ""), {}))
        files.update(changes)
        files = {path: content for path, content in files.items() if content is not None}
        listing = json.dumps([sorted((p, blob_id(c)) for p, c in files.items()), len(self.commits)])
        commit = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        self.messages.append(message)
        return commit

    def resolve(self, revision: str) -> str | None:
        found = self.branches.get(revision, revision)
        return found if found in self.commits else None


def blob_id(content: bytes) -> str:
    """git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_big(path: str) -> bool:
    return path.endswith(BIG)


class HubServer:
    """The Hub at `endpoint`, and beside it the server of big files."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}  # big files by sha256
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[
            tuple[str, str, dict[str, str]]
        ] = []  # method, path, lower-case headers
        self.tokens = {TOKEN}
        self.needs_token = False  # for everything, as where a token has expired
        self.lock = threading.Lock()
        self.ports = [0, 0]
        self.servers: list[ThreadingHTTPServer] = []
        self.start()

    def start(self) -> None:
        """Again on the same ports, if it has run before."""
        for index in range(2):
            handler = type("Handler", (_Handler,), {"hub": self, "serves_big": index == 1})
            http = _Server(("127.0.0.1", self.ports[index]), handler)
            self.ports[index] = http.server_port
            self.servers.append(http)
            threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        for http in self.servers:
            http.shutdown()
            http.server_close()
        self.servers.clear()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def big_files(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    def add(self, name: str, files: dict[str, bytes], **rest) -> str:
        """Add files to a repository, made if need be; gives the commit."""
        repository = self.repositories.setdefault(name, Repository(**rest))
        for path, content in files.items():
            if is_big(path):
                self.objects[hashlib.sha256(content).hexdigest()] = content
        return repository.commit(files)

    def fail(self, path: str, *faults: Fault) -> None:
        """The next requests whose path has `path` in it go wrong, each in its way."""
        self.faults += [(path, fault) for fault in faults]

    def asked(self, path: str) -> list[tuple[str, str, dict[str, str]]]:
        return [request for request in self.requests if path in request[1]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *args) -> None:
        pass  # clients that hang up are no news


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    serves_big: bool

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    # -- Which request it is -------------------------------------------------------------------

    def _serve(self) -> None:
        body = self._received()
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.hub.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.hub.requests.append((self.command, path, headers))
            self.fault = self._fault(path)
        if self.fault.status is not None:
            return self._answer(self.fault.status, b"", self.fault.headers)
        if self.serves_big:
            return self._big(path, body)
        if self.hub.needs_token and not self._known():
            return self._error(401, "", "Invalid credentials in Authorization header")
        query = parse_qs(parts.query)
        for pattern, method in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                return getattr(self, method)(body, query, **match.groupdict())
        return self._error(404, "", "no such page")

    def _fault(self, path: str) -> Fault:
        for index, (part, fault) in enumerate(self.hub.faults):
            if part in path:
                del self.hub.faults[index]
                return fault
        return Fault()

    def _received(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _known(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.tokens

    def _repository(self, name: str) -> Repository | None:
        """None after an error has been answered."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._known()):
            self._error(404 if self._known() else 401, "RepoNotFound", "Repository not found")
            return None
        if repository.gated:
            self._error(403, "GatedRepo", "Access to this model is restricted.")
            return None
        return repository

    def _files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self._repository(name)
        if repository is None:
            return None
        commit = repository.resolve(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit, repository.commits[commit]

    # -- Reading -------------------------------------------------------------------------------

    def info(self, body, query, name, revision="main") -> None:
        found = self._files(name, revision or "main")
        if found is None:
            return
        commit, files = found
        siblings = [{"rfilename": path, **_facts(path, files[path])} for path in sorted(files)]
        self._json({"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})

    def tree(self, body, query, name, revision, folder="") -> None:
        if found := self._files(name, revision):
            self._json([_entry(path, content) for path, content in sorted(found[1].items())])

    def paths(self, body, query, name, revision) -> None:
        wanted = parse_qs(body.decode()).get("paths") or json.loads(body or b"{}").get("paths", [])
        if found := self._files(name, revision):
            files = {path: found[1][path] for path in wanted if path in found[1]}
            self._json([_entry(path, content) for path, content in files.items()])

    def resolve(self, body, query, name, revision, path) -> None:
        found = self._files(name, revision)
        if found is None:
            return
        commit, files = found
        if path not in files:
            return self._error(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not is_big(path):
            headers["ETag"] = f'"{blob_id(files[path])}"'
            return self._content(files[path], headers)
        digest = hashlib.sha256(files[path]).hexdigest()
        headers["X-Linked-ETag"] = f'"{digest}"'
        headers["X-Linked-Size"] = str(len(files[path]))
        headers["Location"] = f"{self.hub.big_files}/{digest}?signature=s3cret"
        self._answer(302, b"", headers)

    # -- Big files -----------------------------------------------------------------------------

    def _big(self, path: str, body: bytes) -> None:
        digest = path.strip("/")
        if self.command == "PUT":
            if hashlib.sha256(body).hexdigest() != digest:
                return self._answer(400, b"the content has another sha256", {})
            self.hub.objects[digest] = body
            return self._answer(200, b"", {"ETag": f'"{digest}"'})
        if digest not in self.hub.objects:
            return self._answer(404, b"", {})
        self._content(self.hub.objects[digest], {"ETag": f'"{digest}"'})

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        content = self.fault.change(content) if self.fault.change else content
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range") in (None, headers.get("ETag"))
        if wanted and fresh and int(wanted[1]) >= len(content):
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        if wanted and fresh:
            status, start = 206, int(wanted[1])
            end = min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content = content[: end + 1]
        self._answer(status, content[start:], headers)

    # -- Publishing ----------------------------------------------------------------------------

    def create(self, body, query) -> None:
        if not self._known():
            return self._error(401, "", "Invalid username or password.")
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.hub.repositories:
            return self._json({"url": f"{self.hub.endpoint}/{name}"}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[name] = Repository(private=private)
        self.hub.repositories[name].commit({".gitattributes": b""}, message="initial commit")
        self._json({"url": f"{self.hub.endpoint}/{name}", "name": name})

    def branch(self, body, query, name, revision) -> None:
        if not (repository := self._writable(name)):
            return
        if revision in repository.branches:
            return self._error(409, "", "Reference already exists")
        start = json.loads(body or b"{}").get("startingPoint") or "main"
        repository.branches[revision] = repository.resolve(start)
        self._json({})

    def whoami(self, body, query) -> None:
        if not self._known():
            return self._error(401, "", "Invalid credentials in Authorization header")
        self._json({"name": "me", "type": "user", "orgs": []})

    def yaml(self, body, query) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, body, query, name, revision) -> None:
        if not (repository := self._writable(name)):
            return
        if repository.resolve(revision) is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_big(file["path"]) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def batch(self, body, query, name) -> None:
        if not self._writable(name):
            return
        objects = []
        for one in json.loads(body)["objects"]:
            upload = {"href": f"{self.hub.big_files}/{one['oid']}"}
            verify = {"href": f"{self.hub.endpoint}/{name}.git/info/lfs/verify"}
            known = one["oid"] in self.hub.objects
            actions = {} if known else {"actions": {"upload": upload, "verify": verify}}
            objects.append({**one, **actions})
        self._json({"transfer": "basic", "objects": objects})

    def verify(self, body, query, name) -> None:
        asked = json.loads(body)
        stored = self.hub.objects.get(asked["oid"])
        self._answer(200 if stored is not None and len(stored) == asked["size"] else 404, b"", {})

    def commit(self, body, query, name, revision) -> None:
        if not (repository := self._writable(name)):
            return
        lines = [json.loads(line) for line in body.splitlines()]
        changes: dict[str, bytes | None] = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    return self._error(400, "", "LFS pointer pointed to a file that does not exist")
                changes[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                changes[value["path"]] = None
        header = lines[0]["value"]
        parent = header.get("parentCommit")
        if parent is not None and parent != repository.resolve(revision):
            return self._error(
                412, "", "A commit has happened since. Please refresh and try again."
            )
        commit = repository.commit(changes, revision, header["summary"])
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        self._json({"success": True, "commitUrl": url, "commitOid": commit, "hookOutput": ""})

    def _writable(self, name: str) -> Repository | None:
        if not self._known():
            self._error(401, "", "Invalid username or password.")
            return None
        return self._repository(name)

    # -- Answers -------------------------------------------------------------------------------

    def _json(self, value, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        headers |= {"X-Error-Code": code} if code else {}
        self._answer(status, json.dumps({"error": message}).encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        fault = self.fault
        if fault.instead is not None:
            body = fault.instead
        if fault.truncate is not None:
            body = body[: fault.truncate]
        self.send_response_only(status)
        if "Date" not in headers:
            self.send_header("Date", self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.down:
            self.hub.stop()
            threading.Timer(fault.down, self.hub.start).start()
        if fault.cut is not None:
            self.wfile.write(body[: fault.cut])
            self.wfile.flush()
            self.connection.close()
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        if fault.wait:
            self.wfile.flush()
            time.sleep(fault.wait)
        self.wfile.write(body[half:])


_REPO = r"(?P<name>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>refs/[^/]+/[^/]+|[^/]+)"
_ROUTES = (  # pattern of the path -> the method that serves it
    (rf"/api/models/{_REPO}", "info"),
    (rf"/api/models/{_REPO}/revision/(?P<revision>.+)", "info"),
    (rf"/api/models/{_REPO}/tree/{_REVISION}(?:/(?P<folder>.*))?", "tree"),
    (rf"/api/models/{_REPO}/paths-info/{_REVISION}", "paths"),
    (rf"/api/models/{_REPO}/preupload/{_REVISION}", "preupload"),
    (rf"/api/models/{_REPO}/commit/{_REVISION}", "commit"),
    (rf"/api/models/{_REPO}/branch/{_REVISION}", "branch"),
    (rf"/{_REPO}/resolve/{_REVISION}/(?P<path>.+)", "resolve"),
    (rf"/{_REPO}\.git/info/lfs/objects/batch", "batch"),
    (rf"/{_REPO}\.git/info/lfs/verify", "verify"),
    (r"/api/repos/create", "create"),
    (r"/api/validate-yaml", "yaml"),
    (r"/api/whoami-v2", "whoami"),
)


def _facts(path: str, content: bytes) -> dict:
    facts: dict = {"size": len(content), "blobId": blob_id(content)}
    if is_big(path):
        digest = hashlib.sha256(content).hexdigest()
        facts["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return facts


def _entry(path: str, content: bytes) -> dict:
    entry: dict = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if is_big(path):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry
