"""`zoo.publish`: a model to the Hugging Face Hub, in one commit."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import keras

from zoo import checkpoints
from zoo.errors import ArgumentError, DownloadError, OfflineError, PublishingError
from zoo.hub import addresses, huggingface
from zoo.hub.cache import is_offline
from zoo.hub.download import USER_AGENT
from zoo.hub.facts import Facts, base_repository, facts_of
from zoo.hub.huggingface import Address
from zoo.hub.model_card import model_card
from zoo.hub.progress import say
from zoo.hub.published import ZOO_FILE, ZOO_FORMAT
from zoo.hub.verify import Expected
from zoo.model import TF1Model

_OPTIONAL = ("tf1.safetensors", "labels.json", "preprocessing.json", "equivalence.json")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Publication:
    """What was published, or would be.

    Attributes:
        repo, revision: where; revision None is the main branch.
        files: name -> size in bytes.
        card: README.md's text.
        commit, url: None where nothing was sent.
    """

    repo: str
    revision: str | None
    files: dict[str, int]
    card: str
    commit: str | None = None
    url: str | None = None


def publish(
    model: keras.Model,
    repo: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    licence: str | None = None,
    base_model: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> Publication:
    """Publishes a model on the Hugging Face Hub, in one commit, after proving it equal once more.

    The repository gets the plain Keras model, which `keras.saving.load_model("hf://owner/repo")`
    takes without zoo; the weights under their TF1 names; what `zoo.load("hf://owner/repo")` makes
    the same model from, bit for bit; labels, preprocessing, the map of weights, the report of
    equivalence; and a model card. The card has the registry's facts and measured results: no
    accuracy is told of weights that are not those it was measured of.

    Args:
        model: of `zoo.load`, or a plain one of `zoo.to_native`.
        repo: "owner/name"; made if it is not there.
        revision: the branch; made if it is not there. None is the main branch.
        private: whether a repository that is made is private; None as the owner's settings say.
        licence: of the weights; by default that of the checkpoint they come from, if known.
        base_model: the repository that they were made from; by default the one they were loaded
            from, if any.
        message: of the commit.
        dry_run: send nothing.
        progress: tell on stderr what is done.

    Raises:
        ArgumentError: the model or the name of the repository is none that can be published.
        ConversionError: the model cannot be made plain Keras.
        PublishingError: it is not the TF1 graph's function any more; or the Hub refused it, or
            could not be reached. Nothing was published then.
        OfflineError: in offline mode.

    The token is HF_TOKEN, or that of `hf auth login`.
    """
    place = huggingface.parse_address(f"{huggingface.SCHEME}{repo}")
    if place.revision is not None or place.file is not None:
        raise ArgumentError("A repository is named owner/name.", received=repo)
    if revision is not None:
        place = huggingface.parse_address(str(Address(repo, revision)))
    if not dry_run and is_offline():
        raise OfflineError(
            "Offline mode forbids to publish.",
            next_step="Unset ZOO_OFFLINE and HF_HUB_OFFLINE, or pass dry_run=True.",
        )
    say("comparing the model with its TF1 graph", progress)
    facts = facts_of(model)
    if licence is None and facts.spec is not None and facts.spec.checkpoint is not None:
        tagged = facts.name == facts.spec.checkpoint.full_name
        licence = facts.spec.checkpoint.licence if tagged else None
    with tempfile.TemporaryDirectory(prefix="zoo-publish-") as folder:
        names = _write_files(model, facts, Path(folder))
        base_model = base_model or base_repository(facts.origin)
        card = model_card(facts, repo, [*names, "README.md"], licence, base_model)
        Path(folder, "README.md").write_text(card, encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in _files(Path(folder))}
        publication = Publication(repo, revision, sizes, card)
        if dry_run:
            return publication
        return _send(place, Path(folder), publication, private, message, progress)


# -- The files ---------------------------------------------------------------------------------


def _write_files(model: keras.Model, facts: Facts, folder: Path) -> list[str]:
    """Write all but the card; their names."""
    keras.saving.save_model(facts.native, folder, zipped=False)
    if facts.tf1 is not None:
        checkpoints.write_checkpoint(folder / "tf1.safetensors", facts.tf1, format="safetensors")
    kind = "tf1" if isinstance(model, TF1Model) else "native"
    description = {"format": ZOO_FORMAT, "kind": kind, "name": facts.name, **_made(model)}
    description["versions"], description["origin"] = facts.versions, facts.origin
    _write_json(folder / ZOO_FILE, description)
    if facts.labels is not None:
        labels = [{"synset": label.synset, "name": label.name} for label in facts.labels]
        _write_json(folder / "labels.json", labels)
    if facts.preprocessing is not None:
        _write_json(folder / "preprocessing.json", facts.preprocessing)
    if facts.equivalence is not None:
        _write_json(folder / "equivalence.json", facts.equivalence)
    facts.native.weight_map.save(folder / "weight_map.json")
    return sorted(path.name for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    """Without Keras's folder of assets, which is empty: no layer here has any."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def _made(model: keras.Model) -> dict:
    """What a model of zoo.load is made from; a plain one's description is Keras's config.json."""
    if not isinstance(model, TF1Model):
        return {}
    return {"model": keras.saving.serialize_keras_object(model)}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


# -- To the Hub --------------------------------------------------------------------------------


def _send(
    place: Address,
    folder: Path,
    publication: Publication,
    private: bool | None,
    message: str | None,
    progress: bool,
) -> Publication:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(endpoint=huggingface.endpoint(), user_agent=USER_AGENT)
    say(f"publishing {len(publication.files)} files to {place}", progress)
    _told(place, lambda: api.create_repo(place.repo, private=private, exist_ok=True))
    if place.revision is not None:
        _told(place, lambda: api.create_branch(place.repo, branch=place.revision, exist_ok=True))
    _, there = _told(
        place, lambda: huggingface.list_files(place.repo, place.revision, progress), ask=False
    )
    stale = {*_OPTIONAL} & {file.path for file in there} - {*publication.files}

    def commit():
        # Made anew for each try: an operation serves once.
        operations = [CommitOperationAdd(name, folder / name) for name in publication.files]
        operations += [CommitOperationDelete(name) for name in sorted(stale)]
        return api.create_commit(
            place.repo,
            operations,
            commit_message=message or f"Publish {place.repo.partition('/')[2]} with zoo",
            revision=place.revision,
        )

    with _bars(progress):
        made = _told(place, commit)
    _check_arrived(place, made.oid, folder, publication, progress)
    addresses.unpin(place.repo, place.revision)
    say(f"published {place} as commit {made.oid[:12]}", progress)
    return Publication(
        publication.repo,
        publication.revision,
        publication.files,
        publication.card,
        made.oid,
        f"{huggingface.endpoint()}/{place.repo}",
    )


@contextlib.contextmanager
def _bars(progress: bool) -> Iterator[None]:
    """huggingface_hub's own progress bars, on a terminal alone."""
    from huggingface_hub import utils

    quiet = not (progress and sys.stderr.isatty()) and not utils.are_progress_bars_disabled()
    if quiet:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            utils.enable_progress_bars()


def _told(place: Address, action: Callable[[], _T], ask: bool = True) -> _T:
    """The result of `action`; what the Hub has against it is a PublishingError."""
    try:
        return huggingface.ask(action, str(place)) if ask else action()
    except OfflineError:
        raise
    except DownloadError as error:
        raise PublishingError(f"Not published. {error.what}", next_step=error.next_step) from None


def _check_arrived(
    place: Address, commit: str, folder: Path, publication: Publication, progress: bool
) -> None:
    """Compare what the Hub says of each file with the file."""
    at_commit = Address(place.repo, commit)
    _, files = _told(
        at_commit, lambda: huggingface.list_files(place.repo, commit, progress), ask=False
    )
    there = {file.path: file for file in files}
    for name in publication.files:
        try:
            file = there[name]
            Expected(file.size, file.algorithm, file.digest).check(folder / name, name)
        except (KeyError, DownloadError):
            raise PublishingError(
                f"{at_commit} was made, but its {name} is not the file that was sent.",
                next_step="Publish it again.",
            ) from None
