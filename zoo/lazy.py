"""Names of a package that are bound on first use: what has them is imported only then."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def bound_on_use(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose names are in these modules: name -> module."""

    def __getattr__(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
