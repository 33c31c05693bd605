"""A Python 3.7 with TensorFlow 1.15.5 and tf-slim 1.1.0: found, or made.

TensorFlow 1.15.5 is there for Python 3.7 and older alone, so it gets a virtual environment of its
own: `.tf1/` in the checkout, made once. A Python 3.7 to make it with is looked for in this order:

    ZOO_TF1_PYTHON     which is taken as it is if it has TensorFlow 1.15.5 already
    python3.7          on the PATH, and this Python itself
    pyenv              $PYENV_ROOT (~/.pyenv if not set), any 3.7
    uv, then conda     which fetch one if they have none and can

An environment that was left half-made is gone on with. Only the standard library is used, so that
any Python runs this.
"""

import contextlib
import glob
import os
import shutil
import subprocess
import sys

try:
    import fcntl
except ImportError:  # Windows: two at once are not told apart there
    fcntl = None

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".tf1")
PACKAGES = ["tensorflow==1.15.5", "tf-slim==1.1.0", "protobuf<3.21", "numpy<1.19"]
VERSIONS = "Python 3.7, TensorFlow 1.15.5 and tf-slim 1.1.0"
HAS_TENSORFLOW = """
import tensorflow, tf_slim
assert tensorflow.__version__ == "1.15.5", "TensorFlow is " + tensorflow.__version__
"""
MAKES_ENVIRONMENTS = """
import sys, venv, ensurepip
assert sys.version_info[:2] == (3, 7), "Python is " + sys.version.split()[0]
"""


class NoEnvironment(Exception):
    """There is no Python with TensorFlow 1.15.5, and none can be made; says why, and what helps."""


def python(folder=FOLDER, say=lambda text: None):
    """Path of a Python that has TensorFlow 1.15.5; makes the environment if there is none.

    Args:
        folder: the environment's.
        say: called with a line of text before each thing that takes its time.

    Raises:
        NoEnvironment: there is no Python 3.7, or the packages cannot be installed.
    """
    given = os.environ.get("ZOO_TF1_PYTHON")
    if given and problem_of(given, HAS_TENSORFLOW) is None:
        return given
    with locked(folder + ".lock"):
        if problem_of(interpreter(folder), HAS_TENSORFLOW) is not None:
            make(folder, say)
    return interpreter(folder)


def environment():
    """The variables to run it with: this process's, without those that are meant for this Python
    or TensorFlow."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "PYTHON"))}
    return dict(kept, TF_CPP_MIN_LOG_LEVEL="3")


def make(folder, say):
    """Makes the environment, or goes on with one that was left half-made."""
    if strangers(folder):
        raise NoEnvironment(f"{folder} holds something else: {', '.join(strangers(folder))}.")
    if problem_of(interpreter(folder), MAKES_ENVIRONMENTS) is None:
        say(f"Going on with {folder}, which lacks {VERSIONS}.")
        install(folder)
        if problem_of(interpreter(folder), HAS_TENSORFLOW) is None:
            return
    base = base_python(folder, say)
    say(f"Making {folder} with {base}: {VERSIONS}, about 200 MB to fetch.")
    run([base, "-m", "venv", "--clear", folder])
    install(folder)
    problem = problem_of(interpreter(folder), HAS_TENSORFLOW)
    if problem is not None:
        raise NoEnvironment(f"TensorFlow 1.15.5 is installed but does not start here: {problem}")


def strangers(folder):
    """What is in a folder that an environment, be it half-made, would not have; it stays."""
    if not os.path.isdir(folder):
        return [folder] if os.path.lexists(folder) else []
    if os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        return []
    return sorted(set(os.listdir(folder)) - {"bin", "include", "lib", "lib64", "Scripts", "Lib"})


def install(folder):
    pip = [interpreter(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The pip of an early 3.7 does not know TensorFlow's kind of wheel.
    run([*pip, "--upgrade", "pip"])
    run([*pip, *PACKAGES])


def base_python(folder, say):
    """A Python 3.7 that can make virtual environments."""
    refused = []
    for place in (installed, from_uv, from_conda):
        try:
            for path in place(folder, say):
                problem = problem_of(path, MAKES_ENVIRONMENTS)
                if problem is None:
                    return path
                refused.append(f"{path}: {problem}")
        except NoEnvironment as error:
            refused.append(str(error))
    raise NoEnvironment(
        "TensorFlow 1.15.5 needs Python 3.7, and none is to be had: no python3.7 on the PATH or in "
        "pyenv, none from uv or conda.\n"
        "Install one (`pyenv install 3.7`, `conda create -n python37 python=3.7`) or let "
        "ZOO_TF1_PYTHON name one." + "".join(f"\n  Not usable: {line}" for line in refused)
    )


def installed(folder, say):
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    found = [os.environ.get("ZOO_TF1_PYTHON"), shutil.which("python3.7")]
    found += [sys.executable] if sys.version_info[:2] == (3, 7) else []
    found += sorted(glob.glob(os.path.join(pyenv, "versions", "3.7*", "bin", "python3.7")))
    return [path for path in found if path]


def from_uv(folder, say):
    if not shutil.which("uv"):
        return []
    # Without the option uv may name the virtual environment that it is called in.
    find = ["uv", "python", "find", "--system", "3.7"]
    try:
        return [run(find).strip()]
    except NoEnvironment:
        say("Asking uv for a Python 3.7.")
        run(["uv", "python", "install", "3.7"])  # uv of 2026 has none that old any more
        return [run(find).strip()]


def from_conda(folder, say):
    if not shutil.which("conda"):
        return []
    prefix = folder + "-python"
    say(f"Asking conda for a Python 3.7, in {prefix}.")
    run(["conda", "create", "--yes", "--quiet", "--prefix", prefix, "python=3.7"])
    return [interpreter(prefix)]


def interpreter(folder):
    if os.name == "nt":
        return os.path.join(folder, "Scripts", "python.exe")
    return os.path.join(folder, "bin", "python")


def run(command):
    """What a command printed.

    Raises:
        NoEnvironment: it failed, with its own last words.
    """
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=800
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoEnvironment(f"`{' '.join(command)}` did not run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise NoEnvironment("\n  ".join([f"`{' '.join(command)}` failed:", *said]))
    return done.stdout


def problem_of(path, code):
    """Why a Python does not run some code; None if it does."""
    try:
        run([path, "-c", code])
    except NoEnvironment as error:
        return str(error).splitlines()[-1].strip()
    return None


@contextlib.contextmanager
def locked(path):
    """One process at a time, of those that want the same environment."""
    try:
        file = open(path, "w")
    except OSError as error:
        raise NoEnvironment(f"No environment can be made here: {error}") from error
    with file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
