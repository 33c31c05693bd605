import re
from importlib import metadata

import pytest

from zoo.benchmarks import results
from zoo.errors import ArgumentError

ROWS = [
    {"model": "net, the first", "samples_per_sec": 12.5, "rounds": 20, "twin": None, "met": True},
    {"model": 'net "two"', "samples_per_sec": 1e-7, "rounds": 3, "twin": "Net", "met": False},
]


def test_rows_come_back_as_they_were(tmp_path):
    path = results.write_csv(tmp_path / "rows.csv", ROWS)
    assert results.read_csv(path) == ROWS


def test_rows_of_different_kinds_share_the_columns(tmp_path):
    path = results.write_csv(tmp_path / "rows.csv", [{"a": 1}, {"a": 2, "b": 3}])
    assert path.read_text() == "a,b\n1,\n2,3\n"
    assert results.read_csv(path) == [{"a": 1, "b": None}, {"a": 2, "b": 3}]


def test_no_rows(tmp_path):
    with pytest.raises(ArgumentError):
        results.write_csv(tmp_path / "rows.csv", [])
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = results.write_csv(tmp_path / "rows.csv", ROWS)

    class Unwritable:
        def __str__(self):
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        results.write_csv(path, [{"model": Unwritable()}])
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]
    assert results.read_csv(path) == ROWS


def test_the_file_name_says_what_it_was_measured_on():
    name = results.result_file_name("benchmark", "NVIDIA H100 80GB HBM3")
    versions = metadata.version("tensorflow"), metadata.version("keras")
    assert name == "benchmark-nvidia_h100_80gb_hbm3-float32-tf{}-keras{}.csv".format(*versions)


def test_committed_results_are_read_and_named_so(request):
    folder = request.config.rootpath / "results"
    files = sorted(folder.glob("*.csv"))
    assert files
    for file in files:
        assert re.fullmatch(
            r"(benchmark|forms|startup)-[a-z0-9_]+-float32-tf[\d.]+-keras[\d.]+\.csv", file.name
        )
        assert results.read_csv(file)
