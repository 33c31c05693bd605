"""A YAML file read into plain values, together with the line on which each of them stands."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from zoo.errors import RegistryError

# A place inside the document: ("models", "inception_v3", "checkpoints", ...).
Place = tuple[Hashable, ...]


def read(path: Path) -> tuple[object, dict[Place, int]]:
    """The document in `path` and the line (counted from 1) of every key and list item in it.

    Only plain YAML is read: mappings with text keys, lists, text, numbers, booleans and null,
    and references to them (`&name`, `*name`).

    Raises:
        RegistryError: the file is missing, is no YAML, repeats a key, or holds another tag.
    """
    import yaml

    # The C parser is ten times faster; not every build of PyYAML has it.
    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{path} is not UTF-8 text.") from error
    try:
        return _MarkedReader(path, loader).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise RegistryError(f"{path.name}{line}: this is no valid YAML: {problem}.") from error
    finally:
        loader.dispose()


class _MarkedReader:
    def __init__(self, path: Path, loader) -> None:
        self.path = path
        self.loader = loader
        self.lines: dict[Place, int] = {}
        self.open_nodes: list[int] = []

    def document(self) -> tuple[object, dict[Place, int]]:
        node = self.loader.get_single_node()
        return (None if node is None else self.value(node, ())), self.lines

    def value(self, node, place: Place):
        self.lines.setdefault(place, node.start_mark.line + 1)
        if node.id == "scalar":
            return self.loader.construct_object(node)
        if id(node) in self.open_nodes:
            raise self.error(node, "a value may not contain itself")
        self.open_nodes.append(id(node))
        children = self.items(node, place) if node.id == "mapping" else self.list(node, place)
        self.open_nodes.pop()
        return children

    def items(self, node, place: Place) -> dict:
        result = {}
        for key_node, value_node in node.value:
            key = self.loader.construct_object(key_node) if key_node.id == "scalar" else None
            if not isinstance(key, str):
                raise self.error(key_node, "a key must be text; put it in quotes", received=key)
            if key in result:
                first = self.lines[(*place, key)]
                raise self.error(key_node, f"the key {key!r} stands twice, first on line {first}")
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*place, key))
        return result

    def list(self, node, place: Place) -> list:
        return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]

    def error(self, node, what: str, received: object = None) -> RegistryError:
        where = f"{self.path.name}, line {node.start_mark.line + 1}"
        return RegistryError(f"{where}: {what}.", received=received)
