"""The published numbers below are the TF-Slim README's; parameters as TensorFlow 1.15.5 counts."""

import json

import pytest

from zoo import registry
from zoo.cli import errors


def rows(result):
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_every_model_has_a_line(run):
    result = run("list")
    assert [row[0] for row in rows(result)] == registry.list_models()
    assert {len(row) for row in rows(result)} == {6}
    assert result.stderr == ""


def test_the_line_of_a_model(run):
    assert rows(run("list", "resnet_v1_50")) == [
        ["resnet_v1_50", "resnet_v1", "224", "25610152", "75.2", "slim_2016_08_28"]
    ]
    assert rows(run("list", "alexnet_v2"))[0][4:] == ["-", "-"]


def test_all_checkpoints_are_named(run):
    tags = rows(run("list", "inception_v3"))[0][5].split(",")
    assert tags == ["slim_2016_08_28", "slim_adv_2017_08_18"]


@pytest.mark.parametrize("pattern", ["resnet_v?_50", "RESNET_V?_50"])
def test_a_glob(run, pattern):
    assert [row[0] for row in rows(run("list", pattern))] == ["resnet_v1_50", "resnet_v2_50"]


def test_a_part_of_the_name(run):
    found = [row[0] for row in rows(run("list", "ception"))]
    assert {"inception_v1", "inception_v2", "inception_v3"} <= set(found)
    assert all("ception" in name for name in found)


def test_family(run):
    assert {row[1] for row in rows(run("list", "--family", "vgg"))} == {"vgg"}


def test_pretrained_and_not(run):
    pretrained = {row[0] for row in rows(run("list", "--pretrained"))}
    others = {row[0] for row in rows(run("list", "--no-pretrained"))}
    assert "vgg_16" in pretrained and "vgg_a" in others
    assert not pretrained & others
    assert pretrained | others == set(registry.list_models())


def names(result):
    return [row[0] for row in rows(result)]


def test_input_size(run):
    found = names(run("list", "mobilenet_v1", "--input-size", 160))
    assert found == [f"mobilenet_v1_{width}_160" for width in ("0.25", "0.5", "0.75", "1.0")]


@pytest.mark.parametrize("limit", ["4254889", "4.3M", "4300k", "4_300_000"])
def test_number_of_parameters(run, limit):
    """MobileNet V1 has 4,254,889 parameters, one of width 0.75 fewer."""
    found = names(run("list", "mobilenet_v1_*_224", "--max-parameters", limit))
    assert found[-1] == "mobilenet_v1_1.0_224" and len(found) == 4
    fewer = names(run("list", "mobilenet_v1_*_224", "--max-parameters", "4254888"))
    assert fewer == found[:-1]


def test_accuracy(run):
    """resnet_v1_50 has 75.2 %, _101 76.4 %, _152 76.8 %; of _200 nothing was published."""
    found = names(run("list", "resnet_v1", "--min-top1", "76.4"))
    assert found == ["resnet_v1_101", "resnet_v1_152"]


def test_filters_together(run):
    assert names(
        run("list", "--family", "vgg", "--min-top1", 71.2, "--max-parameters", "140M")
    ) == ["vgg_16"]


def test_models_that_match_but_pass_no_filter(run):
    result = run("list", "vgg_*", "--min-top1", 90)
    assert (result.exit_code, result.stdout) == (errors.NEGATIVE, "")
    assert "none of the 3 models that match 'vgg_*' passes the filters" in result.stderr


@pytest.mark.parametrize("option", [("--min-top1", "0.75"), ("--max-parameters", "5 apples")])
def test_wrong_limits(run, option):
    result = run("list", *option)
    assert result.exit_code == errors.USAGE
    assert {"--min-top1": "percent", "--max-parameters": "5M or 800k"}[option[0]] in result.stderr


def test_on_a_terminal_the_columns_have_names_and_are_aligned(on_terminal):
    header, *lines = on_terminal("-m", "zoo", "list", "--family", "vgg").splitlines()
    assert "NAME" in header and "TOP-1" in header
    column = lines[0].index("vgg", 5)
    assert len(lines) == 3 and all(line.index("vgg", 5) == column for line in lines)


def test_json(run):
    (model,) = json.loads(run("list", "inception_v3", "--json").stdout)
    assert model == {
        "name": "inception_v3",
        "family": "inception",
        "aliases": [],
        "input_size": 299,
        "num_classes": 1001,
        "parameters": 27182194,
        "top1": 78.0,
        "checkpoints": ["slim_2016_08_28", "slim_adv_2017_08_18"],
    }


def test_no_match_is_a_negative_answer_with_the_nearest_names(run):
    result = run("list", "inceptoin_v3")
    assert result.exit_code == errors.NEGATIVE
    assert result.stdout == ""
    assert "'inceptoin_v3'; nearest: inception_v3" in result.stderr


def test_no_match_as_json_is_an_empty_list(run):
    result = run("list", "zzz", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (errors.NEGATIVE, [])


def test_unknown_family(run):
    result = run("list", "--family", "incepton")
    assert result.exit_code == errors.USAGE
    assert "Nearest:  inception" in result.stderr
