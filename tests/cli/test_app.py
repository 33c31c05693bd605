import os

import pytest

from zoo import __version__
from zoo.cli import READER_GONE, app, errors

LIGHT = [
    ("--help",),
    ("--version",),
    ("list",),
    ("info", "inception_v3"),
    ("cache", "list"),
    *((name, "--help") for name in app.COMMANDS),
]


def test_help_names_every_command_and_exit_code(run):
    shown = run("--help").stdout
    for name in (*app.COMMANDS, "cache"):
        assert f"\n  {name} " in shown
    codes = (errors.NEGATIVE, errors.USAGE, errors.FILE, errors.DOWNLOAD, errors.INSTALLATION)
    for code in (0, *codes, errors.BUG, 74, 130, 141):
        assert f"\n    {code} " in shown


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_help_and_json(run, name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_no_command_shows_help_and_is_wrong_usage(run):
    result = run()
    assert result.exit_code == errors.USAGE
    assert "Usage: zoo" in result.output


@pytest.mark.parametrize("wrong", [("lsit",), ("list", "--bogus"), ("info",), ("list", "a", "b")])
def test_wrong_usage(run, wrong):
    result = run(*wrong)
    assert result.exit_code == errors.USAGE
    assert result.stdout == ""
    assert "Usage: zoo" in result.stderr


def test_version(run):
    lines = run("--version").stdout.splitlines()
    assert lines[0] == f"zoo {__version__}"
    assert [line.split()[0] for line in lines[1:]] == ["tensorflow", "keras", "tf-slim"]


# What takes its time to import: a light command starts in a third of a second without.
HEAVY = {
    *("tensorflow", "tf_slim", "keras", "jax", "torch", "numpy", "PIL"),
    *("huggingface_hub", "safetensors", "requests", "filelock", "rich"),
}


def test_light_commands_import_nothing_heavy(run_program):
    script = (
        "import sys; from zoo.cli import main\n"
        f"for arguments in {LIGHT!r}:\n"
        "    sys.argv = ['zoo', *arguments]\n"
        "    assert main() == 0, arguments\n"
        f"    heavy = {HEAVY!r} & set(sys.modules)\n"
        "    assert not heavy, (arguments, heavy)\n"
    )
    result = run_program(python=("-c", script))
    assert result.returncode == 0, result.stderr


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request):
    """Output that fails does so at the end, or with the first line."""
    return {**os.environ, "PYTHONUNBUFFERED": request.param}


def test_a_reader_that_went_away_is_no_trouble(run_program, environment):
    reader, writer = os.pipe()
    os.close(reader)
    result = run_program("list", stdout=writer, env=environment)
    os.close(writer)
    assert (result.returncode, result.stderr) == (READER_GONE, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_told(run_program, environment):
    with open("/dev/full", "w") as full:
        result = run_program("list", stdout=full, env=environment)
    assert result.returncode == 74
    assert result.stderr == "zoo: No space left on device\n"


def test_in_a_pipe_nothing_is_styled(run_program):
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    for arguments in (("list",), ("--help",), ("info", "vgg_16"), ("info", "nosuch")):
        result = run_program(*arguments, env=environment)
        assert "\x1b" not in result.stdout + result.stderr
        assert not set("│╭─") & set(result.stdout + result.stderr)


def test_on_a_terminal_tables_are_aligned_under_a_header(on_terminal):
    header, model = on_terminal("-m", "zoo", "list", "resnet_v1_50").splitlines()
    assert header.startswith("\x1b[1mNAME          FAMILY     INPUT")
    assert model.startswith("resnet_v1_50  resnet_v1  224    25610152")
