"""Repositories on the Hub, through the real huggingface_hub client and a Hub on this machine.

The expected bytes and hashes are those that the test itself put there (hashlib).
"""

import hashlib
import traceback

import pytest
from hub_server import TOKEN, Fault

from zoo import hub, registry
from zoo.errors import ArgumentError, DownloadError, HashMismatchError, OfflineError, RegistryError
from zoo.hub import huggingface
from zoo.hub.huggingface import Address, HubFile, choose, parse_address
from zoo.registry import CheckpointSpec, SourceSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


# -- Addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://me/net", Address("me/net")),
        ("hf://me/net@v1.0", Address("me/net", "v1.0")),
        ("hf://me/net/a/b.safetensors", Address("me/net", None, "a/b.safetensors")),
        (f"hf://me/net@{COMMIT}/b.npz", Address("me/net", COMMIT, "b.npz")),
        ("hf://me/net@refs/pr/7/b.npz", Address("me/net", "refs/pr/7", "b.npz")),
        ("hf://timm/inception_v3.tf_in1k", Address("timm/inception_v3.tf_in1k")),
    ],
)
def test_address(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://net",
        "hf:///net",
        "hf://me/",
        "hf://me/net@",
        "hf://me/net/",
        "hf://me/$(touch pwned)",
        "hf://me/`id`",
        "hf://me/net;rm -rf ~",
        "hf://me/net|cat",
        "hf://me/net&",
        "hf://me/net name",
        "hf://me/net\n",
        "hf://me/ne\x00t",
        "hf://-me/net",
        "hf://me/--upload-pack=x",
        "hf://../net",
        "hf://me/..",
        "hf://me/n..t",
        "hf://me/net@../../other",
        "hf://me/net@a b",
        "hf://me/net@$(id)",
        "hf://me/net/../../etc/passwd",
        "hf://me/net//etc/passwd",
        "hf://me/net/a\\b",
        "hf://me/net/a\nb",
        "hf://mé/net",
    ],
)
def test_repository_names_with_shell_characters_and_the_like_are_refused(the_hub, text):
    with pytest.raises(ArgumentError, match="hf://OWNER/REPOSITORY"):
        hub.local_path(text)
    assert the_hub.requests == []


# -- Which file --------------------------------------------------------------------------------


def listing(*paths):
    return [HubFile(path, 1, "sha256", "0" * 64) for path in paths]


def chosen(*paths, file=None):
    return [found.path for found in choose(Address("me/net", None, file), listing(*paths))]


BUNDLE = ("ckpt/m.ckpt-9.index", "ckpt/m.ckpt-9.data-00000-of-00001")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("model.keras", "pytorch_model.bin", "model.safetensors", *BUNDLE), ["model.safetensors"]),
        (("model.safetensors", "other.safetensors"), ["model.safetensors"]),
        (("a/x.safetensors", "y.safetensors"), ["y.safetensors"]),
        (("model.keras", "pytorch_model.bin", *BUNDLE), list(BUNDLE)),
        (("model.keras", "net.ckpt"), ["net.ckpt"]),
        (("model.keras", "net.tar.gz"), ["net.tar.gz"]),
        (("model.keras", "README.md", "tf_model.h5"), ["model.keras"]),
    ],
)
def test_the_checkpoint_of_a_repository(paths, expected):
    assert chosen(*paths) == expected


def test_a_named_file_or_prefix():
    assert chosen("a.safetensors", "b.npz", file="b.npz") == ["b.npz"]
    for name in ("ckpt/m.ckpt-9", *BUNDLE):
        assert chosen(*BUNDLE, "x.npz", file=name) == list(BUNDLE)


@pytest.mark.parametrize(
    ("paths", "file", "message"),
    [
        (
            ("pytorch_model.bin", "config.json"),
            None,
            "pickle(.|\n)*any code(.|\n)*pytorch_model.bin",
        ),
        (("a.safetensors", "b.pth"), "b.pth", "pickle"),
        (("config.json",), None, "no checkpoint(.|\n)*config.json"),
        ((), None, "an empty repository"),
        (("x.npz", "y.npz"), None, r"2 files(.|\n)*Name one: hf://me/net/x.npz"),
        (("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"), None, "2 pieces"),
        (("a.safetensors",), "b.safetensors", "no file of this name(.|\n)*a.safetensors"),
        (BUNDLE[:1], None, "lacks the file ckpt/m.ckpt-9.data"),
        (BUNDLE[1:], BUNDLE[1], "lacks the file ckpt/m.ckpt-9.index"),
    ],
)
def test_no_checkpoint_to_choose(paths, file, message):
    with pytest.raises(DownloadError, match=message):
        chosen(*paths, file=file)


def test_a_pickle_is_refused_before_anything_is_asked(the_hub):
    with pytest.raises(DownloadError, match="pickle"):
        hub.local_path("hf://me/net/pytorch_model.bin")
    assert the_hub.requests == []


def test_files_with_names_that_lead_away_are_not_seen(the_hub, body):
    the_hub.add("me/net", {"../../evil.safetensors": body, "a\\b.npz": body})
    with pytest.raises(DownloadError, match="no checkpoint"):
        hub.local_path("hf://me/net")


# -- Fetching ----------------------------------------------------------------------------------


def test_checkpoint_is_fetched_once_and_its_commit_recorded(the_hub, body, cache, left_behind):
    commit = the_hub.add("me/net", {"model.safetensors": body, "README.md": b"a net"})
    path = hub.local_path("hf://me/net")
    with open(path, "rb") as file:
        assert file.read() == body
    (entry,) = hub.list_cached()
    assert (entry.checkpoint, entry.size) == ("hf.me--net", len(body))
    assert entry.source == f"hf://me/net@{commit}/model.safetensors"
    asked = len(the_hub.requests)
    assert hub.local_path("hf://me/net") == path
    assert hub.local_path("hf://me/net", offline=True) == path
    assert len(the_hub.requests) == asked


def test_files_of_a_v2_checkpoint_come_together(the_hub, body):
    small = b"an index, kept by git itself"
    the_hub.add("me/net", {"c/m.ckpt.index": small, "c/m.ckpt.data-00000-of-00001": body})
    prefix = hub.local_path("hf://me/net/c/m.ckpt")
    assert prefix.endswith("/m.ckpt")
    with open(f"{prefix}.index", "rb") as file:
        assert file.read() == small
    with open(f"{prefix}.data-00000-of-00001", "rb") as file:
        assert file.read() == body
    assert hub.verify_cached() and all(problem is None for _, problem in hub.verify_cached())


def test_small_files_are_held_to_the_name_git_gives_them(the_hub):
    content = b"not in LFS"
    the_hub.add("me/net", {"net.ckpt": content})
    name = "5022dbadc4eee17545dc6bceda56586c8effe9fc"  # printed by `git hash-object`, git 2.39
    the_hub.fail("/resolve/", Fault(change=lambda data: data[::-1]))
    with pytest.raises(HashMismatchError, match=f"git-blob {name}"):
        hub.local_path("hf://me/net")
    assert open(hub.local_path("hf://me/net"), "rb").read() == content


def test_member_of_an_archive_goes_through(the_hub, body):
    the_hub.add("me/net", {"net.tar.gz": body})
    path = hub.local_path("hf://me/net/net.tar.gz!inside/model.ckpt")
    assert path.endswith("/net.tar.gz!inside/model.ckpt")


def test_branch_is_pinned_at_its_first_use(the_hub, body, capfd):
    first = the_hub.add("me/net", {"model.safetensors": body})
    path = hub.local_path("hf://me/net")
    second = the_hub.add("me/net", {"model.safetensors": body[::-1]})
    capfd.readouterr()
    assert hub.local_path("hf://me/net") == path
    assert f"is commit {first[:12]}, as of 20" in capfd.readouterr().err
    hub.prune("hf.*")
    assert open(hub.local_path("hf://me/net"), "rb").read() == body
    # Another revision is another file, and does not move the pin.
    assert open(hub.local_path(f"hf://me/net@{second}"), "rb").read() == body[::-1]
    assert open(hub.local_path("hf://me/net"), "rb").read() == body

    hub.prune("hf.me--net", forget=True)
    assert open(hub.local_path("hf://me/net"), "rb").read() == body[::-1]


def test_other_content_at_the_pinned_commit_is_an_error_with_both_hashes(the_hub, body):
    the_hub.add("me/net", {"model.safetensors": body})
    hub.local_path("hf://me/net")
    hub.prune()
    digest, other = (hashlib.sha256(data).hexdigest() for data in (body, body[::-1]))
    the_hub.objects[digest] = body[::-1]
    with pytest.raises(HashMismatchError) as caught:
        hub.local_path("hf://me/net")
    assert digest in str(caught.value) and other in str(caught.value)


def test_repository_without_a_checkpoint_is_not_pinned(the_hub, body):
    the_hub.add("me/net", {"README.md": b"soon"})
    with pytest.raises(DownloadError, match="no checkpoint"):
        hub.local_path("hf://me/net")
    the_hub.add("me/net", {"model.safetensors": body})
    assert open(hub.local_path("hf://me/net"), "rb").read() == body


def test_pull_requests_branch(the_hub, body):
    the_hub.add("me/net", {"model.safetensors": body})
    the_hub.repositories["me/net"].commit({"model.safetensors": b"two"}, "refs/pr/2")
    the_hub.objects[hashlib.sha256(b"two").hexdigest()] = b"two"
    assert open(hub.local_path("hf://me/net@refs/pr/2"), "rb").read() == b"two"


@pytest.mark.parametrize("variable", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(the_hub, body, monkeypatch, variable):
    the_hub.add("me/net", {"model.safetensors": body})
    monkeypatch.setenv(variable, "1")
    with pytest.raises(OfflineError, match="hf://me/net"):
        hub.local_path("hf://me/net")
    assert the_hub.requests == []
    if variable == "ZOO_OFFLINE":
        path = hub.local_path("hf://me/net", offline=False)
        assert hub.local_path("hf://me/net") == path
        hub.prune()
        with pytest.raises(OfflineError, match="is looked for at"):
            hub.local_path("hf://me/net")


def test_huggingface_hubs_own_offline_mode_is_told(the_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE"):
        hub.local_path("hf://me/net")


# -- A row of the registry ---------------------------------------------------------------------


def row(**source):
    sources = [{"kind": "hf", "repo": "me/net", "file": "model.safetensors", **source}]
    facts = {"family": "f", "adapter": "m:C", "input_size": 8, "num_classes": 2}
    checkpoints = {"tag": {"sources": sources}}
    return {"net": {**facts, "preprocessing": "lenet", "checkpoints": checkpoints}}


def read(rows):
    own = registry.Registry()
    own.register(rows, origin="test")
    return own.info("net").checkpoint


def test_registry_source(the_hub, body):
    commit = the_hub.add("me/net", {"model.safetensors": body})
    digest = hashlib.sha256(body).hexdigest()
    fetched = hub.fetch(read(row(revision=commit, sha256=digest)))
    assert fetched.path.read_bytes() == body and fetched.path.name == "model.safetensors"
    assert not the_hub.asked("/api/models")  # The hash is the registry's.
    with pytest.raises(HashMismatchError):
        hub.fetch(read(row(revision=commit, sha256="0" * 64)))


def test_registry_source_recorded_on_first_use(the_hub, body):
    the_hub.add("me/net", {"model.safetensors": body})
    checkpoint = read(row(hash=registry.FIRST_USE))
    path = hub.fetch(checkpoint).path
    path.unlink()
    the_hub.add("me/net", {"model.safetensors": body[::-1]})
    with pytest.raises(HashMismatchError, match="has changed since it was first fetched") as caught:
        hub.fetch(checkpoint)
    for data in (body, body[::-1]):
        assert hashlib.sha256(data).hexdigest() in str(caught.value)


@pytest.mark.parametrize("repo", ["net", "me/net/x", "me/$(id)", "https://x.org/me/net"])
def test_registry_refuses_what_is_no_repository(repo):
    with pytest.raises(RegistryError, match="owner/name"):
        read(row(repo=repo, sha256="0" * 64))


def test_a_source_never_fetches_a_pickle(the_hub, body):
    the_hub.add("me/net", {"pytorch_model.bin": body})
    source = SourceSpec("hf", {"repo": "me/net", "file": "pytorch_model.bin"})
    with pytest.raises(DownloadError, match="pickle"):
        hub.fetch(CheckpointSpec("net", "tag", (source,)))


# -- Who may read it ---------------------------------------------------------------------------


def test_token_opens_a_private_repository_and_goes_nowhere_else(the_hub, body, monkeypatch):
    the_hub.add("me/net", {"model.safetensors": body}, private=True)
    with pytest.raises(DownloadError, match="private(.|\n)*HF_TOKEN"):
        hub.local_path("hf://me/net")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert open(hub.local_path("hf://me/net"), "rb").read() == body
    digest = hashlib.sha256(body).hexdigest()
    assert the_hub.asked(f"/{digest}")
    assert all("authorization" not in headers for _, _, headers in the_hub.asked(f"/{digest}"))
    last = the_hub.asked("/resolve/")[-1]
    assert last[2]["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("trouble", ["missing", "gated", "429", "500", "401", "wrong bytes"])
def test_token_is_never_told(the_hub, body, monkeypatch, capfd, trouble):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    if trouble != "missing":
        the_hub.add("me/net", {"model.safetensors": body}, gated=trouble == "gated")
    if trouble.isdigit():
        the_hub.fail("/", *[Fault(int(trouble))] * 20)
    if trouble == "wrong bytes":
        the_hub.fail(hashlib.sha256(body).hexdigest(), *[Fault(change=bytes.swapcase)] * 20)
    with pytest.raises(DownloadError) as caught:
        hub.local_path("hf://me/net")
    text = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert TOKEN not in text and "s3cret" not in text
    assert "me/net" in text


def test_plain_http_endpoint_is_refused(the_hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example.org")
    with pytest.raises(DownloadError, match="plain http"):
        hub.local_path("hf://me/net")


# -- Answers that are no file ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://me/other", "no such repository"),
        ("hf://me/net@v9", "no such revision"),
        ("hf://me/net/other.npz", "no file of this name"),
    ],
)
def test_what_is_not_there(the_hub, body, address, message, left_behind):
    the_hub.add("me/net", {"model.safetensors": body})
    with pytest.raises(DownloadError, match=message):
        hub.local_path(address)
    assert left_behind() == []


def test_gated_repository(the_hub, body):
    the_hub.add("me/net", {"model.safetensors": body}, gated=True)
    with pytest.raises(DownloadError, match="gated(.|\n)*Ask for access"):
        hub.local_path("hf://me/net")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("where", ["/api/models/", "/resolve/", "signature"])
def test_passing_troubles_are_tried_again(the_hub, body, status, where):
    the_hub.add("me/net", {"model.safetensors": body[:1000]})
    place = hashlib.sha256(body[:1000]).hexdigest() if where == "signature" else where
    the_hub.fail(place, Fault(status, {"Retry-After": "0"}), Fault(status))
    assert open(hub.local_path("hf://me/net"), "rb").read() == body[:1000]
    assert len(the_hub.asked(place)) == 3


def test_lasting_trouble_ends_in_an_error(the_hub, body, left_behind):
    the_hub.add("me/net", {"model.safetensors": body})
    the_hub.fail("/api/models/", *[Fault(503)] * 20)
    with pytest.raises(DownloadError, match="the Hub answered 503 .5 tries"):
        hub.local_path("hf://me/net")
    assert left_behind() == []


def test_answer_that_is_cut_off_is_asked_for_again(the_hub, body):
    the_hub.add("me/net", {"model.safetensors": body})
    the_hub.fail("/api/models/", Fault(cut=20))
    assert open(hub.local_path("hf://me/net"), "rb").read() == body


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"sha": "HEAD", "id": "x"}'])
def test_answer_that_is_none(the_hub, body, answer):
    the_hub.add("me/net", {"model.safetensors": body})
    the_hub.fail("/api/models/", Fault(truncate=0) if not answer else Fault(instead=answer))
    with pytest.raises(DownloadError, match=r"cannot be understood|which commit"):
        hub.local_path("hf://me/net")


def test_hub_that_is_not_there(the_hub):
    the_hub.stop()
    with pytest.raises(DownloadError, match="could not be reached"):
        hub.local_path("hf://me/net")


def test_huggingface_hub_is_not_imported_for_a_cached_address(the_hub, body, tmp_path):
    import subprocess
    import sys

    the_hub.add("me/net", {"model.safetensors": body})
    hub.local_path("hf://me/net")
    code = "import sys; from zoo import hub; hub.local_path('hf://me/net')\n"
    code += "print([name for name in ('huggingface_hub', 'tensorflow') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert huggingface.SCHEME == "hf://"
