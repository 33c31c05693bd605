"""What scripts of several devices or workers found."""

import pytest
from training.processes import cluster, result, start


@pytest.fixture(scope="module")
def mirrored() -> dict:
    return result(start("mirrored_script.py"))


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> list[dict]:
    """The results of two workers of one cluster on this machine."""
    folder = tmp_path_factory.mktemp("checkpoints")
    processes = [start("worker_script.py", folder, TF_CONFIG=config) for config in cluster(2)]
    try:
        return [result(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
