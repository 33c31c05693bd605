"""zoo.publish and zoo.load("hf://..."), through the real client and a Hub on this machine.

What comes back is held to the model that went: the same bits. Keras alone, in a process of its
own, is held to the same outputs. Checkpoint values are those that `tf.train.Saver` wrote.
"""

import dataclasses
import hashlib
import json
import subprocess
import sys
import traceback
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hub_server import TOKEN, Fault

import zoo
from zoo import hub, registry
from zoo.errors import (
    ArgumentError,
    CheckpointFormatError,
    CheckpointMismatchError,
    DownloadError,
    OfflineError,
    PublishingError,
)
from zoo.hub import publishing
from zoo.hub.facts import facts_of

SMALL = "mobilenet_v1_0.25_128"
ALL = {
    "README.md",
    "config.json",
    "equivalence.json",
    "labels.json",
    "metadata.json",
    "model.weights.h5",
    "preprocessing.json",
    "tf1.safetensors",
    "weight_map.json",
    "zoo.json",
}


@pytest.fixture(scope="module")
def model(small_checkpoint):
    return zoo.load(SMALL, tf1_ckpt=small_checkpoint)


@pytest.fixture(scope="module")
def facts(model):
    return facts_of(model)


@pytest.fixture
def known(facts, monkeypatch):
    """Spares the tests of what happens afterwards the comparison with the TF1 graph."""
    monkeypatch.setattr(publishing, "facts_of", lambda model: facts)


@pytest.fixture
def converted(facts, monkeypatch):
    """Spares them that comparison alone: origin, accuracy and labels are found out anew."""
    monkeypatch.setattr("zoo.hub.facts.to_native", lambda model: facts.native)
    monkeypatch.setattr("zoo.hub.facts._equivalence", lambda *given: facts.equivalence)


@pytest.fixture(scope="module")
def images(model):
    return np.random.RandomState(0).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)


@pytest.fixture
def the_hub(the_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return the_hub


def files(the_hub, repo="me/net", branch="main"):
    repository = the_hub.repositories[repo]
    return repository.commits[repository.branches[branch]]


def as_json(model):
    return json.dumps(model.get_config(), sort_keys=True)  # where tuples and lists are the same


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images))


def test_model_comes_back_bit_for_bit(the_hub, model, images):
    publication = zoo.publish(model, "me/net")
    assert set(files(the_hub)) == ALL | {".gitattributes"}
    assert {name: len(files(the_hub)[name]) for name in ALL} == publication.files
    assert publication.commit == the_hub.repositories["me/net"].branches["main"]

    back = zoo.load("hf://me/net")
    assert type(back) is type(model) and as_json(back) == as_json(model)
    assert list(back.tf1_variables) == list(model.tf1_variables)
    for name, variable in model.tf1_variables.items():
        np.testing.assert_array_equal(back.tf1_variables[name].numpy(), variable.numpy())
    np.testing.assert_array_equal(outputs(back, images), outputs(model, images))
    assert back.spec == model.spec


@pytest.mark.slow
def test_changed_model_with_arguments_of_its_own_comes_back(the_hub, small_checkpoint, images):
    model = zoo.load(
        SMALL,
        tf1_ckpt=small_checkpoint,
        num_classes=3,
        dropout_keep_prob=0.5,
        class_names=["cat", "dog", "none of these"],
        classifier_activation=None,
    )
    for variable in model.trainable_variables:
        variable.assign(variable * 1.01)
    publication = zoo.publish(model, "me/net")
    back = zoo.load("hf://me/net")
    np.testing.assert_array_equal(outputs(back, images), outputs(model, images))
    assert back.network.arguments["dropout_keep_prob"] == 0.5
    assert back.decode(outputs(back, images), top=1)[0][0].name in ("cat", "dog", "none of these")
    names = [label["name"] for label in json.loads(files(the_hub)["labels.json"])]
    assert names == ["cat", "dog", "none of these"]
    assert "changed since" in publication.card


@pytest.mark.slow
def test_model_of_mixed_precision_comes_back(the_hub, small_checkpoint, images):
    model = zoo.load(SMALL, tf1_ckpt=small_checkpoint, dtype="mixed_bfloat16")
    zoo.publish(model, "me/net")
    back = zoo.load("hf://me/net")
    assert back.network.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(outputs(back, images), outputs(model, images))
    report = json.loads(files(the_hub)["equivalence.json"])
    assert report["tf1_graph"]["passed"]


def test_plain_model_comes_back_bit_for_bit(the_hub, facts, images):
    publication = zoo.publish(facts.native, "me/net")
    assert set(publication.files) == ALL - {"equivalence.json"}
    back = zoo.load("hf://me/net")
    np.testing.assert_array_equal(outputs(back, images), outputs(facts.native, images))
    assert [entry.tf1 for entry in back.weight_map] == [
        entry.tf1 for entry in facts.native.weight_map
    ]


KERAS_ALONE = """
import sys
import keras
import numpy as np
model = keras.saving.load_model("hf://me/net")
images = np.random.RandomState(0).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
np.save(sys.argv[1], keras.ops.convert_to_numpy(model(images)))
assert not [name for name in sys.modules if name.split(".")[0] in ("zoo", "tf_slim")]
"""


@pytest.mark.slow
def test_keras_alone_loads_it(the_hub, model, known, images, tmp_path):
    zoo.publish(model, "me/net")
    command = [sys.executable, "-c", KERAS_ALONE, str(tmp_path / "outputs.npy")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), outputs(model, images), rtol=0, atol=1e-6
    )  # of probabilities; convolutions may be fused in another way


def test_weights_alone_are_a_source(the_hub, model, known, images):
    zoo.publish(model, "me/net")
    other = zoo.load(SMALL, source="hf://me/net")
    np.testing.assert_array_equal(outputs(other, images), outputs(model, images))


# -- The files and the card --------------------------------------------------------------------


@pytest.fixture
def own_row(small_checkpoint, monkeypatch):
    """A row, of this test's own registry, whose published checkpoint is the small one."""
    own = registry.Registry.from_file(registry.registry_path())
    monkeypatch.setattr(registry, "_default", own)
    base = registry.info(SMALL)
    source = {"kind": "file", "path": str(Path(small_checkpoint).parent)}
    accuracy = {
        "published": {"top1": 41.5, "top5": 66.3, "source": "A paper"},
        "measured": [{"top1": 40.25, "by": "somebody"}],
    }
    registry.register(
        "card_net",
        replace=True,
        family=base.family,
        adapter=base.adapter,
        arguments=dict(base.arguments),
        input_size=base.input_size,
        num_classes=base.num_classes,
        label_offset=1,
        preprocessing=base.preprocessing,
        checkpoints={
            "tag": {"sources": [source], "licence": "Apache-2.0", "accuracy": accuracy},
        },
    )
    return "card_net"


def test_card_of_a_published_checkpoint_and_of_a_changed_one(own_row, converted):
    from huggingface_hub import ModelCard

    model = zoo.load(own_row)
    publication = zoo.publish(model, "me/net", dry_run=True)
    card = ModelCard(publication.card)
    assert card.data.library_name == "keras" and card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    figures = [(result.metric_name, result.metric_value) for result in card.data.eval_results]
    assert figures == [
        ("top-1 accuracy in percent (published)", 41.5),
        ("top-5 accuracy in percent (published)", 66.3),
        ("top-1 accuracy in percent (measured)", 40.25),
    ]
    assert "card_net.tag, unchanged" in publication.card
    assert "| 41.5 | 66.3 | published | A paper |" in publication.card

    variable = model.tf1_variables["MobilenetV1/Conv2d_0/weights"]
    variable.assign(variable + 1e-3)
    changed = zoo.publish(model, "me/net", dry_run=True)
    assert ModelCard(changed.card).data.eval_results is None
    assert "Not measured for these weights" in changed.card and "41.5" not in changed.card
    assert "card_net.tag, changed since" in changed.card


def test_card_tells_where_the_weights_come_from(the_hub, small_checkpoint, converted):
    folder = Path(small_checkpoint).parent
    contents = {path.name: path.read_bytes() for path in folder.glob("model.ckpt.*")}
    commit = the_hub.add("them/original", contents)
    model = zoo.load(SMALL, source="hf://them/original")
    publication = zoo.publish(model, "me/net", dry_run=True, licence="MIT")
    index = contents["model.ckpt.index"]
    assert f"hf://them/original@{commit}/model.ckpt.index" in publication.card
    assert hashlib.sha256(index).hexdigest() in publication.card
    assert "base_model: them/original" in publication.card and "license: mit" in publication.card
    assert str(hub.cache_dir()) not in publication.card


def test_files_say_what_they_should(the_hub, model, known):
    zoo.publish(model, "me/net")
    found = files(the_hub)
    labels = json.loads(found["labels.json"])
    assert len(labels) == 1001 and labels[0]["name"] == "background"
    assert labels[1] == {"synset": "n01440764", "name": "tench, Tinca tinca"}  # Slim's list
    assert json.loads(found["preprocessing.json"]) == {
        "kind": "inception",
        "size": 128,
        "label_offset": 1,
    }
    report = json.loads(found["equivalence.json"])
    assert report["tf1_graph"]["passed"] and report["tf1_graph"]["variables"] == 137
    assert report["native"]["difference"] <= report["native"]["tolerance"]
    names = {entry["tf1"][0] for entry in json.loads(found["weight_map.json"])["weights"]}
    assert names == set(model.tf1_variables)
    for name, content in found.items():
        if not name.endswith((".h5", ".safetensors")):
            assert str(Path.home()).encode() not in content and b"/tmp" not in content, name


def test_dry_run_sends_nothing(the_hub, model, known):
    publication = zoo.publish(model, "me/net", dry_run=True)
    assert set(publication.files) == ALL and publication.commit is None
    assert publication.card.startswith("---\n")
    assert the_hub.requests == []


# -- Where to ----------------------------------------------------------------------------------


def test_private_repository_and_another_branch(the_hub, model, known):
    zoo.publish(model, "me/net", private=True, revision="trial", message="A trial")
    repository = the_hub.repositories["me/net"]
    assert repository.private and repository.messages[-1] == "A trial"
    assert ALL <= set(files(the_hub, branch="trial"))
    assert set(files(the_hub)) == {".gitattributes"}
    assert zoo.load("hf://me/net@trial")
    with pytest.raises(ArgumentError, match=r"no model that zoo.publish put there"):
        zoo.load("hf://me/net")


def test_publishing_again_is_one_more_commit_and_is_loaded_next(the_hub, model, facts, monkeypatch):
    monkeypatch.setattr(publishing, "facts_of", lambda model: facts)
    the_hub.add("me/net", {"notes.txt": b"mine"})
    zoo.publish(model, "me/net")
    first = zoo.load("hf://me/net")
    less = dataclasses.replace(facts, labels=None)
    name = "MobilenetV1/Conv2d_0/weights"
    less.tf1.update({name: less.tf1[name] + 1})
    try:
        monkeypatch.setattr(publishing, "facts_of", lambda model: less)
        zoo.publish(model, "me/net")
    finally:
        less.tf1.update({name: less.tf1[name] - 1})
    assert "labels.json" not in files(the_hub) and files(the_hub)["notes.txt"] == b"mine"
    second = zoo.load("hf://me/net")
    step = second.tf1_variables[name].numpy() - first.tf1_variables[name].numpy()
    np.testing.assert_allclose(step, 1, atol=1e-6)


@pytest.mark.parametrize(
    "repo", ["net", "me/net/file", "me/net@x", "me/$(id)", "me/a b", "../x", ""]
)
def test_repository_names(the_hub, model, known, repo):
    with pytest.raises(ArgumentError):
        zoo.publish(model, repo, dry_run=True)
    with pytest.raises(ArgumentError):
        zoo.publish(model, repo)
    assert the_hub.requests == []


def test_models_that_cannot_be_published(the_hub):
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ArgumentError, match=r"zoo.to_native"):
        zoo.publish(plain, "me/net")
    assert the_hub.requests == []


def test_model_that_is_another_function_is_not_published(the_hub, model, monkeypatch):
    monkeypatch.setattr("zoo.validation.tolerances.LOGITS", -1.0)
    with pytest.raises(PublishingError, match="not the same function"):
        zoo.publish(model, "me/net")
    assert the_hub.requests == []


@pytest.mark.parametrize("variable", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(the_hub, model, known, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(OfflineError):
        zoo.publish(model, "me/net")
    assert zoo.publish(model, "me/net", dry_run=True).files
    assert the_hub.requests == []


# -- Faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["/repos/create", "/commit/"])
def test_passing_troubles_are_tried_again(the_hub, model, known, where):
    the_hub.fail(where, Fault(503), Fault(429, {"Retry-After": "0"}))
    assert zoo.publish(model, "me/net").commit
    assert len(the_hub.asked(where)) == 3
    assert len(the_hub.repositories["me/net"].commits) == 2


def test_upload_that_breaks_is_tried_again_by_the_client(the_hub, model, known, facts):
    digest = hashlib.sha256(_safetensors(facts)).hexdigest()
    the_hub.fail(f"/{digest}", Fault(500))
    assert zoo.publish(model, "me/net").commit
    assert len(the_hub.asked(f"/{digest}")) == 2


def _safetensors(facts):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        zoo.write_checkpoint(f"{folder}/a", facts.tf1, format="safetensors")
        return Path(folder, "a").read_bytes()


@pytest.mark.parametrize(
    "where", ["/repos/create", "/preupload/", "/lfs/objects/batch", "/commit/"]
)
@pytest.mark.parametrize("status", [401, 403])
def test_refusal_at_any_step_publishes_nothing_and_tells_no_token(
    the_hub, model, known, facts, capfd, where, status
):
    where = f"/{hashlib.sha256(_safetensors(facts)).hexdigest()}" if where == "upload" else where
    the_hub.fail(where, Fault(status))
    with pytest.raises(PublishingError, match="Not published") as caught:
        zoo.publish(model, "me/net")
    text = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert TOKEN not in text and "me/net" in text
    if "me/net" in the_hub.repositories:
        assert set(files(the_hub)) == {".gitattributes"}


def test_no_token(the_hub, model, known, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishingError, match=r"Not published(.|\n)*HF_TOKEN"):
        zoo.publish(model, "me/net")
    assert the_hub.repositories == {}


def test_hub_that_is_not_there(the_hub, model, known):
    the_hub.stop()
    with pytest.raises(PublishingError, match="could not be reached"):
        zoo.publish(model, "me/net")


def test_hub_that_keeps_another_file(the_hub, model, known):
    the_hub.add("me/net", {"x.txt": b""})
    repository = the_hub.repositories["me/net"]
    commit = repository.commit

    def other(changes, *rest):
        return commit({**changes, "zoo.json": b"{}"}, *rest)

    repository.commit = other
    with pytest.raises(PublishingError, match=r"its zoo.json is not the file that was sent"):
        zoo.publish(model, "me/net")


# -- What comes from a stranger ----------------------------------------------------------------


@pytest.fixture
def published(the_hub, model, known):
    """A repository with the model; put(name, content) changes one file of it."""
    zoo.publish(model, "me/net")

    def put(name, content):
        the_hub.add("me/net", {name: content})
        hub.prune(forget=True)

    return put


def description(the_hub, **changes):
    return json.dumps({**json.loads(files(the_hub)["zoo.json"]), **changes}).encode()


@pytest.mark.parametrize(
    "named",
    [
        {"module": "os", "class_name": "system", "config": {"command": "false"}},
        {"module": "keras.utils", "class_name": "get_file", "config": {}, "registered_name": None},
        {"module": "builtins", "class_name": "__lambda__", "config": {"value": ""}},
    ],
)
def test_description_that_names_another_class(the_hub, published, named):
    published("zoo.json", description(the_hub, model=named))
    with pytest.raises(CheckpointFormatError, match=r"neither Keras's nor registered|holds code"):
        zoo.load("hf://me/net")


def test_description_of_another_model(the_hub, published):
    dense = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    published("zoo.json", description(the_hub, model=dense))
    with pytest.raises(CheckpointFormatError, match="does not describe a model"):
        zoo.load("hf://me/net")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "no description"),
        (b"{", "no description"),
        (b"{}", "another version"),
        (b'{"format": 2, "kind": "tf1"}', "another version"),
        (b'{"format": 1, "kind": "tf1"}', "does not describe"),
        (b'{"format": 1, "kind": "tf1", "model": {"class_name": "X"}}', "does not describe"),
    ],
)
def test_description_that_is_none(published, content, message):
    published("zoo.json", content)
    with pytest.raises(CheckpointFormatError, match=message):
        zoo.load("hf://me/net")


def test_weights_of_another_network(published, tmp_path):
    zoo.write_checkpoint(tmp_path / "w", {"a": np.zeros(3)}, format="safetensors")
    published("tf1.safetensors", (tmp_path / "w").read_bytes())
    with pytest.raises(CheckpointMismatchError):
        zoo.load("hf://me/net")


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("kind", ["damage", "link", "storage elsewhere", "other network"])
def test_weights_of_a_plain_model_from_a_stranger(the_hub, facts, monkeypatch, tmp_path, kind):
    import h5py

    native = dataclasses.replace(facts, equivalence=None)
    monkeypatch.setattr(publishing, "facts_of", lambda model: native)
    zoo.publish(facts.native, "me/net")
    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"" if kind == "damage" else files(the_hub)["model.weights.h5"])
    if kind != "damage":
        with h5py.File(path, "r+") as file:
            if kind == "link":
                file["extra"] = h5py.ExternalLink("/etc/passwd", "x")
            elif kind == "storage elsewhere":
                file.create_dataset("e", (4,), "u1", external=[("/etc/passwd", 0, 4)])
            else:
                del file["layers"]
    the_hub.add("me/net", {path.name: path.read_bytes()})
    with pytest.raises(CheckpointFormatError):
        zoo.load("hf://me/net")


def test_incomplete_repository(the_hub, published):
    the_hub.repositories["me/net"].commit({"tf1.safetensors": None})
    hub.prune(forget=True)
    with pytest.raises(DownloadError, match=r"lacks tf1.safetensors"):
        zoo.load("hf://me/net")


def test_arguments_that_a_published_model_does_not_take(published):
    with pytest.raises(ArgumentError, match=r"num_classes, dropout_keep_prob"):
        zoo.load("hf://me/net", num_classes=3, dropout_keep_prob=0.5)
    with pytest.raises(ArgumentError, match="whole repository"):
        zoo.load("hf://me/net/tf1.safetensors")
    with pytest.raises(ArgumentError):
        zoo.load("https://example.org/net")


def test_failed_load_leaves_nothing_in_the_way(the_hub, published, images):
    good = files(the_hub)["zoo.json"]
    published("zoo.json", b"{}")
    with pytest.raises(CheckpointFormatError):
        zoo.load("hf://me/net")
    published("zoo.json", good)
    assert tf.is_tensor(zoo.load("hf://me/net")(images))
