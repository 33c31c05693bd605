"""Python processes that are asked in lines of JSON: the one that asks, and the one that answers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from zoo.errors import ZooError


class WorkerError(ZooError, RuntimeError):
    """A process could not do what it was asked to; the message is short."""


class Process:
    """Starts `python -m MODULE ARGUMENTS`; ends it on leaving the `with` block.

    Args:
        module: it calls `answer` of this file.
        *arguments: of its command line.
        environment: added to this process's.
        name: what errors call it.
        seconds: that an answer may take; the process is ended after that.
        memory: resident bytes that it may hold while it is at an answer; it is ended where it
            holds more, if there is /proc to tell, as on Linux.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        name: str = "the process",
        seconds: float | None = None,
        memory: int | None = None,
    ) -> None:
        self._name, self._seconds, self._memory = name, seconds, memory
        self._excess = ""  # which limit it went over
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
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
        if not self.has_ended:
            self._kill()
        self._process.communicate()
        self._log.close()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, what: str, **details) -> dict:
        """What the process answers.

        Raises:
            WorkerError: it failed, has ended, or went over a limit.
        """
        with self._within_limits():
            try:
                print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
                line = self._process.stdout.readline()
            except BrokenPipeError:
                line = ""
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._kill()  # What it has left behind, or itself.
            self._process.wait()
            raise WorkerError(self._excess or f"{self._name} ended: {self._last_words()}")
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

    @contextlib.contextmanager
    def _within_limits(self) -> Iterator[None]:
        done = threading.Event()
        watching = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()

    def _watch(self, done: threading.Event) -> None:
        end = time.monotonic() + (self._seconds or math.inf)
        while not done.wait(0.1 if self._memory else self._seconds):
            if time.monotonic() >= end:
                self._excess = f"no answer in {self._seconds:g} seconds"
            elif self._memory and (held := self.resident()) > self._memory:
                self._excess = f"stopped at {held / (1 << 30):.1f} GiB of memory"
            if self._excess:
                self._kill()
                return

    def _kill(self) -> None:
        """It, and what it has started, such as PyTorch's compilers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as where there is no memory left"
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        return how + (f", {said[-1][:300]}" if said else "")


def _words(error: Exception) -> str:
    """An error of zoo's own has its text; others have the first line of theirs."""
    text = str(error).strip() or "no message"
    if isinstance(error, ZooError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}"


def answer(
    asked: Mapping[str, Callable[..., dict]], words: Callable[[Exception], str] = _words
) -> None:
    """Answers line after line: for the process that is asked. It ends with the one that asks,
    whatever it is at.

    Args:
        asked: what it can be asked -> function of the details.
        words: what is said of an error.
    """
    import traceback

    # Libraries print what they like, from C++ too: to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        details = json.loads(lines.get())
        try:
            said = asked[details.pop("do")](**details)
        except Exception as error:
            traceback.print_exc()
            said = {"error": words(error)}
        print(json.dumps(said), file=answers, flush=True)


def _listen(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def cores() -> int:
    """Processor cores that this process may use."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return found or 1
