import json

import pytest

from zoo import hub, registry
from zoo.cli import errors
from zoo.hub.cache import Slot
from zoo.hub.verify import Expected


@pytest.mark.parametrize("name", registry.list_models())
def test_every_fact_of_the_registry_is_shown(run, name):
    spec = registry.info(name)
    shown = run("info", name).stdout
    facts = [name, spec.family, spec.adapter, spec.preprocessing, f"{spec.parameters:,}"]
    facts += [f"{spec.input_size} x {spec.input_size}", str(spec.num_classes), spec.golden]
    facts += [*spec.aliases, *map(repr, spec.arguments.values())]
    if spec.paper:
        facts += [spec.paper.title, spec.paper.authors, str(spec.paper.year), spec.paper.url]
    for checkpoint in spec.checkpoints.values():
        facts += [checkpoint.full_name, checkpoint.licence, checkpoint.note]
        for accuracy in (checkpoint.published, *checkpoint.measured):
            if accuracy:
                percent = (accuracy.top1, accuracy.top5)
                facts += [f"{value:g}" for value in percent if value is not None]
                facts += [accuracy.by, accuracy.note]
        for source in checkpoint.sources:
            facts += [source.kind, source.member, source.size, source.digest]
            facts += source.options.get("mirrors", ())
            facts += [value for value in source.options.values() if isinstance(value, str)]
    missing = [fact for fact in facts if fact is not None and str(fact) not in shown]
    assert not missing


def test_a_tag_shows_that_checkpoint_alone(run):
    shown = run("info", "inception_v3.slim_adv_2017_08_18").stdout
    assert "checkpoint inception_v3.slim_adv_2017_08_18\n" in shown
    assert "inception_v3.slim_2016_08_28" not in shown


def test_the_default_is_marked(run):
    shown = run("info", "inception_v3").stdout
    assert "checkpoint inception_v3.slim_2016_08_28 (default)\n" in shown
    assert "checkpoint inception_v3.slim_adv_2017_08_18\n" in shown


def test_no_published_checkpoint_is_said(run):
    assert "none is published" in run("info", "alexnet_v2").stdout


def test_json(run):
    values = json.loads(run("info", "mobilenet_v1_0.25_128", "--json").stdout)
    assert values["label_offset"] == 1
    assert values["arguments"] == {"depth_multiplier": 0.25}
    assert values["checkpoint"] == "mobilenet_v1_0.25_128.slim_2018_02_22"
    checkpoint = values["checkpoints"]["slim_2018_02_22"]
    assert checkpoint["published"]["top1"] == 41.5  # TF-Slim nets/mobilenet_v1.md
    assert len(checkpoint["sources"][0]["digest"]) == 64
    assert checkpoint["cached"] == []


def test_what_is_in_the_cache_is_told(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    checkpoint = registry.info("vgg_16").checkpoint
    slot = Slot(checkpoint.full_name, checkpoint.sources[0], "vgg_16.tar.gz")
    slot.path.parent.mkdir(parents=True)
    slot.path.write_bytes(b"0123456789")
    slot.keep(Expected().check(slot.path, "a file"), "somewhere")
    assert hub.list_cached()

    assert f"cached              {slot.path} (10 bytes" in run("info", "vgg_16").stdout
    values = json.loads(run("info", "vgg_16", "--json").stdout)
    (file,) = values["checkpoints"][checkpoint.tag]["cached"]
    assert (file["path"], file["size"], file["source"]) == (str(slot.path), 10, "somewhere")
    assert "cached              no" in run("info", "vgg_19").stdout


def test_unknown_name(run):
    result = run("info", "inceptoin_v3")
    assert (result.exit_code, result.stdout) == (errors.USAGE, "")
    assert result.stderr == (
        "zoo: No model has this name.\n"
        "  Received: inceptoin_v3\n"
        "  Nearest:  inception_v3, inception_v4, inception_v2\n"
        "  Next:     `zoo list` shows every name.\n"
    )


def test_unknown_tag(run):
    result = run("info", "vgg_16.slim_2017")
    assert result.exit_code == errors.USAGE
    assert "slim_2016_08_28" in result.stderr
    assert "--ckpt" in result.stderr and "tf1_ckpt" not in result.stderr
