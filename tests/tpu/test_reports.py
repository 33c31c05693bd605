"""Rows, and the files that they are in. No process is started."""

import csv
import json

import pytest

from zoo.errors import ArgumentError, UnsupportedEnvironmentError
from zoo.processes import WorkerError
from zoo.tpu import compiler, reports
from zoo.tpu.requests import Request, combinations


@pytest.fixture
def asked(monkeypatch):
    """What the worker was asked for; it answers with nothing but success."""
    asked = []

    def work(verb, request, program, limits):
        asked.append((verb, request.model, request.chip))
        if request.model == "cifarnet" and verb == "export":
            raise WorkerError("the process ended\n without an answer")
        if verb == "export":
            return {"export_seconds": 1.5}
        return {"accepted": True, "compile_seconds": 2.5, "fusions": 3}

    monkeypatch.setattr(reports, "work", work)
    monkeypatch.setattr(compiler, "check_installed", lambda: None)
    return asked


def test_rows_are_written_as_they_come_and_not_made_again(asked, tmp_path):
    wanted = list(combinations(["lenet"], chip=["v5e", "v6e"]))
    first = next(reports.compile_report(wanted, out=tmp_path))
    assert (first["what"], first["accepted"], first["fusions"]) == ("compiled", True, 3)
    rows = list(reports.compile_report(wanted, out=tmp_path))
    assert [row["chip"] for row in rows] == ["v5e", "v6e"]
    # The second time the first one was found, and both chips have one export each time.
    assert [verb for verb, *_ in asked] == ["export", "compile", "export", "compile"]
    assert asked[-1] == ("compile", "lenet", "v6e")
    files = sorted(path.suffix for path in tmp_path.iterdir())
    assert files == [".csv", ".json"]
    (path,) = tmp_path.glob("tpu-compile-jax*-libtpu*-tf*-keras*.csv")
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == reports.COLUMNS
    assert [row["chip"] for row in written] == ["v5e", "v6e"]
    assert json.loads(path.with_suffix(".json").read_text())[1]["chip"] == "v6e"


def test_chips_share_an_export(asked):
    list(reports.compile_report(combinations(["lenet"], chip=["v4", "v5e", "v5p"])))
    assert [verb for verb, *_ in asked] == ["export", "compile", "compile", "compile"]


def test_what_fails_is_a_row_and_the_rest_goes_on(asked):
    rows = list(reports.compile_report(combinations(["cifarnet", "lenet"], chip=["v4", "v5e"])))
    assert [row["accepted"] for row in rows] == [False, False, True, True]
    assert rows[1]["message"] == "the process ended without an answer"
    assert [verb for verb, *_ in asked] == ["export", "export", "compile", "compile"]


def test_what_was_run_is_in_another_file(asked, tmp_path):
    list(reports.compile_report([Request("lenet")], out=tmp_path))
    (row,) = reports.run_report([Request("lenet")], out=tmp_path)
    assert row["what"] == "run" and "predicted_ms" not in row and "measured_ms" in row
    assert len(list(tmp_path.glob("tpu-run-*.csv"))) == len(list(tmp_path.glob("tpu-c*.csv"))) == 1


def test_nowhere_to_write(asked, tmp_path):
    with pytest.raises(ArgumentError, match="no folder"):
        next(reports.compile_report([Request("lenet")], out=tmp_path / "none"))
    list(reports.compile_report([Request("lenet")], out=tmp_path))
    (path,) = tmp_path.glob("*.csv")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ArgumentError, match="has other columns"):
        next(reports.compile_report([Request("lenet")], out=tmp_path))


def test_without_libtpu(monkeypatch):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedEnvironmentError, match=r"(?s)jax and libtpu not.*pip install"):
        reports.compile_report([Request("lenet")])
