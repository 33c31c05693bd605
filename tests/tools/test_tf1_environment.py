"""The environment of TensorFlow 1.15.5, made with a stand-in for Python 3.7 that notes its work."""

import pytest
from legacy_tensorflow import tf1_environment

# Has TensorFlow once pip has installed it, unless there is no package index.
STAND_IN = """#!/bin/sh
here=$(dirname "$0")
lacks() {{
  echo "No module $1" >&2
  exit 1
}}
case "$*" in
  *"import tensorflow"*) test -e "$here/tensorflow" || lacks tensorflow ;;
  "-c "*) test -e "$here/venv" || lacks venv ;;
  "-m venv"*)
    echo "venv $3" >> {log}
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && touch "$4/pyvenv.cfg" "$4/bin/venv" ;;
  *"--upgrade pip") ;;
  "-m pip"*)
    echo "pip $6" >> {log}
    test -e {index} || lacks "package index"
    touch "$here/tensorflow" ;;
esac
"""


class Machine:
    """A machine without any Python 3.7 but those that a test puts there."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.environment = folder / "environment"
        self.index, self.log = folder / "index", folder / "log"
        self.index.touch()
        self.log.touch()
        (folder / "home").mkdir()
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("PATH", f"{folder}/path:/usr/bin:/bin")
        for name in ("ZOO_TF1_PYTHON", "PYENV_ROOT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(tf1_environment.shutil, "which", self.which)

    def which(self, name):
        found = self.folder / "path" / name
        return str(found) if found.exists() else None

    def put(self, path, *has):
        """A stand-in that has venv, TensorFlow or both."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STAND_IN.format(log=self.log, index=self.index))
        path.chmod(0o755)
        for module in has:
            (path.parent / module).touch()
        return str(path)

    def python(self):
        return tf1_environment.python(str(self.environment))

    @property
    def done(self):
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


MADE = ["venv --clear", "pip tensorflow==1.15.5"]


def test_one_that_is_named_and_has_tensorflow_is_taken_as_it_is(machine):
    path = machine.put(machine.folder / "own" / "python", "venv", "tensorflow")
    machine.monkeypatch.setenv("ZOO_TF1_PYTHON", path)
    assert machine.python() == path
    assert machine.done == []


@pytest.mark.parametrize("place", ["named", "path/python3.7", "home/.pyenv/versions/3.7.9/bin"])
def test_made_once(machine, place):
    name = "" if place.endswith("python3.7") else "python3.7"
    path = machine.put(machine.folder / place / name, "venv")
    if place == "named":
        machine.monkeypatch.setenv("ZOO_TF1_PYTHON", path)
    for _ in range(2):
        assert machine.python() == str(machine.environment / "bin" / "python")
        assert machine.done == MADE


@pytest.mark.parametrize(
    "tool, script",
    [
        (
            "uv",
            'case "$2" in find) test -e {found} && echo {path} ;; install) touch {found} ;; esac',
        ),
        ("conda", 'mkdir -p "$5/bin" && cp {path} "$5/bin/python" && touch "$5/bin/venv"'),
    ],
)
def test_fetched(machine, tool, script):
    path = machine.put(machine.folder / "elsewhere" / "python", "venv")
    command = machine.folder / "path" / tool
    command.parent.mkdir()
    found = machine.folder / "found"
    command.write_text("#!/bin/sh\n" + script.format(path=path, found=found) + "\n")
    command.chmod(0o755)
    assert machine.python() == str(machine.environment / "bin" / "python")
    assert machine.done == MADE


def test_a_half_made_one_is_gone_on_with(machine):
    machine.put(machine.folder / "path" / "python3.7", "venv")
    machine.index.unlink()
    with pytest.raises(tf1_environment.NoEnvironment, match="package index"):
        machine.python()
    machine.index.touch()
    machine.python()
    assert machine.done == [*MADE, "pip tensorflow==1.15.5"]


def test_one_that_does_not_start_any_more_is_made_anew(machine):
    machine.put(machine.folder / "path" / "python3.7", "venv")
    machine.python()
    (machine.environment / "bin" / "python").write_text("#!/no/such/python\n")
    machine.python()
    assert machine.done == MADE * 2


def test_what_is_no_environment_is_left_alone(machine):
    machine.put(machine.folder / "path" / "python3.7", "venv")
    machine.environment.mkdir()
    (machine.environment / "thesis.tex").touch()
    with pytest.raises(tf1_environment.NoEnvironment, match="thesis"):
        machine.python()
    assert (machine.environment / "thesis.tex").exists()


def test_without_python_37_it_says_what_was_tried_and_what_helps(machine):
    machine.put(machine.folder / "path" / "python3.7")
    with pytest.raises(tf1_environment.NoEnvironment) as raised:
        machine.python()
    assert "ZOO_TF1_PYTHON" in str(raised.value)
    assert "path/python3.7: No module venv" in str(raised.value)
    assert not machine.environment.exists()
