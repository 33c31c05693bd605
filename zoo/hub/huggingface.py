"""Repositories on the Hugging Face Hub: which files they have, and the files themselves.

huggingface_hub is asked what a repository holds, at which commit, and who may read it; the bytes
come through `zoo.hub.download`, which checks their hash, into zoo's own cache.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from zoo.errors import ArgumentError, DownloadError, OfflineError, nearest_names
from zoo.hub.cache import BUNDLE_FILE
from zoo.hub.download import (
    READ_TIMEOUT,
    RETRIED_STATUSES,
    USER_AGENT,
    TryAgain,
    download,
    persist,
    retry_after,
)
from zoo.hub.sources import Source, register_source, safe_name
from zoo.hub.verify import GIT_BLOB, Expected, Fingerprint
from zoo.registry import SourceSpec, is_trusted_transport

SCHEME = "hf://"
DEFAULT_ENDPOINT = "https://huggingface.co"
FORM = "hf://OWNER/REPOSITORY, hf://OWNER/REPOSITORY@REVISION, and either with /FILE after it"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib")  # running code is how they open
_ADDRESS = re.compile(
    r"hf://(?P<owner>[^/@]*)/(?P<name>[^/@]*)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(?P<file>.+))?"
)
_NAME = re.compile(r"\w(?:[\w.\-]{0,94}\w)?", re.ASCII)
_REVISION = re.compile(r"[\w][\w.\-/]{0,254}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Address:
    """hf://OWNER/NAME[@REVISION][/FILE], taken apart.

    Attributes:
        repo: "owner/name".
        revision: a branch, a tag or a commit; None is the main branch.
        file: path of a file in the repository, or the prefix of a V2 checkpoint; None leaves the
            choice to zoo.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repo}{revision}{f'/{self.file}' if self.file else ''}"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository at one commit: its path, its size in bytes and a hash of it."""

    path: str
    size: int
    algorithm: str
    digest: str


def parse_address(text: str) -> Address:
    """Raises ArgumentError if `text` is no address of a repository."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise _no_address(text, "is no address of a repository")
    for part in (match["owner"], match["name"]):
        if not _NAME.fullmatch(part) or ".." in part or "--" in part:
            raise _no_address(text, f"names no repository: {part!r} is not a name that the Hub has")
    revision = match["revision"]
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise _no_address(text, f"names no revision: {revision!r}")
    if match["file"] is not None and not is_safe_path(match["file"]):
        raise _no_address(text, f"names no file: {match['file']!r}")
    return Address(f"{match['owner']}/{match['name']}", revision, match["file"])


def is_safe_path(path: str) -> bool:
    """Whether it is a plain relative path, with nothing in it that leads elsewhere."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(parts)


def _no_address(text: str, what: str) -> ArgumentError:
    return ArgumentError(f"This address {what}.", received=repr(text), accepted=FORM)


# -- What a repository holds -------------------------------------------------------------------


def list_files(repo: str, revision: str | None, progress: bool) -> tuple[str, list[HubFile]]:
    """The commit that `revision` stands for now, and the files of the repository at it.

    Raises:
        DownloadError: there is no such repository or revision, it may not be read, or the Hub
            could not be reached.
        OfflineError: huggingface_hub is in offline mode.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), user_agent=USER_AGENT)
    place = str(Address(repo, revision))
    info = ask(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=READ_TIMEOUT),
        place,
        progress,
    )
    check_commit(info.sha, place)
    files = [_hub_file(sibling) for sibling in info.siblings or ()]
    return info.sha, [file for file in files if file is not None]


def check_commit(commit: object, place: str = "") -> None:
    """Raises DownloadError if it is none."""
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise DownloadError(f"{place}: the Hub does not say which commit this is.")


def _hub_file(sibling) -> HubFile | None:
    """None for a file that cannot be had safely: no size, no hash, or a name that leads away."""
    if sibling.lfs is not None:
        algorithm, digest, digits = "sha256", sibling.lfs.sha256, 64
    else:
        algorithm, digest, digits = GIT_BLOB, sibling.blob_id, 40
    known = isinstance(sibling.size, int) and sibling.size >= 0
    if not known or not re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest or ""):
        return None
    if not is_safe_path(sibling.rfilename):
        return None
    return HubFile(sibling.rfilename, sibling.size, algorithm, digest)


def endpoint() -> str:
    """The Hub's address: the environment variable HF_ENDPOINT, else Hugging Face's own.

    Raises:
        DownloadError: it is plain http, where both hashes and token could be read and changed.
    """
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT
    if not is_trusted_transport(f"{address}/"):
        raise DownloadError(
            "HF_ENDPOINT is plain http, which is safe neither for a token nor for hashes.",
            received=address,
            accepted="an address that begins with https://",
        )
    return address


def ask(question: Callable[[], _T], place: str, progress: bool = True) -> _T:
    """Put a question to the Hub through huggingface_hub; its errors become zoo's.

    Args:
        place: what messages call that which is asked about.
    """

    def once() -> _T:
        try:
            return question()
        except Exception as error:
            # Not chained: requests of huggingface_hub's hold the token.
            failure = _failure(error, place)
            if failure is None:
                raise
        raise failure

    return persist(once, f"{place}: ", place, progress)


def _failure(error: Exception, place: str) -> Exception | None:
    """What zoo says instead, a TryAgain where that may help; None for an error of another kind."""
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return OfflineError(
            f"{place} cannot be asked for: huggingface_hub is in offline mode.",
            next_step="Unset HF_HUB_OFFLINE.",
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error, errors, place)
    if isinstance(error, errors.HFValidationError):
        return DownloadError(f"{place}: huggingface_hub does not take this name.")
    kinds = [f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).mro()]
    host = re.sub(r"^\w+://|/.*$", "", endpoint())
    if any(kind in ("httpx.ConnectError", "httpx2.ConnectError") for kind in kinds):
        return DownloadError(
            f"{place}: {host} could not be reached.",
            next_step="Check the network connection and the proxy settings.",
        )
    if any(kind in ("httpx.TransportError", "httpx2.TransportError") for kind in kinds):
        return TryAgain(f"the connection to {host} broke")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return _failure(error.__cause__, place)  # which upload it was that failed
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
        detail = (str(error) or type(error).__name__).strip().replace("\n", " ")[:200]
        return DownloadError(f"{place}: the Hub's answer cannot be understood ({detail}).")
    return None


def _refusal(error, errors, place: str) -> Exception:
    status, headers = error.response.status_code, error.response.headers
    login = "Set HF_TOKEN to a token that may, or run `hf auth login`."
    if status in RETRIED_STATUSES:
        return TryAgain(f"the Hub answered {status}", retry_after(headers))
    if isinstance(error, errors.GatedRepoError):
        return DownloadError(
            f"{place} is gated: its owner decides who may read it.",
            next_step=f"Ask for access on its web page. {login}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadError(f"{place}: the repository has no such revision.")
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
        what = "there is no such repository, or it is private"
        what = {403: "this may not be done with the token given"}.get(status, what)
        return DownloadError(
            f"{place}: {what} (the Hub answered {status}).",
            next_step=f"Check the name. {login}",
        )
    return DownloadError(f"{place}: the Hub answered {status}.")


# -- Which of them is the checkpoint -----------------------------------------------------------

_LOOKED_FOR = (  # in this order; the first kind that is there counts
    ("safetensors", (".safetensors",)),
    ("V2 checkpoint", (".index",)),
    ("V1 checkpoint", (".ckpt",)),
    ("archive", (".tar.gz", ".tgz", ".tar", ".zip")),
    ("array file", (".npz",)),
    ("frozen graph", (".pb",)),
    ("Keras model", (".keras",)),
)


def choose(address: Address, files: list[HubFile]) -> list[HubFile]:
    """The files of the checkpoint that `address` means: one, or those of one V2 checkpoint.

    Never a pickle, which runs code when it is opened.

    Raises:
        DownloadError: there is no such file, none to choose, or several.
    """
    if address.file is not None:
        check_no_pickle(address, address.file)
        return _named(address, files)
    for kind, suffixes in _LOOKED_FOR:
        found = [file for file in files if file.path.endswith(suffixes)]
        if found:
            return _with_data(address, _only(address, kind, found), files)
    names = [file.path for file in files]
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        check_no_pickle(address, pickles[0])
    raise DownloadError(
        f"{address} holds no checkpoint that zoo reads.",
        received=_shortened(names) or "an empty repository",
        accepted=", ".join(suffix for _, suffixes in _LOOKED_FOR for suffix in suffixes),
    )


def _only(address: Address, kind: str, found: list[HubFile]) -> HubFile:
    """The one that is meant: the only one, or the only one that is in no folder."""
    whole = [file for file in found if not _SHARD.search(file.path)]
    if not whole:
        raise DownloadError(
            f"{address} has its weights in {len(found)} pieces, which zoo does not put together.",
            received=_shortened([file.path for file in found]),
            next_step="Give the address of a repository that has them in one file.",
        )
    on_top = [file for file in whole if "/" not in file.path]
    for candidates in (
        whole,
        on_top,
        [file for file in on_top if file.path == "model.safetensors"],
    ):
        if len(candidates) == 1:
            return candidates[0]
    raise DownloadError(
        f"{address} holds {len(whole)} files of the kind {kind}.",
        received=_shortened([file.path for file in whole]),
        next_step=f"Name one: {Address(address.repo, address.revision, whole[0].path)}",
    )


def _named(address: Address, files: list[HubFile]) -> list[HubFile]:
    by_path = {file.path: file for file in files}
    for path in (address.file, f"{address.file}.index"):
        if path in by_path:
            return _with_data(address, by_path[path], files)
    names = [BUNDLE_FILE.sub("", name) for name in by_path]
    raise DownloadError(
        f"{Address(address.repo, address.revision)} has no file of this name.",
        received=address.file,
        accepted=_shortened(sorted(set(names))) or None,
        nearest=nearest_names(address.file, names),
    )


def _with_data(address: Address, chosen: HubFile, files: list[HubFile]) -> list[HubFile]:
    """An index and the data files that belong to it; any other file alone."""
    if not BUNDLE_FILE.search(chosen.path):
        return [chosen]
    prefix = BUNDLE_FILE.sub("", chosen.path)
    index = [file for file in files if file.path == f"{prefix}.index"]
    data = [
        file
        for file in files
        if BUNDLE_FILE.sub("", file.path) == prefix and file.path != f"{prefix}.index"
    ]
    if not index or not data:
        missing = "index" if not index else "data-00000-of-00001"
        raise DownloadError(f"{address} lacks the file {prefix}.{missing} of its checkpoint.")
    return index + data


def check_no_pickle(address: Address, name: str) -> None:
    """Raises DownloadError if the file's name is that of a pickle."""
    if name.endswith(PICKLES):
        raise DownloadError(
            f"{address} has its weights in a pickle, which zoo does not open: it can run any code.",
            received=name,
            accepted=", ".join(suffix for _, suffixes in _LOOKED_FOR for suffix in suffixes),
            next_step="Use a repository or a revision that has them as .safetensors.",
        )


def _shortened(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# -- One file ----------------------------------------------------------------------------------


@register_source("hf")
class HuggingFaceSource(Source):
    """One file of a repository on the Hub, at a revision."""

    @property
    def address(self) -> Address:
        options = self.spec.options
        return Address(options["repo"], options.get("revision"), options["file"])

    def label(self) -> str:
        return str(self.address)

    def filename(self) -> str:
        return safe_name(PurePosixPath(self.address.file).name)

    def retrieve(self, target: Path, expected: Expected, progress: bool) -> Fingerprint:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        address = parse_address(str(self.address))
        check_no_pickle(address, address.file)
        url = hf_hub_url(address.repo, address.file, revision=address.revision, endpoint=endpoint())
        headers = build_hf_headers(user_agent=USER_AGENT)
        return download(url, target, expected=expected, headers=headers, progress=progress)


def source_of(repo: str, commit: str, file: HubFile) -> SourceSpec:
    """The source of one file, held to what the Hub says of it."""
    options = {"repo": repo, "revision": commit, "file": file.path}
    return SourceSpec("hf", options, None, file.size, file.algorithm, file.digest)
