"""The class for `map_batches` on Ray of this machine, beside `zoo predict`."""

import os

import pytest
from conftest import SMALL

ray = pytest.importorskip("ray", reason="Ray is not installed: extra ray")


@pytest.fixture(scope="module")
def on_ray():
    with pytest.MonkeyPatch.context() as patch:
        # On a machine whose memory others fill, Ray would stop its actors and start them for ever.
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")
        # Actors are to find the tests' cache.
        found = {name: os.environ[name] for name in ("ZOO_CACHE", "TF_CPP_MIN_LOG_LEVEL")}
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            runtime_env={"env_vars": found},
            object_store_memory=100_000_000,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.mark.slow
def test_files_that_ray_reads_give_the_rows_of_one_process(
    on_ray, files, small_checkpoint, check_rows, expected
):
    from zoo.batch.ray import ZooPredictor

    images = ray.data.read_binary_files(files[:-1], include_paths=True)
    rows = images.map_batches(
        ZooPredictor,
        fn_constructor_args=[SMALL],
        fn_constructor_kwargs={"tf1_ckpt": small_checkpoint, "top": 3},
        batch_size=4,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    check_rows([*rows.take_all(), expected[-1]])


def test_paths_give_the_rows_of_one_process(files, small_checkpoint, check_rows):
    import numpy as np

    from zoo.batch.ray import ZooPredictor

    predictor = ZooPredictor(SMALL, tf1_ckpt=small_checkpoint, top=3)
    check_rows(predictor({"path": np.array(files)}).to_pylist())
