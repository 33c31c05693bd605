"""The model handler in a pipeline of Beam's own local runner, beside `zoo predict`."""

import json
from pathlib import Path

import pytest
from conftest import SMALL

beam = pytest.importorskip("apache_beam", reason="Apache Beam is not installed: extra beam")


@pytest.fixture(scope="module")
def handler(small_checkpoint):
    from zoo.batch.beam import ZooModelHandler

    return ZooModelHandler(SMALL, tf1_ckpt=small_checkpoint, top=3, batch_size=4)


@pytest.mark.slow
def test_a_pipeline_gives_the_rows_of_one_process(handler, files, check_rows, tmp_path):
    from apache_beam.ml.inference.base import RunInference

    by_bytes = [(path, Path(path).read_bytes()) for path in files[:4]]
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create([*by_bytes, *files[4:]])
            | RunInference(handler)
            | beam.Map(json.dumps)
            | beam.io.WriteToText(str(tmp_path / "rows.jsonl"))
        )
    parts = tmp_path.glob("rows.jsonl*")
    check_rows([json.loads(line) for part in parts for line in part.read_text().splitlines()])


def test_keyed_elements(handler, files, check_rows):
    from apache_beam.ml.inference.base import KeyedModelHandler

    keyed = KeyedModelHandler(handler)
    rows = list(keyed.run_inference([(path, path) for path in files], keyed.load_model()))
    assert [key for key, _ in rows] == files
    check_rows([row for _, row in rows])


def test_the_handler_is_light_and_says_what_beam_asks():
    import pickle

    from zoo.batch.beam import ZooModelHandler

    handler = ZooModelHandler(SMALL, batch_size=4, one_model=True)
    assert pickle.loads(pickle.dumps(handler)).batch_elements_kwargs() == {"max_batch_size": 4}
    assert handler.share_model_across_processes()
    assert handler.get_num_bytes(["a.jpg", b"1234", ("b", b"12")]) == 11
