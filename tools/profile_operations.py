"""Where a network's time goes in TensorFlow and in ONNX Runtime, by kind of operation.

`python tools/profile_operations.py NAME [BATCH [RUNS]]`, on one core and one thread. Of each
operation the shortest of the runs counts, so that what else the machine does stays out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import numpy as np
import onnxruntime
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from zoo.benchmarks import tensorflow_forms
from zoo.export import to_onnx

v1 = tf.compat.v1

# Name of an operation -> its kind, and the shortest time it took, in microseconds.
Times = dict[str, tuple[str, float]]


def in_tensorflow(model, images: np.ndarray, runs: int) -> Times:
    """Of the model with its weights as constants, as TensorFlow's own trace has it."""
    spec = tf.TensorSpec(images.shape, tf.float32)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(traced)
    with tf.Graph().as_default() as graph:
        given = {frozen.inputs[0].op.name: v1.placeholder(tf.float32, images.shape, "images")}
        wanted = [frozen.outputs[0].name]
        (logits,) = tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), given, wanted)
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    options = v1.RunOptions(trace_level=v1.RunOptions.SOFTWARE_TRACE)
    found: Times = {}
    with v1.Session(graph=graph, config=config) as session:
        for run in range(runs + 2):
            traces = v1.RunMetadata()
            session.run(logits, {"images:0": images}, options, traces)
            for device in traces.step_stats.dev_stats if run >= 2 else ():
                for node in device.node_stats:
                    kind = node.timeline_label.partition(" = ")[2].partition("(")[0]
                    taken = node.op_end_rel_nanos - node.op_start_rel_nanos
                    _note(found, node.node_name, kind or node.node_name, taken / 1e3)
    return found


def in_onnxruntime(model, images: np.ndarray, runs: int) -> Times:
    """Of the exported model, as ONNX Runtime's own profile has it."""
    found: Times = {}
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        file = to_onnx(model, Path(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        for _ in range(runs + 2):
            session.run(None, {given.name: images})
        for event in json.loads(Path(session.end_profiling()).read_text()):
            if event["name"].endswith("_kernel_time"):
                _note(found, event["name"], event["args"]["op_name"], event["dur"])
    return found


def _note(found: Times, name: str, kind: str, taken: float) -> None:
    found[name] = (kind, min(taken, found.get(name, (kind, taken))[1]))


def show(what: str, times: Times) -> None:
    kinds: Counter[str] = Counter()
    for kind, taken in times.values():
        kinds[kind] += taken
    total = sum(kinds.values())
    print(f"{what}: {total / 1e3:.1f} ms")
    for kind, taken in kinds.most_common(6):
        print(f"  {kind:32} {taken / 1e3:8.2f} ms  {taken / total:6.1%}")


def main(name: str, batch: str = "1", runs: str = "40") -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    model = tensorflow_forms.loaded(name, "float32")
    shape = (int(batch), *model.input_shape[1:])
    images = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    folded = tensorflow_forms.native(name, "float32", fold=True)
    print(f"{name}, batches of {batch}, one thread")
    show("TensorFlow, TF1 code", in_tensorflow(model, images, int(runs)))
    show("TensorFlow, folded", in_tensorflow(folded, images, int(runs)))
    show("ONNX Runtime", in_onnxruntime(model, images, int(runs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
