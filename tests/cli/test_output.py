import json

import pytest

from zoo.cli import output


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_table_in_a_pipe_is_tab_separated(capsys):
    output.table(("A", "B"), [("x", "1"), ("long name", "2")])
    assert capsys.readouterr().out == "x\t1\nlong name\t2\n"


def test_a_table_on_a_terminal_is_aligned_under_a_header(capsys, terminal):
    output.table(("A", "B"), [("x", "1"), ("long name", "2")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["\x1b[1mA          B\x1b[0m", "x          1", "long name  2"]


def test_an_empty_table(capsys, terminal):
    output.table(("A", "B"), [])
    assert "A  B" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_style_where_none_is_wanted(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert output.emphasize("x") == "x"


def test_names_from_files_cannot_steer_the_terminal_or_add_lines(capsys):
    output.table(("A",), [("a\x1b[31m\nb\tc\x9b\u202e",)])
    assert capsys.readouterr().out == "a\\x1b[31m\\nb\\tc\\x9b\\u202e\n"
    output.facts([("name", "a\rb")])
    assert capsys.readouterr().out == "  name  a\\rb\n"


def test_printable_leaves_text_alone():
    assert output.printable("naïve 名前 a b") == "naïve 名前 a b"
    assert output.printable("a\nb", keep_lines=True) == "a\nb"


def test_json_has_no_infinity(capsys):
    output.print_json({"a": float("inf"), "b": [float("nan"), 1.5], "c": (1, None)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": [1, None]}
