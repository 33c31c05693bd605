"""The models that zoo knows: registry.yaml, `zoo.register` and third-party packages.

Rows are checked against the dataclasses below when they are first needed; an adapter is
imported only by `ModelSpec.load_adapter`. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import copy
import fnmatch
import importlib
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from zoo import marked_yaml
from zoo.errors import ArgumentError, RegistryError, UnknownModelError, nearest_names

ENTRY_POINT_GROUP = "zoo.models"
PREPROCESSINGS = ("inception", "vgg", "cifarnet", "lenet")
HASH_ALGORITHMS = {"sha256": 64, "sha384": 96, "md5": 32}  # name -> length of its hex digest
FIRST_USE = "recorded_on_first_use"

# The keys of each kind of source, True where a row must have it. `zoo.hub.register_source`
# adds kinds.
SOURCE_KINDS: dict[str, dict[str, bool]] = {
    "https": {"url": True, "mirrors": False},
    "wheel": {"package": True, "version": True},
    "file": {"path": True},
    "hf": {"repo": True, "file": True, "revision": False},
}


@dataclass(frozen=True)
class Paper:
    """The publication that describes a network."""

    title: str
    authors: str | None = None
    year: int | None = None
    url: str | None = None


@dataclass(frozen=True)
class Accuracy:
    """ImageNet accuracy in percent, single crop on the validation set.

    Attributes:
        by: who measured or published it.
        note: what was different from the original evaluation, if anything.
    """

    top1: float
    top5: float | None = None
    by: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class SourceSpec:
    """One place that a checkpoint can be had from.

    Attributes:
        kind: https, wheel, file, hf, or a kind added by `zoo.hub.register_source`.
        options: what the kind needs: url and mirrors; package and version; path; repo, file and
            revision on the Hugging Face Hub.
        member: the checkpoint's name inside the archive; None if the file is the checkpoint,
            or the archive holds just one.
        size: bytes of the file that the source gives, if known.
        algorithm, digest: its published hash; both None if the hash is recorded on first use.
        surplus: scopes of variables in it that are not the network's, to be passed over.
    """

    kind: str
    options: Mapping[str, object]
    member: str | None = None
    size: int | None = None
    algorithm: str | None = None
    digest: str | None = None
    surplus: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckpointSpec:
    """A published checkpoint of a model; `full_name` ("model.tag") identifies it."""

    model: str
    tag: str
    sources: tuple[SourceSpec, ...]
    licence: str | None = None
    published: Accuracy | None = None
    measured: tuple[Accuracy, ...] = ()
    note: str | None = None

    @property
    def full_name(self) -> str:
        return f"{self.model}.{self.tag}"


@dataclass(frozen=True)
class ModelSpec:
    """All that zoo knows of a model.

    Attributes:
        adapter: "module:Class" of the Keras layer with the original code, or the class itself.
        arguments: what the original function gets besides images and num_classes.
        input_size: height and width in pixels that the checkpoint was made for.
        channels: channels of an image, 1 for grey and 3 for colour.
        frames: frames of a clip where the network takes videos, None where it takes images.
        num_classes: logits of the checkpoint.
        label_offset: index of the first ImageNet class in the logits (1 where 0 is background).
        preprocessing: "inception", "vgg", "cifarnet" or "lenet", the evaluation preprocessing of
            TF-Slim.
        parameters: number of values in all variables, moving averages included.
        golden: name of the recorded TensorFlow 1.15 values in tests/goldens.
        checkpoints: by tag, the default first.
        checkpoint: the one that `info` was asked for, or the default; None if none is published.
    """

    name: str
    family: str
    adapter: str | type
    input_size: int
    num_classes: int
    preprocessing: str
    label_offset: int = 0
    channels: int = 3
    frames: int | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    parameters: int | None = None
    paper: Paper | None = None
    golden: str | None = None
    aliases: tuple[str, ...] = ()
    checkpoints: Mapping[str, CheckpointSpec] = field(default_factory=dict)
    checkpoint: CheckpointSpec | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels) of an image, (frames, height, width, channels) of a clip."""
        frames = () if self.frames is None else (self.frames,)
        return (*frames, self.input_size, self.input_size, self.channels)

    @property
    def published_top1(self) -> float | None:
        """Top-1 accuracy in percent that was published of the checkpoint, or of the default."""
        checkpoint = self.checkpoint or next(iter(self.checkpoints.values()), None)
        return checkpoint.published.top1 if checkpoint and checkpoint.published else None

    def load_adapter(self) -> type:
        """Import the adapter's class.

        Raises:
            RegistryError: there is no such module, or no such class in it.
        """
        if isinstance(self.adapter, type):
            return self.adapter
        module_name, _, class_name = self.adapter.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that the adapter imports in vain is another problem, and says so itself.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            raise RegistryError(
                f"The adapter of {self.name} cannot be imported: there is no module {error.name}.",
                received=self.adapter,
                next_step="Correct `adapter` in the registry row, or install the package.",
            ) from error
        target: object = module
        for part in class_name.split("."):
            target = getattr(target, part, None)
        if not isinstance(target, type):
            classes = [name for name, item in vars(module).items() if isinstance(item, type)]
            raise RegistryError(
                f"The adapter of {self.name} is no class in {module_name}.",
                received=self.adapter,
                nearest=nearest_names(class_name, classes),
                next_step="Correct `adapter` in the registry row.",
            )
        return target


# -- From rows to specs ------------------------------------------------------------------------

_REQUIRED = object()
_TYPES = {str: "text", int: "a whole number", float: "a number", dict: "a mapping", list: "a list"}


class _Row:
    """A mapping of the registry that is being read.

    `take` hands out one key after another, checked; `finish` complains of keys nobody took.
    """

    def __init__(
        self,
        values: object,
        origin: str,
        place: marked_yaml.Place,
        lines: Mapping[marked_yaml.Place, int],
    ) -> None:
        self.origin, self.place, self.lines = origin, place, lines
        if not isinstance(values, Mapping):
            raise self.error("this must be a mapping (key: value)", received=values)
        self.values = dict(values)
        self.known: list[str] = []

    def take(self, key: str, kind: type, default=_REQUIRED, *, at_least: int | None = None):
        self.known.append(key)
        value = self.values.pop(key, None)
        if value is None:
            if default is _REQUIRED:
                if misspelt := nearest_names(key, self.values, count=1):
                    what = f"the key `{misspelt[0]}` is not known here"
                    raise self.error(what, misspelt[0], nearest=[key])
                raise self.error(f"the key `{key}` is missing", accepted=_TYPES[kind])
            return default
        fits = isinstance(value, (int, float) if kind is float else kind)
        if kind is list:
            fits = isinstance(value, (list, tuple))
        if kind is dict:
            fits = isinstance(value, Mapping)
        if not fits or isinstance(value, bool):
            hint = "Put it in quotes." if kind is str else None
            raise self.error(
                f"this must be {_TYPES[kind]}", key, repr(value), _TYPES[kind], next_step=hint
            )
        if at_least is not None and value < at_least:
            raise self.error(f"this must be at least {at_least}", key, value)
        if kind is str and not value.strip():
            raise self.error("this may not be empty", key)
        return value

    def choice(self, key: str, choices: Iterable[str]) -> str:
        value = self.take(key, str)
        if value not in choices:
            raise self.error(
                f"no {key} has this name",
                key,
                value,
                ", ".join(choices),
                nearest_names(value, choices),
            )
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        items = self.take(key, list, ())
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise self.error("this must be text", (key, index), repr(item))
        return tuple(items)

    def row(self, *keys: str | int, values: object) -> _Row:
        return _Row(values, self.origin, (*self.place, *keys), self.lines)

    def finish(self) -> None:
        for key in self.values:
            raise self.error(
                f"the key `{key}` is not known here",
                key,
                accepted=", ".join(self.known),
                nearest=nearest_names(str(key), self.known),
            )

    def error(
        self, what, key=(), received=None, accepted=None, nearest=(), next_step=None
    ) -> RegistryError:
        place = (*self.place, *(key if isinstance(key, tuple) else (key,)))
        dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
        line = next(
            (self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines),
            None,
        )
        where = f"{self.origin}, line {line}" if line else self.origin
        where = f"{where}: {dotted}" if dotted else where
        return RegistryError(
            f"{where}: {what}.",
            received=received,
            accepted=accepted,
            nearest=nearest,
            next_step=next_step,
        )


def _read_model(name: str, row: _Row) -> ModelSpec:
    if not re.fullmatch(r"[A-Za-z0-9][\w.\-]*", name):
        raise row.error("a model's name holds letters, digits, '_', '-' and '.'", received=name)
    spec = ModelSpec(
        name=name,
        family=row.take("family", str),
        adapter=_read_adapter(row),
        arguments=copy.deepcopy(dict(row.take("arguments", dict, {}))),
        input_size=row.take("input_size", int, at_least=1),
        num_classes=row.take("num_classes", int, at_least=1),
        label_offset=row.take("label_offset", int, 0, at_least=0),
        channels=row.take("channels", int, 3, at_least=1),
        frames=row.take("frames", int, None, at_least=1),
        preprocessing=row.choice("preprocessing", PREPROCESSINGS),
        parameters=row.take("parameters", int, None, at_least=0),
        paper=_read_paper(row),
        golden=row.take("golden", str, None),
        aliases=row.texts("aliases"),
        checkpoints={
            tag: _read_checkpoint(name, tag, row.row("checkpoints", tag, values=values))
            for tag, values in row.take("checkpoints", dict, {}).items()
        },
    )
    row.finish()
    if spec.label_offset >= spec.num_classes:
        raise row.error("this must be less than num_classes", "label_offset", spec.label_offset)
    return spec


def _read_adapter(row: _Row) -> str | type:
    if isinstance(row.values.get("adapter"), type):
        return row.values.pop("adapter")
    adapter = row.take("adapter", str)
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", adapter):
        raise row.error(
            "an adapter is named module:Class", "adapter", adapter, "package.module:Class"
        )
    return adapter


def _read_paper(parent: _Row) -> Paper | None:
    values = parent.take("paper", dict, None)
    if values is None:
        return None
    row = parent.row("paper", values=values)
    paper = Paper(
        title=row.take("title", str),
        authors=row.take("authors", str, None),
        year=row.take("year", int, None),
        url=row.take("url", str, None),
    )
    row.finish()
    return paper


def _read_checkpoint(model: str, tag: str, row: _Row) -> CheckpointSpec:
    if not re.fullmatch(r"[A-Za-z0-9][\w\-]*", tag):
        raise row.error("a checkpoint's tag holds letters, digits, '_' and '-'", received=tag)
    sources = row.take("sources", list)
    if not sources:
        raise row.error("a checkpoint needs at least one source", "sources")
    licence, note = row.take("licence", str, None), row.take("note", str, None)
    accuracy = row.row("accuracy", values=row.take("accuracy", dict, {}))
    published = accuracy.take("published", dict, None)
    measured = accuracy.take("measured", list, ())
    checkpoint = CheckpointSpec(
        model=model,
        tag=tag,
        sources=tuple(
            _read_source(row.row("sources", index, values=values))
            for index, values in enumerate(sources)
        ),
        licence=licence,
        note=note,
        published=published
        and _read_accuracy(accuracy.row("published", values=published), "source"),
        measured=tuple(
            _read_accuracy(accuracy.row("measured", index, values=values), "by")
            for index, values in enumerate(measured)
        ),
    )
    accuracy.finish()
    row.finish()
    return checkpoint


def _read_accuracy(row: _Row, who: str) -> Accuracy:
    percent = {key: row.take(key, float, None) for key in ("top1", "top5")}
    for key, value in percent.items():
        if value is None and key == "top5":
            continue
        if value is None or not 1 < value <= 100:
            raise row.error("accuracy is given in percent", key, value, "a number from 1 to 100")
    accuracy = Accuracy(**percent, by=row.take(who, str), note=row.take("note", str, None))
    row.finish()
    return accuracy


def _read_source(row: _Row) -> SourceSpec:
    kind = row.choice("kind", SOURCE_KINDS)
    options = {}
    for key, required in SOURCE_KINDS[kind].items():
        if key == "mirrors":
            options[key] = row.texts(key)
        else:
            options[key] = row.take(key, str, _REQUIRED if required else None)
    member = row.take("member", str, None)
    size = row.take("size", int, None, at_least=0)
    algorithm, digest = _read_hash(row, needed=kind != "file")
    surplus = row.texts("surplus")
    row.finish()
    if kind == "https":
        _check_urls(row, options, digest)
    if kind == "wheel":
        _check_wheel(row, options, member)
    if kind == "hf" and not re.fullmatch(r"[\w.\-]+/[\w.\-]+", options["repo"], re.ASCII):
        raise row.error("this is no repository", "repo", options["repo"], "owner/name")
    return SourceSpec(kind, options, member, size, algorithm, digest, surplus)


def _read_hash(row: _Row, needed: bool) -> tuple[str | None, str | None]:
    given = {name: row.take(name, str, None) for name in HASH_ALGORITHMS}
    given = {name: digest for name, digest in given.items() if digest is not None}
    first_use = row.take("hash", str, None)
    if first_use not in (None, FIRST_USE):
        raise row.error("this key takes one value", "hash", first_use, FIRST_USE)
    if len(given) + (first_use is not None) > 1:
        raise row.error("one hash is enough", next_step="Keep the strongest.")
    if not given and needed and first_use is None:
        raise row.error(
            "nothing says how the file is verified",
            accepted=f"one of {', '.join(HASH_ALGORITHMS)}, or `hash: {FIRST_USE}`",
        )
    for name, digest in given.items():
        if not re.fullmatch(rf"[0-9a-fA-F]{{{HASH_ALGORITHMS[name]}}}", digest):
            wanted = f"{HASH_ALGORITHMS[name]} hexadecimal digits"
            raise row.error(f"this is no {name}", name, f"{digest} ({len(digest)} long)", wanted)
        return name, digest.lower()
    return None, None


def _check_urls(row: _Row, options: Mapping, digest: str | None) -> None:
    keyed = [("url", options["url"])]
    keyed += [(("mirrors", index), url) for index, url in enumerate(options["mirrors"])]
    for key, url in keyed:
        if not re.match(r"https?://[^/\s]+/\S*$", url):
            raise row.error("this is no http(s) address of a file", key, url)
        if digest is None and not is_trusted_transport(url):
            raise row.error(
                "plain http is not safe where no published hash is enforced",
                key,
                next_step="Use https, or give a sha256.",
            )


def is_trusted_transport(url: str) -> bool:
    """Whether nobody on the way can change what `url` gives: https, or this machine itself."""
    return bool(re.match(r"https://|http://([^/@]*@)?(127\.0\.0\.1|localhost|\[::1\])[:/]", url))


def _check_wheel(row: _Row, options: Mapping, member: str | None) -> None:
    # Both become an argument of pip, so neither may look like an option or an address.
    for key in ("package", "version"):
        if not re.fullmatch(r"[A-Za-z0-9][\w.+!\-]*", options[key]):
            raise row.error(f"this is no {key} of a package index", key, options[key])
    if member is None:
        raise row.error("a wheel source names the file inside the wheel: `member` is missing")


# -- The registry ------------------------------------------------------------------------------


def _normal(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _natural(name: str) -> list:
    """A sort key that compares numbers as numbers: _50 before _101, 0.25 before 0.5."""
    parts = re.split(r"(\d+\.\d+|\d+)", name.lower())
    return [float(part) if index % 2 else part for index, part in enumerate(parts)]


class Registry:
    """Models by name and alias. Adding is all or nothing; reading is safe from many threads."""

    def __init__(self) -> None:
        self._models: dict[str, ModelSpec] = {}  # by normalised name
        self._names: dict[str, str] = {}  # normalised name or alias -> normalised name
        self._lock = threading.RLock()

    @classmethod
    def from_file(cls, path: Path) -> Registry:
        """Read a registry file.

        Raises:
            RegistryError: a row breaks the schema; the message has the line and the key.
        """
        document, lines = marked_yaml.read(path)
        top = _Row(document or {}, path.name, (), lines)
        models = top.row("models", values=top.take("models", dict))
        top.finish()
        registry = cls()
        for name, values in models.values.items():
            row = models.row(name, values=values)
            registry._insert([_read_model(name, row)], False, row.error)
        return registry

    def register(self, rows: Mapping[str, Mapping], *, replace: bool = False, origin: str) -> None:
        """Add models; either all rows get in, or none does.

        Raises:
            RegistryError: a row breaks the schema, or a name is taken and `replace` is False.
        """
        table = _Row(rows, origin, (), {})
        specs = [_read_model(name, table.row(name, values=row)) for name, row in rows.items()]
        self._insert(specs, replace, table.error)

    def _insert(self, specs: list[ModelSpec], replacing: bool, error: Callable) -> None:
        with self._lock:
            models, names = dict(self._models), dict(self._names)
            for spec in specs:
                key = _normal(spec.name)
                if key in models and replacing:
                    names = {name: owner for name, owner in names.items() if owner != key}
                for name in (spec.name, *spec.aliases):
                    if _normal(name) in names:
                        owner = models[names[_normal(name)]].name
                        raise error(
                            f"the name {name!r} is taken by the model {owner}",
                            next_step="Choose another name, or replace the model (replace=True).",
                        )
                    names[_normal(name)] = key
                models[key] = spec
            self._models, self._names = models, names

    def families(self) -> list[str]:
        return sorted({spec.family for spec in self._models.values()})

    def list_models(
        self,
        pattern: str = "*",
        *,
        family: str | None = None,
        pretrained: bool | None = None,
        input_size: int | None = None,
        min_top1: float | None = None,
        max_parameters: int | None = None,
    ) -> list[str]:
        if family is not None and family not in self.families():
            raise ArgumentError(
                "No family of models has this name.",
                received=family,
                accepted=", ".join(self.families()),
                nearest=nearest_names(family, self.families()),
            )
        if min_top1 is not None and not 1 < min_top1 <= 100:
            raise ArgumentError(
                "Accuracy is given in percent.",
                received=min_top1,
                accepted="a number from 1 to 100",
            )
        return sorted(
            (
                spec.name
                for spec in self._models.values()
                if fnmatch.fnmatchcase(_normal(spec.name), _normal(pattern))
                and family in (None, spec.family)
                and pretrained in (None, bool(spec.checkpoints))
                and input_size in (None, spec.input_size)
                and (min_top1 is None or (spec.published_top1 or 0) >= min_top1)
                and (max_parameters is None or (spec.parameters or inf) <= max_parameters)
            ),
            key=_natural,
        )

    def info(self, name: str) -> ModelSpec:
        if not isinstance(name, str):
            raise ArgumentError("A model is asked for by name.", received=repr(name))
        model = self._names.get(_normal(name))
        if model is not None:
            return self._resolved(model, None)
        base, dot, tag = name.strip().rpartition(".")
        if dot and _normal(base) in self._names:
            return self._resolved(self._names[_normal(base)], tag)
        raise self._unknown(name)

    def _resolved(self, model: str, tag: str | None) -> ModelSpec:
        spec = self._models[model]
        tags = {_normal(known): known for known in spec.checkpoints}
        if tag is None:
            checkpoint = next(iter(spec.checkpoints.values()), None)
        elif _normal(tag) in tags:
            checkpoint = spec.checkpoints[tags[_normal(tag)]]
        else:
            raise UnknownModelError(
                f"{spec.name} has no checkpoint of this name.",
                received=tag,
                accepted=", ".join(spec.checkpoints) or "none: no checkpoint is published",
                nearest=nearest_names(tag, spec.checkpoints),
                next_step="Pass tf1_ckpt= to load a checkpoint of your own.",
            )
        # A copy, so that nobody changes the registry by changing what it returned.
        return copy.deepcopy(replace(spec, checkpoint=checkpoint))

    def _unknown(self, name: str) -> UnknownModelError:
        names = self.list_models()
        longer = [full for full in names if _normal(full).startswith(_normal(name))]
        if longer and name.strip():
            return UnknownModelError(
                f"No model is called exactly {name!r}; {len(longer)} names begin with it."
                if len(longer) > 1
                else f"No model is called exactly {name!r}.",
                received=name,
                nearest=longer,
                next_step="Use one of these names.",
            )
        aliases = [alias for spec in self._models.values() for alias in spec.aliases]
        return UnknownModelError(
            "No model has this name.",
            received=name,
            nearest=nearest_names(name, [*names, *aliases]),
            next_step="`zoo list`, or zoo.list_models(), shows every name.",
        )


def registry_path() -> Path:
    """registry.yaml: inside the package where zoo is installed, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "registry.yaml"
    return inside if inside.exists() else package.parent / "registry.yaml"


_default: Registry | None = None
_default_lock = threading.RLock()


def default_registry() -> Registry:
    """registry.yaml with the models of installed packages; read at the first call."""
    global _default
    with _default_lock:
        if _default is None:
            registry = Registry.from_file(registry_path())
            _add_plugins(registry)
            _default = registry
        return _default


def _add_plugins(registry: Registry) -> None:
    """Add the rows of the entry points in the group "zoo.models".

    Each loads to a dict name -> row, or to a function that returns one. A broken one gives a
    warning that names its distribution; everything else works on.
    """
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        owner = entry_point.dist.name if entry_point.dist else "unknown"
        try:
            rows = entry_point.load()
            rows = rows() if callable(rows) else rows
            registry.register(rows, origin=f"entry point {entry_point.name} of {owner}")
        except Exception as error:  # whatever a stranger's code raises
            warnings.warn(
                f"The models of the package {owner!r} (entry point {entry_point.name!r} = "
                f"{entry_point.value!r}) are left out: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )


def list_models(
    pattern: str = "*",
    *,
    family: str | None = None,
    pretrained: bool | None = None,
    input_size: int | None = None,
    min_top1: float | None = None,
    max_parameters: int | None = None,
) -> list[str]:
    """Names of the registered models, in natural order.

    Args:
        pattern: a glob such as "resnet_v?_50"; letter case does not matter.
        family: only this family (see `families`).
        pretrained: True for models with a published checkpoint, False for those without.
        input_size: only models for images of this height and width, in pixels.
        min_top1: only models of at least this published ImageNet top-1 accuracy, in percent.
        max_parameters: only models of at most as many parameters, moving averages included.

    A model of which a fact is not known does not pass the filter by that fact.

    Raises:
        ArgumentError: there is no such family, or the accuracy is no percentage.

    Example:
        >>> zoo.list_models(min_top1=75, max_parameters=30_000_000)
    """
    return default_registry().list_models(
        pattern,
        family=family,
        pretrained=pretrained,
        input_size=input_size,
        min_top1=min_top1,
        max_parameters=max_parameters,
    )


def info(name: str) -> ModelSpec:
    """What is known of a model, asked for by name, alias, or "name.tag" of a checkpoint.

    Letter case does not matter, and '-' is taken for '_'.

    Raises:
        UnknownModelError: no model, or no checkpoint of the model, has this name.
    """
    return default_registry().info(name)


def families() -> list[str]:
    """The families that registered models belong to."""
    return default_registry().families()


def register(name: str, *, replace: bool = False, **row) -> ModelSpec:
    """Add a model for this process, with the keys of a row in registry.yaml.

    Example:
        >>> zoo.register("my_net", family="mine", adapter="my_package:MyNet", input_size=224,
        ...              num_classes=10, preprocessing="inception")

    Raises:
        RegistryError: the row breaks the schema, or the name is taken and `replace` is False.
    """
    registry = default_registry()
    registry.register({name: row}, replace=replace, origin="zoo.register")
    return registry.info(name)
