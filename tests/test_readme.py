"""README.md tells the truth: its code runs, its commands work, its table is the registry's."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_checkpoint, goldens):
    """A folder with the files that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    for photo in (ROOT / "examples").glob("*.jpg"):
        shutil.copy(photo, folder)
    shutil.copytree(
        goldens / "wrapped", folder / "old_training_dir", ignore=shutil.ignore_patterns("*.py")
    )
    shutil.copy(goldens / "wrapped" / "old_network.py", folder)
    for name, colour in (("daisies", "white"), ("roses", "red"), ("tulips", "yellow")):
        (folder / "flowers" / name).mkdir(parents=True)
        for number in range(5):
            image = Image.effect_noise((64, 48), 20 + number).convert("RGB")
            image = Image.blend(image, Image.new("RGB", image.size, colour), 0.5)
            image.save(folder / "flowers" / name / f"{number}.jpg")
    for part in (".index", ".data-00000-of-00001"):
        shutil.copy(small_checkpoint + part, folder / f"model.ckpt{part}")
    return folder


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.mark.slow
def test_the_python_runs_from_top_to_bottom(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    namespace = {}
    for block in blocks("python"):
        if "old_network" in block:
            namespace["images"] = np.zeros((4, 16, 16, 3), np.float32)
            namespace["labels"] = np.arange(4)
        exec(compile(block, "README.md", "exec"), namespace)
    assert "137 of 137 variables" in capsys.readouterr().out
    assert namespace["report"].passed
    names = list(namespace["tf1_variables"](namespace["layer"]))
    assert names[:2] == ["net/Conv/weights", "net/Conv/BatchNorm/beta"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [line for block in blocks("sh") for line in block.splitlines() if line.startswith("zoo ")],
)
def test_the_commands_work(folder, command):
    arguments = [sys.executable, "-m", "zoo", *shlex.split(command)[1:]]
    run = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stderr
    if " cache " not in command:
        assert run.stdout


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.M)
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_table_of_models_is_the_registrys():
    # In a process of its own: other tests, and the documents' code, register models here.
    render = [sys.executable, ROOT / "tools" / "render_readme.py"]
    checked = subprocess.run([*render, "--check"])
    assert checked.returncode == 0, "run `python tools/render_readme.py`"
