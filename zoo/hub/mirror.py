"""One's own mirror: a copy of a cache, in a folder or on a web server, that is tried first.

The environment variable ZOO_MIRROR names it, or `mirror:` in config.yaml in the user's
configuration folder for zoo. Whatever comes from it is verified as from everywhere else.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

from zoo.errors import ArgumentError, DownloadError
from zoo.hub.download import CONNECT_TIMEOUT, READ_TIMEOUT, ca_bundle, download, shown
from zoo.hub.verify import Expected, Fingerprint
from zoo.registry import is_trusted_transport

_LARGEST_TEXT = 1 << 20  # bytes; a pin has a few hundred


def mirror() -> str | None:
    """The base address, or folder, of one's own mirror; None if there is none.

    Raises:
        ArgumentError: the configuration file cannot be understood.
    """
    if given := os.environ.get("ZOO_MIRROR", "").strip():
        return given.rstrip("/")
    given = _configuration().get("mirror")
    return str(given).rstrip("/") if given else None


def config_path() -> Path:
    """The user's configuration file for zoo, which need not be there."""
    import platformdirs

    return Path(platformdirs.user_config_dir("zoo")) / "config.yaml"


def _configuration() -> dict:
    path = config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    import yaml

    try:
        values = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError):
        values = None
    if not isinstance(values, dict) or set(values) - {"mirror"}:
        raise ArgumentError(
            f"{path} cannot be understood.", accepted="`mirror: ADDRESS-OR-FOLDER` and no other key"
        )
    return values


def is_remote(base: str) -> bool:
    return re.match(r"https?://", base) is not None


def retrieve(
    inside: PurePosixPath, target: Path, expected: Expected, offline: bool, progress: bool
) -> tuple[Fingerprint, str] | None:
    """Leave a cache's file at `target`, if the mirror has it; what it is, and where it was.

    Raises:
        DownloadError: the mirror has another file than the expected one, or cannot be reached.
    """
    base = mirror()
    if base is None or (is_remote(base) and offline):
        return None
    if is_remote(base):
        url = f"{base}/{inside}"
        return download(url, target, expected=expected, progress=progress), shown(url)
    path = Path(base).expanduser() / inside
    if not path.is_file():
        return None
    copy = target.with_name(target.name + ".copy")
    try:
        shutil.copyfile(path, copy)
        fingerprint = expected.check(copy, str(path))
        os.replace(copy, target)
    finally:
        copy.unlink(missing_ok=True)
    return fingerprint, str(path)


def read_text(inside: PurePosixPath, offline: bool) -> str | None:
    """A small text file of the mirror's; None if it cannot be had."""
    base = mirror()
    if base is None or (is_remote(base) and offline):
        return None
    if not is_remote(base):
        try:
            return (Path(base).expanduser() / inside).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
    if not is_trusted_transport(f"{base}/"):
        return None
    import requests

    try:
        with requests.get(
            f"{base}/{inside}",
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            verify=ca_bundle(),
            stream=True,
        ) as answer:
            if answer.status_code != 200:
                return None
            return answer.raw.read(_LARGEST_TEXT, decode_content=True).decode()
    except (requests.RequestException, ValueError, DownloadError):
        return None
