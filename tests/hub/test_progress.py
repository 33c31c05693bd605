"""What the hub tells while it works."""

import io
import sys

import pytest

from zoo.hub.progress import bytes_text, transfer


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with transfer("net.tgz", "host", 1_000_000, 4_000_000, True) as advance:
        advance(3_000_000)
    assert "net.tgz from host" in terminal.getvalue()
    assert "4.0/4.0 MB" in terminal.getvalue()


def test_nothing_is_told_where_nobody_asked(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with transfer("net.tgz", "host", 0, None, False) as advance:
        advance(3)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    "count, text",
    [(None, "unknown size"), (7, "7 bytes"), (1500, "1.5 kB"), (94_321_559, "94.3 MB")],
)
def test_sizes_for_people(count, text):
    assert bytes_text(count) == text
