import inspect
import signal
import subprocess
import sys

import pytest
from interrupts import heed_interrupts

from zoo import errors as zoo_errors
from zoo import registry
from zoo.cli import errors

EXPECTED = {
    "TrainingError": 1,
    "ZooError": 2,
    "ArgumentError": 2,
    "ConversionError": 2,
    "InputShapeError": 2,
    "UnknownModelError": 2,
    "CheckpointNotFoundError": 3,
    "CheckpointFormatError": 3,
    "UnsafeArchiveError": 3,
    "CheckpointMismatchError": 3,
    "ImageError": 3,
    "DownloadError": 4,
    "HashMismatchError": 4,
    "OfflineError": 4,
    "PublishingError": 4,
    "UnsupportedEnvironmentError": 5,
    "RegistryError": 5,
    "ShimError": 5,
}


@pytest.fixture
def failing(run, monkeypatch):
    """Runs `zoo info x`, where the registry raises the given exception."""

    def start(error, *options):
        def info(name):
            raise error

        monkeypatch.setattr(registry, "info", info)
        return run(*options, "info", "x")

    return start


def test_every_error_of_zoo_has_an_exit_code_here():
    classes = {
        name
        for name, item in vars(zoo_errors).items()
        if inspect.isclass(item) and issubclass(item, zoo_errors.ZooError)
    }
    assert classes == set(EXPECTED)


@pytest.mark.parametrize(("name", "code"), EXPECTED.items())
def test_the_message_goes_to_stderr_and_the_class_gives_the_exit_code(failing, name, code):
    error = getattr(zoo_errors, name)(
        "What is wrong.", received="r", accepted="a", nearest=["n"], next_step="s"
    )
    result = failing(error)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == (
        "zoo: What is wrong.\n  Received: r\n  Accepted: a\n  Nearest:  n\n  Next:     s\n"
    )


def test_debug_adds_the_traceback_of_any_error(failing):
    result = failing(zoo_errors.ArgumentError("What is wrong."), "--debug")
    assert "Traceback" in result.stderr and "in info" in result.stderr
    assert result.exit_code == errors.USAGE


def test_an_unexpected_exception_is_called_a_bug(failing):
    result = failing(KeyError("weights"))
    assert result.exit_code == errors.BUG
    assert result.stderr == (
        "zoo: This is a bug in zoo: KeyError: 'weights' (`zoo --debug ...` shows where)\n"
    )


def test_the_environment_can_ask_for_the_traceback(failing, monkeypatch):
    monkeypatch.setenv("ZOO_DEBUG", "1")
    assert "Traceback" in failing(KeyError("weights")).stderr


def test_an_operating_system_error_names_the_file(failing):
    result = failing(PermissionError(13, "Permission denied", "model.ckpt"))
    assert result.exit_code == errors.FILE
    assert result.stderr == "zoo: Permission denied: model.ckpt\n"


def test_a_message_cannot_steer_the_terminal(failing):
    assert "\x1b" not in failing(zoo_errors.ArgumentError("a \x1b[2J b")).stderr


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ("pass num_classes=10 to load", "pass --num-classes 10 to load"),
        ("pass tf1_ckpt= with one", "pass --ckpt PATH with one"),
        ("or pass tf1_ckpt=PATH.", "or pass --ckpt PATH."),
        ('pass name_map=zoo.NameMap(strip_scope="a/b").', "pass --strip-scope a/b."),
        ("pass NameMap(strip_scope='a').", "pass --strip-scope a."),
        ('Use zoo.load("vgg_16", tf1_ckpt=...).', "Give the name vgg_16 with --ckpt."),
    ],
)
def test_next_steps_are_the_commands(python, command):
    assert errors.in_command_terms(python) == command


def test_interrupted(failing):
    result = failing(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "zoo: interrupted\n")


def test_control_c_ends_a_slow_command_without_a_traceback():
    script = (
        "import sys, time; from zoo import registry; from zoo.cli import main\n"
        "def slow(name):\n    print('started', flush=True); time.sleep(60)\n"
        "registry.info = slow; sys.argv = ['zoo', 'info', 'x']; sys.exit(main())\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert program.stdout.readline() == "started\n"
    program.send_signal(signal.SIGINT)
    _, stderr = program.communicate(timeout=120)
    assert (program.returncode, stderr) == (130, "zoo: interrupted\n")
