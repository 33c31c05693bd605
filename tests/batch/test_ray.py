"""The class for `map_batches` on Ray of this machine, beside `zoo predict`."""

import os

import pytest
from conftest import SMALL

ray = pytest.importorskip("ray", reason="Ray is not installed: extra ray")


@pytest.fixture(scope="module")
def on_ray():
    # Actors are to find the tests' cache, and no worker is to take this process's memory.
    environment = {"env_vars": {"ZOO_CACHE": os.environ["ZOO_CACHE"], "TF_CPP_MIN_LOG_LEVEL": "2"}}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env=environment,
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


@pytest.mark.slow
def test_a_dataset_gives_the_rows_of_one_process(on_ray, files, small_checkpoint, check_rows):
    import pyarrow as pa

    from zoo.batch.ray import ZooPredictor

    def rows(table: dict) -> list[dict]:
        mapped = ray.data.from_arrow(pa.table(table)).map_batches(
            ZooPredictor,
            fn_constructor_args=[SMALL],
            fn_constructor_kwargs={"tf1_ckpt": small_checkpoint, "top": 3},
            batch_size=4,
            concurrency=1,
        )
        return mapped.take_all()

    found = rows({"path": files})
    check_rows(found)
    data = {"path": files[:-1], "bytes": [open(path, "rb").read() for path in files[:-1]]}
    check_rows([*rows(data), next(row for row in found if row["image"] == files[-1])])
