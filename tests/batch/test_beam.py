"""The model handler in a pipeline of Beam's own local runner, beside `zoo predict`."""

import json
from pathlib import Path

import pytest
from conftest import SMALL

beam = pytest.importorskip("apache_beam", reason="Apache Beam is not installed: extra beam")


@pytest.mark.slow
def test_a_pipeline_gives_the_rows_of_one_process(files, small_checkpoint, check_rows, tmp_path):
    from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

    from zoo.batch.beam import ZooModelHandler

    handler = ZooModelHandler(SMALL, tf1_ckpt=small_checkpoint, top=3, batch_size=4)
    by_bytes = [(path, Path(path).read_bytes()) for path in files[:-1]]
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        paths = pipeline | "paths" >> beam.Create(files)
        _ = (
            paths
            | "by path" >> RunInference(handler)
            | "lines" >> beam.Map(json.dumps)
            | beam.io.WriteToText(str(tmp_path / "by_path.jsonl"))
        )
        _ = (
            pipeline
            | "keyed bytes" >> beam.Create(by_bytes)
            | "by bytes" >> RunInference(KeyedModelHandler(handler))
            | "rows" >> beam.MapTuple(lambda path, row: json.dumps({**row, "image": path}))
            | "write" >> beam.io.WriteToText(str(tmp_path / "by_bytes.jsonl"))
        )
    rows = _rows(tmp_path, "by_path")
    check_rows(rows)
    missing = [row for row in rows if row["image"] == files[-1]]
    check_rows([*_rows(tmp_path, "by_bytes"), *missing])


def _rows(folder, name) -> list[dict]:
    lines = [line for part in folder.glob(f"{name}*") for line in part.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_the_handler_is_light_and_says_what_beam_asks():
    import pickle

    from zoo.batch.beam import ZooModelHandler

    handler = ZooModelHandler(SMALL, batch_size=4, one_model=True)
    assert pickle.loads(pickle.dumps(handler)).batch_elements_kwargs() == {"max_batch_size": 4}
    assert handler.share_model_across_processes()
    assert handler.get_num_bytes(["a.jpg", b"1234", ("b", b"12")]) == 11
