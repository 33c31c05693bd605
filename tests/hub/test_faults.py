"""Faults that a fetch survives, each counted: from the web, and from the Hub on this machine.

What has to arrive are the bytes that the test itself put on the server.
"""

import datetime
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time

import pytest
from hub_server import Fault

from zoo import hub
from zoo.errors import DownloadError, HashMismatchError, OfflineError
from zoo.registry import CheckpointSpec, SourceSpec

ADDRESS = "hf://me/net"


@pytest.fixture(scope="session")
def weights(body):
    return body[:1_000_000]


@pytest.fixture
def big_file(the_hub, weights):
    """The path of the checkpoint's bytes on the server of big files."""
    the_hub.add("me/net", {"model.safetensors": weights})
    return hashlib.sha256(weights).hexdigest()


def content(path):
    with open(path, "rb") as file:
        return file.read()


def ranges(the_hub, big_file):
    return [headers.get("range") for _, _, headers in the_hub.asked(big_file)]


# -- The connection, the server ----------------------------------------------------------------


@pytest.mark.parametrize("tenth", range(1, 10))
def test_connection_cut_at_each_tenth_of_a_file_and_resumed(the_hub, big_file, weights, tenth):
    cut = len(weights) * tenth // 10
    the_hub.fail(big_file, Fault(cut=cut))
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file) == [None, f"bytes={cut}-"]


def test_connection_cut_at_every_tenth_in_turn_and_resumed_nine_times(the_hub, big_file, weights):
    the_hub.fail(big_file, *[Fault(cut=len(weights) // 10)] * 9)
    assert content(hub.local_path(ADDRESS)) == weights
    starts = [f"bytes={len(weights) * tenth // 10}-" for tenth in range(1, 10)]
    assert ranges(the_hub, big_file) == [None, *starts]


@pytest.mark.parametrize("cut", [0, 1, 999_999])
def test_connection_cut_at_either_end_of_a_file(the_hub, big_file, weights, cut):
    the_hub.fail(big_file, Fault(cut=cut))
    assert content(hub.local_path(ADDRESS)) == weights


def test_server_killed_and_restarted(the_hub, big_file, weights, monkeypatch):
    monkeypatch.setattr("zoo.hub.download.BACKOFF", 0.1)
    the_hub.fail(big_file, Fault(cut=300_000, down=0.4))
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file) == [None, "bytes=300000-"]


def test_server_killed_for_good_leaves_what_the_next_call_resumes(the_hub, big_file, weights):
    the_hub.fail(big_file, Fault(cut=300_000, down=0.3))
    with pytest.raises(DownloadError, match="refuses the connection .5 tries"):
        hub.local_path(ADDRESS)
    deadline = time.monotonic() + 10
    while not the_hub.servers:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file)[-1] == "bytes=300000-"


def test_server_that_stops_answering(the_hub, big_file, weights, monkeypatch):
    monkeypatch.setattr("zoo.hub.download.READ_TIMEOUT", 0.2)
    the_hub.fail(big_file, Fault(wait=3))
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file)[-1].startswith("bytes=")


def test_slow_server_is_waited_for(the_hub, big_file, weights):
    the_hub.fail(big_file, Fault(wait=0.5))
    assert content(hub.local_path(ADDRESS)) == weights
    assert len(the_hub.asked(big_file)) == 1


# -- The bytes ---------------------------------------------------------------------------------


def test_hash_mismatch_is_an_error_that_names_both_and_leaves_nothing(
    the_hub, big_file, weights, left_behind
):
    wrong = b"?" + weights[1:]
    the_hub.fail(big_file, Fault(change=lambda body: wrong))
    with pytest.raises(HashMismatchError) as caught:
        hub.local_path(ADDRESS)
    assert big_file in str(caught.value)
    assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert [name for name in left_behind() if "safetensors" in name] == []
    assert content(hub.local_path(ADDRESS)) == weights


def test_hash_mismatch_after_a_resumed_download_starts_again(the_hub, big_file, weights):
    wrong = b"?" + weights[1:]
    the_hub.fail(big_file, Fault(change=lambda body: wrong, cut=500_000))
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file) == [None, "bytes=500000-", None]


@pytest.mark.parametrize("length", [0, 999_999])
def test_truncated_file_that_is_called_whole(the_hub, big_file, weights, length, left_behind):
    the_hub.fail(big_file, Fault(truncate=length))
    with pytest.raises(HashMismatchError, match=f"{length} bytes"):
        hub.local_path(ADDRESS)
    assert [name for name in left_behind() if "safetensors" in name] == []


def test_longer_file_is_not_taken(the_hub, big_file, weights):
    the_hub.fail(big_file, Fault(change=lambda body: body + b"?"))
    with pytest.raises(HashMismatchError, match="1000001 bytes"):
        hub.local_path(ADDRESS)


# -- This machine ------------------------------------------------------------------------------

FETCH = """
import sys
from zoo import hub
from zoo.errors import ZooError
try:
    print(hub.local_path(sys.argv[1]))
except ZooError as error:
    sys.exit(str(error))
"""


def fetch(*, prepare=None, code=FETCH, arguments=(ADDRESS,)):
    command = [sys.executable, "-c", code, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, preexec_fn=prepare, **pipes)


def only_small_files():
    # The writes that would make a file longer fail, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


def test_disk_full_in_the_middle(the_hub, big_file, weights, cache):
    process = fetch(prepare=only_small_files)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "cannot be stored" in err and "ZOO_CACHE" in err and "Traceback" not in err
    assert [path.name for path in cache.rglob("model.safetensors")] == []
    assert content(hub.local_path(ADDRESS)) == weights
    start = int(ranges(the_hub, big_file)[-1][6:-1])
    assert 0 < start <= 400_000


def wait_for_part(cache, size):
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size >= size for path in cache.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_kill_9_in_the_middle(the_hub, big_file, weights, cache):
    the_hub.fail(big_file, Fault(wait=30))
    process = fetch()
    wait_for_part(cache, 200_000)
    process.kill()
    process.communicate()
    assert [path.name for path in cache.rglob("model.safetensors")] == []
    (part,) = cache.rglob("*.part")
    stopped = part.stat().st_size
    assert content(hub.local_path(ADDRESS)) == weights
    assert ranges(the_hub, big_file)[-1] == f"bytes={stopped}-"


@pytest.mark.slow
def test_eight_processes_at_once_make_one_download(the_hub, big_file, weights):
    the_hub.fail(big_file, Fault(wait=3))
    processes = [fetch() for _ in range(8)]
    paths = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(paths) == 1 and content(paths.pop()) == weights
    assert len(the_hub.asked(big_file)) == 1
    assert len(the_hub.asked("/api/models")) == 1


# -- Two processes, different content ----------------------------------------------------------

FETCH_URL = """
import hashlib, json, sys
from zoo import hub
from zoo.registry import CheckpointSpec, SourceSpec
url, digest = sys.argv[1:]
source = SourceSpec("https", {"url": url}, None, None, "sha256" if digest else None, digest or None)
path = hub.fetch(CheckpointSpec("net", "tag", (source,))).path
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def outputs(processes):
    results = [process.communicate(timeout=60) for process in processes]
    assert all(process.returncode == 0 for process in processes), results
    return [out.strip() for out, _ in results]


def test_two_processes_that_are_sent_different_content_end_with_the_same(server, weights):
    gate = threading.Event()
    url = server.add("/net.tar.gz", weights, gate=gate)
    processes = [fetch(code=FETCH_URL, arguments=[url, ""]) for _ in range(2)]
    while not server.requests:
        time.sleep(0.01)
    server.add("/net.tar.gz", weights[::-1], etag='"v2"')
    gate.set()
    assert outputs(processes) == [hashlib.sha256(weights).hexdigest()] * 2
    assert len(server.requests) == 1


def test_two_processes_that_want_different_content_of_one_address_both_get_it(server, weights):
    contents = [weights, weights[::-1]]
    digests = [hashlib.sha256(data).hexdigest() for data in contents]
    url = server.add("/net.tar.gz", contents[0])
    assert outputs([fetch(code=FETCH_URL, arguments=[url, digests[0]])]) == digests[:1]
    server.add("/net.tar.gz", contents[1], etag='"v2"')
    assert outputs([fetch(code=FETCH_URL, arguments=[url, digests[1]])]) == digests[1:]
    # The first one's file is where it was, whoever still reads it.
    assert outputs([fetch(code=FETCH_URL, arguments=[url, digests[0]])]) == digests[:1]
    assert len(server.requests) == 2


# -- Clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [-30, 30])
def test_clock_skew_of_the_server(the_hub, big_file, weights, years):
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=365 * years)
    then = now + datetime.timedelta(seconds=1)
    dates = [f"{moment:%a, %d %b %Y %H:%M:%S GMT}" for moment in (now, then)]
    the_hub.fail(big_file, Fault(429, {"Date": dates[0], "Retry-After": dates[1]}))
    begun = time.monotonic()
    assert content(hub.local_path(ADDRESS)) == weights
    assert 1 <= time.monotonic() - begun < 10  # the second that it asked for, by its own clock


@pytest.mark.parametrize("year", [1971, 2099])
def test_clock_skew_of_this_machine(the_hub, big_file, weights, year):
    path = hub.local_path(ADDRESS)
    moment = datetime.datetime(year, 1, 1).timestamp()
    os.utime(path, (moment, moment))
    assert hub.local_path(ADDRESS, offline=True) == path
    record = json.loads(content(f"{path}.json"))
    record["fetched"] = f"{year}-01-01T00:00:00+00:00"
    with open(f"{path}.json", "w") as file:
        json.dump(record, file)
    assert hub.local_path(ADDRESS, offline=True) == path
    assert len(the_hub.asked(big_file)) == 1


# -- The cache, altered after the fact ---------------------------------------------------------


@pytest.mark.parametrize("times", ["new", "old"])
def test_cached_file_altered_after_the_fact(the_hub, big_file, weights, times):
    path = hub.local_path(ADDRESS)
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(bytes([weights[1000] ^ 1]))
    if times == "old":  # as a careful intruder, or a failing disk, would leave it
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(OfflineError):
        hub.local_path(ADDRESS, offline=True)
    assert content(hub.local_path(ADDRESS)) == weights
    assert len(the_hub.asked(big_file)) == 2


@pytest.mark.parametrize("size", [0, 999_999])
def test_cached_file_cut_short_after_the_fact(the_hub, big_file, weights, size):
    path = hub.local_path(ADDRESS)
    os.truncate(path, size)
    assert content(hub.local_path(ADDRESS)) == weights


@pytest.mark.parametrize("text", ["", "{}", "null", '{"files": []}', '{"files": [{}]}'])
def test_record_of_the_commit_destroyed_after_the_fact(the_hub, big_file, weights, cache, text):
    hub.local_path(ADDRESS)
    (pin,) = (cache / "pins").glob("*.json")
    pin.write_text(text)
    assert content(hub.local_path(ADDRESS)) == weights
    assert len(the_hub.asked(big_file)) == 1
    assert json.loads(pin.read_text())["commit"]


def test_first_use_record_is_kept_through_a_failed_fetch(server, weights):
    spec = CheckpointSpec("n", "t", (SourceSpec("https", {"url": server.add("/n", weights)}),))
    path = hub.fetch(spec).path
    path.unlink()
    server.add("/n", weights[::-1], etag='"v2"')
    for _ in range(2):
        with pytest.raises(HashMismatchError, match="recorded on first use"):
            hub.fetch(spec)
