"""One address -> one verified file: resumed, retried, and in place only when it is whole."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from zoo.errors import DownloadError, HashMismatchError, ZooError
from zoo.hub.progress import bytes_text, say, transfer
from zoo.hub.verify import Expected, Fingerprint
from zoo.registry import is_trusted_transport

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # in a row without a byte gained
BACKOFF = 0.5  # seconds before the second try; doubled each time
LONGEST_WAIT = 30.0  # seconds, whatever Retry-After asks for
LARGEST = 1 << 36  # bytes taken from a server that does not say how many it will send
USER_AGENT = "zoo"
RETRIED_STATUSES = (408, 429, 500, 502, 503, 504)
_CHUNK = 1 << 18
_T = TypeVar("_T")


class TryAgain(Exception):
    """A try failed in a way that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _NobodyThere(DownloadError):
    """The server does not take connections: it is not there, or it is being started again."""


def shown(url: str) -> str:
    """The address without what may be secret: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?...' if parts.query else ''}"


def part_path(target: Path) -> Path:
    """Where the bytes of an unfinished download of `target` stay."""
    return target.with_name(target.name + ".part")


def download(
    url: str,
    target: Path,
    *,
    expected: Expected | None = None,
    headers: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Fingerprint:
    """Fetch `url` into `target`, which appears only once it is whole and verified.

    An interrupted download leaves `<target>.part`, and the next call goes on from there. The
    caller sees to it that no second process fetches the same target.

    Args:
        headers: sent with every request; `Authorization` only to the host of `url`, wherever
            it redirects to.

    Raises:
        HashMismatchError: the file is not the expected one; nothing of it is kept.
        DownloadError: it could not be fetched. `errno` is set if this machine is at fault
            (no space, no permission), so that another address would not help.
    """
    expected = expected or Expected()
    part = part_path(target)
    with local_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        while True:
            resumed = _fetch(url, part, target.name, expected, headers or {}, progress) > 0
            try:
                fingerprint = expected.check(part, f"{target.name} from {shown(url)}")
            except HashMismatchError:
                _forget(part)
                if not resumed:
                    raise
                say(f"the resumed {target.name} is not right; starting again", progress)
                continue
            os.replace(part, target)
            _forget(part)
            say(f"fetched and verified {target.name}", progress)
            return fingerprint


@contextmanager
def local_errors(target: Path) -> Iterator[None]:
    """Turn this machine's own troubles with files into one clear DownloadError."""
    try:
        yield
    except ZooError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(target) from error
        raise _local(
            error.errno or errno.EIO,
            f"{target.name} cannot be stored in {target.parent}: {error.strerror or error}.",
            next_step="Set ZOO_CACHE to a folder that you may write to.",
        ) from error


def no_space(target: Path, needed: int | None = None) -> DownloadError:
    return _local(
        errno.ENOSPC,
        f"There is not enough space in {target.parent} for {target.name}.",
        received=f"{bytes_text(shutil.disk_usage(target.parent).free)} free",
        accepted=None if needed is None else f"{bytes_text(needed)} more",
        next_step="Free some space, or set ZOO_CACHE to a folder on another disk; "
        "what has been fetched so far is kept and resumed.",
    )


def _local(number: int, what: str, **rest) -> DownloadError:
    error = DownloadError(what, **rest)
    error.errno = number
    return error


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


# -- Tries -------------------------------------------------------------------------------------


def _fetch(
    url: str, part: Path, name: str, expected: Expected, headers: Mapping, progress: bool
) -> int:
    """Fill `part` from `url`; as many tries as it takes while bytes keep coming.

    Returns how many bytes an earlier try had brought when the last one began.
    """
    start = _length(part)

    def once() -> int:
        try:
            return _try(url, part, name, expected, headers, progress)
        except _NobodyThere:
            if _length(part) <= start:
                raise
            # It was there a moment ago, and so may be again.
            raise TryAgain(f"{urlsplit(url).hostname} refuses the connection") from None

    return persist(once, f"{shown(url)}: ", name, progress, lambda: _length(part))


def persist(
    attempt: Callable[[], _T],
    where: str,
    name: str,
    progress: bool,
    reached: Callable[[], int] = lambda: 0,
) -> _T:
    """The result of `attempt`, called anew, after longer and longer waits, on a TryAgain.

    Args:
        where, name: how messages begin, and what they call that which is fetched.
        reached: bytes had so far; TRIES counts tries that brought none.

    Raises:
        DownloadError: TRIES tries in a row failed.
    """
    failures = 0
    furthest = reached()
    while True:
        try:
            return attempt()
        except TryAgain as failure:
            now = reached()
            failures = 1 if now > furthest else failures + 1
            furthest = max(furthest, now)
            if failures >= TRIES:
                raise DownloadError(
                    f"{where}{failure} ({failures} tries in a row).",
                    next_step="Try again later; what has been fetched is kept and resumed.",
                ) from None
            wait = failure.wait
            if wait is None:
                wait = BACKOFF * 2 ** (failures - 1) * random.uniform(0.8, 1.2)
            wait = min(wait, LONGEST_WAIT)
            say(f"{failure}; trying {name} again in {wait:.1f} s", progress)
            time.sleep(wait)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _try(
    url: str, part: Path, name: str, expected: Expected, headers: Mapping, progress: bool
) -> int:
    import requests
    import urllib3

    offset, resuming = _resume_point(url, part, expected)
    try:
        with requests.get(
            url,
            headers={**headers, **resuming},
            stream=True,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            verify=ca_bundle(),
        ) as response:
            offset, total = _begin(response, url, offset, part, expected)
            if 0 < offset == total:
                return offset
            _check_space(part, total, offset)
            host = urlsplit(url).hostname or ""
            with transfer(name, host, offset, total, progress) as advance:
                _write(response, part, name, offset, total, expected, advance)
            return offset
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # Not chained: these messages hold the whole address, secrets included.
        raise network_failure(error, url) from None


def _begin(response, url: str, offset: int, part: Path, expected: Expected):
    """Read the answer's head: where its body starts in the file, and the file's whole size."""
    status = response.status_code
    if status in RETRIED_STATUSES:
        raise TryAgain(
            f"{urlsplit(url).hostname} answered {status} {response.reason}",
            retry_after(response.headers),
        )
    if status == 416:  # there is nothing after `offset`: the part is whole, or wrong
        match = re.match(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if offset and match and int(match[1]) == offset:
            return offset, offset
        _forget(part)
        raise TryAgain("the server cannot resume where the last try stopped", 0.0)
    if status not in (200, 206):
        raise DownloadError(
            f"{shown(url)} answered {status} {response.reason}.",
            next_step="The file may have moved, or needs permission." if status < 500 else None,
        )
    if expected.digest is None and not is_trusted_transport(response.url):
        raise DownloadError(
            f"{shown(url)} leads to plain http, which is not safe without a known hash.",
            received=shown(response.url),
        )
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    if status == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != offset:
            _forget(part)
            raise TryAgain("the server resumed at another place", 0.0)
        total = int(match[2]) if match[2] != "*" else (total + offset if total else None)
    else:
        offset = 0
    _remember(part, url, response.headers.get("ETag"))
    if total is not None and expected.size is not None and total != expected.size:
        _forget(part)
        label = f"{part.stem} from {shown(url)}"
        raise expected.mismatch(label, f"{total} bytes", f"{expected.size} bytes")
    return offset, total


def _write(response, part: Path, name: str, offset: int, total, expected, advance) -> None:
    whole = total if total is not None else expected.size
    limit = LARGEST if whole is None else whole
    written = offset
    with open(part, "r+b" if offset else "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        # The body as it was sent: a .tar.gz must not be unpacked on the way.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            written += len(chunk)
            if written > limit:
                break
            file.write(chunk)
            advance(len(chunk))
    if written > limit:
        _forget(part)
        raise expected.mismatch(name, f"more than {limit} bytes", f"{limit} bytes")
    if whole is not None and written < whole:
        raise TryAgain(f"the connection ended at {bytes_text(written)}")


def _check_space(part: Path, total: int | None, offset: int) -> None:
    needed = 0 if total is None else total - offset
    if needed > shutil.disk_usage(part.parent).free:
        raise no_space(part.with_suffix(""), needed)


# -- Resuming ----------------------------------------------------------------------------------


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, url: str, etag: str | None) -> None:
    state = {"url": shown(url), "etag": etag}
    _state_path(part).write_text(json.dumps(state), encoding="utf-8")


def _resume_point(url: str, part: Path, expected: Expected) -> tuple[int, dict[str, str]]:
    """From which byte to go on, and the request's headers.

    With a known hash any server may go on with what another one began. Without it, only the
    same address with the same ETag may, else two versions of a file could be glued together.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    offset = part.stat().st_size if part.exists() else 0
    if not offset:
        return 0, headers
    try:
        state = json.loads(_state_path(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    etag = state.get("etag") if state.get("url") == shown(url) else None
    strong = bool(etag) and not etag.startswith("W/")
    too_long = expected.size is not None and offset > expected.size
    if too_long or not (strong or expected.digest):
        _forget(part)
        return 0, headers
    headers["Range"] = f"bytes={offset}-"
    if strong:
        headers["If-Range"] = etag
    return offset, headers


# -- The network -------------------------------------------------------------------------------


def ca_bundle() -> str | bool:
    """The certificates to trust: those that the environment names, else requests' own."""
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT"):
        if path := os.environ.get(variable):
            if not os.path.exists(path):
                raise DownloadError(f"{variable} names a file that is not there.", received=path)
            return path
    return True


def network_failure(error: Exception, url: str) -> Exception:
    """A DownloadError where trying again is of no use, else a TryAgain. Holds no secret."""
    import requests

    host = urlsplit(url).hostname
    chain = [type(cause).__name__ for cause in _causes(error)]
    what, next_step = None, "Check the network connection and the proxy settings."
    if "NameResolutionError" in chain:
        what = f"the host {host} is not known (is there a network?)"
    elif "ConnectTimeoutError" in chain or isinstance(error, requests.ConnectTimeout):
        what = f"{host} did not answer within {CONNECT_TIMEOUT:.0f} s"
    elif "ProxyError" in chain:
        what = f"the proxy on the way to {host} did not serve"
    elif "SSLError" in chain:
        what = f"the certificate of {host} is not trusted"
        next_step = "Name your organisation's certificates in REQUESTS_CA_BUNDLE."
    elif "NewConnectionError" in chain:
        return _NobodyThere(f"{shown(url)}: {host} refused the connection.", next_step=next_step)
    elif isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        what, next_step = "this is no address that can be fetched", None
    elif isinstance(error, requests.TooManyRedirects):
        what, next_step = "the server redirects without end", None
    if what is None:
        timed_out = any("Timeout" in name for name in chain)
        return TryAgain(
            f"{host} stopped answering" if timed_out else f"the connection to {host} broke"
        )
    return DownloadError(f"{shown(url)}: {what}.", next_step=next_step)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it wraps; requests and urllib3 keep them in different places."""
    seen = 0
    while isinstance(error, BaseException) and seen < 10:
        yield error
        seen += 1
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        error = inner


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; None if it does not say.

    It may name a time instead. Then the server's own clock counts, not that of this machine.
    """
    value = (headers.get("Retry-After") or "").strip()
    if value.isdigit():
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
