"""docs/adding-a-model.md, followed word by word: its adapter file, its registry row and a golden,
which TensorFlow 1.15.5 made of the network's original code with tools/record_goldens.py."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import networks
import numpy as np
import pytest
import recipe
from conftest import save_as_tf1_does

import zoo
from zoo import registry

HERE = Path(__file__).parent
ADDED = HERE / "goldens" / "added"
TEXT = (HERE.parent / "docs" / "adding-a-model.md").read_text(encoding="utf-8")
PYTHON, YAML = (re.findall(rf"```{kind}\n(.*?)```", TEXT, re.S) for kind in ("python", "yaml"))
ORIGINAL, LAYER = PYTHON[:2]


def load_file(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def golden_tests():
    """tests/adapters/test_goldens.py."""
    return load_file(HERE / "adapters" / "test_goldens.py", "adapters_test_goldens")


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A folder with what the document says to write; the registry holds its row alone."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "adapters_added").mkdir()
    (folder / "adapters_added" / "fleabane.py").write_text(f"{ORIGINAL}\n\n{LAYER}")
    (row,) = YAML
    row = row.replace("zoo.adapters.", "adapters_added.")
    (folder / "registry.yaml").write_text(f"models:\n{row}")
    for kind in ("variables", "outputs"):
        shutil.copytree(ADDED / kind, folder / "goldens" / kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(registry, "_default", registry.Registry.from_file(folder / "registry.yaml"))
        yield folder
        for name in [name for name in sys.modules if name.partition(".")[0] == "adapters_added"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def built(added):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "GOLDENS", added / "goldens")
        assert list(networks.registered()) == ["fleabane"]
        yield networks.Built("fleabane")


def test_the_golden_was_recorded_of_the_documents_code():
    assert (ADDED / "fleabane.py").read_text() == ORIGINAL


@pytest.mark.slow
def test_it_passes_the_tests_of_every_model_and_needs_no_other_change(tmp_path):
    """In a copy of the checkout with the file, the row and the golden, and the README rendered."""
    root = HERE.parent
    skipped = shutil.ignore_patterns("__pycache__", "adapters")
    shutil.copytree(root / "zoo", tmp_path / "zoo", ignore=skipped)
    shutil.copytree(root / "adapters", tmp_path / "zoo" / "adapters")
    for folder in ("tests", "tools"):
        shutil.copytree(root / folder, tmp_path / folder)
    for file in ("registry.yaml", "README.md", "pyproject.toml"):
        shutil.copy(root / file, tmp_path)

    (tmp_path / "zoo" / "adapters" / "fleabane.py").write_text(f"{ORIGINAL}\n\n{LAYER}")
    with (tmp_path / "registry.yaml").open("a", encoding="utf-8") as file:
        file.write("\n" + YAML[0])
    for kind in ("variables", "outputs"):
        for golden in (ADDED / kind).iterdir():
            shutil.copy(golden, tmp_path / "tests" / "goldens" / kind)

    def python(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    rendered = python("tools/render_readme.py")
    assert rendered.returncode == 0, rendered.stderr
    assert "| fleabane | 32 | 11 |" in (tmp_path / "README.md").read_text(encoding="utf-8")
    files = ("adapters/test_goldens.py", "test_registry.py", "test_readme.py")
    tests = python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{file}" for file in files)),
        *("-k", "fleabane or test_registry or table_of_models"),
    )
    assert tests.returncode == 0, tests.stdout
    ran = int(re.search(r"(\d+) passed", tests.stdout)[1])
    assert ran > 9 + 50  # of its golden and of the registry


def test_a_wrong_copy_does_not_pass(added, built, golden_tests):
    """The golden's tests can fail: another stride, another name, another default."""
    wrong = {
        "stride=2": ("stride=3", golden_tests.test_end_points_have_the_names_shapes_and_order),
        '"Conv_2")\n': (
            '"Conv_two")\n',
            golden_tests.test_variables_have_the_names_shapes_flags_and_order,
        ),
        "0.0005": ("0.0004", golden_tests.test_defaults_are_the_originals),
    }
    for right, (changed, test) in wrong.items():
        assert ORIGINAL.count(right) == 1
        path = added / "wrong.py"
        path.write_text(f"{ORIGINAL.replace(right, changed)}\n\n{LAYER}")
        layer = load_file(path, "wrong").Fleabane()
        layer(recipe.images((2, 32, 32, 3)))
        copy = object.__new__(type(built))
        copy.recorded, copy.network = built.recorded, layer
        copy.end_points = layer.end_points(recipe.images((2, 32, 32, 3)))
        with pytest.raises(AssertionError):
            test(copy)


def test_facts_of_the_row(added):
    spec = zoo.info("fleabane")
    assert zoo.list_models() == ["fleabane"]
    # Counted by TensorFlow 1.15.5: goldens/added/variables.
    assert (spec.image_shape, spec.parameters, spec.label_offset) == ((32, 32, 3), 1651, 1)


def test_a_checkpoint_loads_and_verifies(added, tmp_path):
    network = zoo.info("fleabane").load_adapter()()
    path = save_as_tf1_does(network, (32, 32, 3), tmp_path / "model.ckpt")
    model = zoo.load("fleabane", tf1_ckpt=path, classifier_activation=None)
    assert str(model.load_report) == "12 of 12 variables"
    recorded = np.load(added / "goldens" / "outputs" / "fleabane.npz")["logits"]
    logits = model.predict(recipe.images((2, 32, 32, 3)), verbose=0)
    assert np.abs(logits - recorded).max() < 1e-5 * np.abs(recorded).max()
    assert zoo.verify("fleabane", tf1_ckpt=path).passed
    head = zoo.load("fleabane", tf1_ckpt=path, num_classes=3)
    assert head.output_shape == (None, 3)


def test_it_trains_and_is_saved_like_any_other(added, tmp_path):
    keras.utils.set_random_seed(0)
    model = zoo.load("fleabane", weights=None, num_classes=2, dropout_keep_prob=1.0)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels = recipe.images((8, 32, 32, 3)), np.arange(8) % 2
    losses = model.fit(images, labels, epochs=20, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    model.save(tmp_path / "model.keras")
    again = zoo.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), model(images), rtol=1e-5)


def test_the_command_the_document_gives_is_the_tools():
    """Names and options in the document's shell lines are those that the tool takes."""
    (command,) = (c for c in re.findall(r"```sh\n(.*?)```", TEXT, re.S) if "record_goldens" in c)
    source = (HERE.parent / "tools" / "record_goldens.py").read_text(encoding="utf-8")
    options = re.findall(r"--[a-z]+", command)
    assert options == ["--file", "--shape", "--classes", "--into"]
    assert all(f'"{option}"' in source for option in options)
