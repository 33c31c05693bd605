"""Puts registry.yaml, which sits at the root of the repository, inside the built package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRegistry(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copy("registry.yaml", Path(self.build_lib, "zoo", "registry.yaml"))


setup(cmdclass={"build_py": BuildWithRegistry})
