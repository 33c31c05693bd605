"""The command; what is published, and how, is tests/hub/test_publishing.py's matter."""

import json

import pytest

from zoo.cli import errors
from zoo.hub import publishing
from zoo.hub.publishing import Publication

SMALL = "mobilenet_v1_0.25_128"


@pytest.fixture
def published(monkeypatch):
    """What zoo.publish was called with."""
    calls = []

    def publish(model, repo, **options):
        calls.append((model, repo, options))
        sent = {} if options["dry_run"] else {"commit": "0123", "url": "https://x.org/me/net"}
        return Publication(repo, options["revision"], {"zoo.json": 1500}, "# A card", **sent)

    monkeypatch.setattr(publishing, "publish", publish)
    return calls


def test_options_and_output(run, small_checkpoint, published):
    options = ["--private", "--revision", "trial", "--licence", "MIT", "--base-model", "a/b"]
    result = run(
        "publish", SMALL, "me/net", "--ckpt", small_checkpoint, "-m", "A message", *options
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["me/net", "0123", "https://x.org/me/net"]
    ((model, repo, given),) = published
    assert (model.model_name, repo) == (SMALL, "me/net")
    assert given == {
        "private": True,
        "revision": "trial",
        "licence": "MIT",
        "base_model": "a/b",
        "message": "A message",
        "dry_run": False,
    }


def test_dry_run_shows_files_and_card(run, small_checkpoint, published):
    result = run("publish", SMALL, "me/net", "--ckpt", small_checkpoint, "--dry-run")
    assert result.stdout == "zoo.json\t1500\n\n# A card\n"
    assert "nothing was sent; 1.5 kB would be" in result.stderr
    result = run("publish", SMALL, "me/net", "--ckpt", small_checkpoint, "--dry-run", "--json")
    shown = json.loads(result.stdout)
    assert (shown["commit"], shown["card"]) == (None, "# A card")


def test_saved_model(run, tmp_path, small_checkpoint, published):
    import zoo

    model = zoo.load(SMALL, tf1_ckpt=small_checkpoint)
    model.save(tmp_path / "mine.keras")
    assert run("publish", tmp_path / "mine.keras", "me/net").exit_code == 0
    assert type(published[0][0]) is type(model)


def test_usage(run, tmp_path):
    assert run("publish", "no_such_net", "me/net", "--dry-run").exit_code == errors.USAGE
    saved = tmp_path / "a.keras"
    result = run("publish", saved, "me/net", "--ckpt", "x")
    assert result.exit_code == errors.USAGE and "--ckpt" in result.stderr
    assert run("publish", saved, "me/net", "--dry-run").exit_code == errors.FILE
