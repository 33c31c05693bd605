"""A Python process that is asked in lines of JSON, seen from the one that asks it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.errors import ZooError


class WorkerError(ZooError, RuntimeError):
    """A process could not do what it was asked to; the message is one line."""


class Process:
    """Starts `python -m MODULE`; ends it on leaving the `with` block.

    Args:
        module: its `main` calls `answer` of this file.
        environment: added to this process's.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
            start_new_session=True,  # Ctrl-C is for the one that asks.
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error) -> None:
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, what: str, **details) -> dict:
        """What the process answers.

        Raises:
            WorkerError: it failed, or has ended.
        """
        try:
            print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def resident(self) -> int:
        """Bytes of memory that the process holds; 0 where that is not to be known."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            hint = ", as where there is no memory left" if -code == signal.SIGKILL else ""
            return f"killed by {signal.Signals(-code).name}{hint}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        return f"exit code {code}" + (f", {said[-1][:300]}" if said else "")


def answer(asked: Mapping[str, Callable[..., dict]]) -> None:
    """Answers line after line, until there are no more: for the process that is asked.

    Args:
        asked: what it can be asked -> function of the details.
    """
    import traceback

    # Libraries print what they like, from C++ too: to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        details = json.loads(line)
        try:
            said = asked[details.pop("do")](**details)
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip() or "no message"
            if not isinstance(error, ZooError):
                text = f"{type(error).__name__}: {text.splitlines()[0][:300]}"
            said = {"error": text}
        print(json.dumps(said), file=answers, flush=True)
