"""Puts what the repository keeps outside of the package inside the built one."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# Beside zoo's modules, from the root of the repository: the registry, and of the values that
# TensorFlow 1.15.5 computed those that `zoo validate` compares with.
CARRIED = {
    "registry.yaml": "zoo",
    "tests/goldens/preprocessing.npz": "zoo/validation/goldens",
    "tests/goldens/variables/*.json.gz": "zoo/validation/goldens/variables",
    "tests/goldens/outputs/*.npz": "zoo/validation/goldens/outputs",
    "tests/goldens/training_steps/*.npz": "zoo/validation/goldens/training_steps",
}


class BuildWithCarried(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return
        for pattern, folder in CARRIED.items():
            target = Path(self.build_lib, folder)
            target.mkdir(parents=True, exist_ok=True)
            for path in Path().glob(pattern):
                shutil.copy(path, target)


setup(cmdclass={"build_py": BuildWithCarried})
