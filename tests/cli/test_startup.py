import pytest

# What stands in for TensorFlow in these tests: chatter of C++, then of Python.
CHATTER = (
    "import os, sys, types\n"
    "from zoo.cli import startup\n"
    "class Finder:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name == 'tensorflow':\n"
    "            os.write(2, b'I0000 port.cc:153] oneDNN\\n')\n"
    "            print('from Python', file=sys.stderr)\n"
    "            {then}\n"
    "startup.check_environment = lambda: None\n"
    "sys.meta_path.insert(0, Finder())\n"
    "module = types.ModuleType('tensorflow')\n"
    "startup.import_tensorflow(debug={debug})\n"
    "os.write(2, b'afterwards\\n')\n"
)


def test_a_failing_import_shows_what_was_held_back(run_program):
    result = run_program(python=("-c", CHATTER.format(then="raise OSError('broken')", debug=False)))
    assert result.returncode == 1
    assert "from Python\n" in result.stderr
    assert "oneDNN" in result.stderr and "OSError: broken" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("debug", [False, True])
def test_chatter_is_shown_only_when_debugging(run_program, quiet_environment, debug):
    script = CHATTER.format(then="return None", debug=debug)
    result = run_program(python=("-c", script), env=quiet_environment)
    assert result.returncode == 0, result.stderr
    assert "from Python\n" in result.stderr and "afterwards\n" in result.stderr
    assert ("oneDNN" in result.stderr) is debug


def test_warnings_are_one_line(run_program):
    script = (
        "import warnings; from zoo.cli import startup; startup.show_warnings_plainly()\n"
        "warnings.warn('something is odd')"
    )
    assert run_program(python=("-c", script)).stderr == "zoo: warning: something is odd\n"
