"""Prints the packages of a folder of wheels that are to be installed here.

Runs by itself, before anything is installed.
"""

import sys
from importlib import metadata
from pathlib import Path

# The version matters: the bundle's models were written by it.
ALWAYS = ("keras",)


def missing(folder: Path) -> list[str]:
    names = sorted({wheel.name.split("-")[0].replace("_", "-") for wheel in folder.glob("*.whl")})
    return [name for name in names if name in ALWAYS or not installed(name)]


def installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    print(" ".join(missing(Path(sys.argv[1]))))
