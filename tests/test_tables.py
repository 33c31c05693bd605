"""Rows written to CSV files, and read."""

import pytest

from zoo.errors import ArgumentError
from zoo.tables import read_csv, write_csv

ROWS = [
    {"model": "net, the first", "samples_per_sec": 12.5, "rounds": 20, "twin": None, "met": True},
    {"model": 'net "two"', "samples_per_sec": 1e-7, "rounds": 3, "twin": "Net", "met": False},
]


def test_rows_come_back_as_they_were(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ROWS)
    assert read_csv(path) == ROWS


def test_rows_of_different_kinds_share_the_columns(tmp_path):
    path = write_csv(tmp_path / "rows.csv", [{"a": 1}, {"a": 2, "b": 3}])
    assert path.read_text() == "a,b\n1,\n2,3\n"
    assert read_csv(path) == [{"a": 1, "b": None}, {"a": 2, "b": 3}]


def test_no_rows(tmp_path):
    with pytest.raises(ArgumentError):
        write_csv(tmp_path / "rows.csv", [])
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ROWS)

    class Unwritable:
        def __str__(self):
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        write_csv(path, [{"model": Unwritable()}])
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]
    assert read_csv(path) == ROWS


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a,b\n1\n", b"a,b\n1,2,3\n", b'a\n"1\n'])
def test_what_is_no_csv_file(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="no CSV file"):
        read_csv(path)
