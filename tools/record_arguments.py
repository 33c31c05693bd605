"""Records what TensorFlow 1.15.5 computes for tf_slim's networks: expected values for the tests.

Run it with Python 3.7, `tensorflow==1.15.5` and `tf-slim==1.1.0`:

    python tools/record_arguments.py tests/goldens/outputs

It writes `arguments.json` for CASES: arguments and image sizes that are not the default ones,
which tools/record_goldens.py records. The weights and the input are those of tests/recipe.py,
written anew for Python 3.7.
"""

import inspect
import json
import os
import sys
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import alexnet, inception, resnet_v1, resnet_v2

# function, arg scope
NETWORKS = {
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope),
    "inception_v3": (inception.inception_v3, inception.inception_v3_arg_scope),
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope),
    "alexnet_v2": (alexnet.alexnet_v2, alexnet.alexnet_v2_arg_scope),
}

# network, height and width, arguments
DENSE = {"num_classes": None, "global_pool": False}
CASES = [
    ("resnet_v1_50", (97, 97), dict(DENSE, output_stride=4)),
    ("resnet_v1_50", (97, 97), dict(DENSE, output_stride=8)),
    ("resnet_v1_50", (97, 97), dict(DENSE, output_stride=16)),
    ("resnet_v1_50", (97, 97), dict(DENSE, output_stride=32)),
    ("resnet_v1_50", (96, 128), dict(DENSE, output_stride=8)),
    ("resnet_v1_50", (96, 128), {"num_classes": 10}),
    ("resnet_v1_50", (96, 128), {"num_classes": None}),
    ("resnet_v2_50", (97, 97), dict(DENSE, output_stride=4)),
    ("resnet_v2_50", (97, 97), dict(DENSE, output_stride=8)),
    ("resnet_v2_50", (97, 97), dict(DENSE, output_stride=16)),
    ("resnet_v2_50", (96, 128), dict(DENSE, output_stride=8)),
    ("resnet_v2_50", (96, 128), {"num_classes": 10}),
    ("resnet_v2_50", (96, 128), {"num_classes": None}),
    ("inception_v1", (256, 288), {"num_classes": 10, "spatial_squeeze": False}),
    ("inception_v2", (128, 160), {"num_classes": 10}),
    ("inception_v2", (256, 288), {"num_classes": 10, "spatial_squeeze": False}),
    ("inception_v2", (128, 128), {"num_classes": 10, "depth_multiplier": 0.5}),
    (
        "inception_v2",
        (128, 128),
        {"num_classes": 10, "depth_multiplier": 0.25, "min_depth": 32},
    ),
    ("inception_v3", (149, 163), {"num_classes": 10}),
    ("inception_v3", (149, 149), {"num_classes": 10, "create_aux_logits": False}),
    ("inception_v3", (331, 331), {"num_classes": 10, "spatial_squeeze": False}),
    (
        "inception_v3",
        (149, 149),
        {"num_classes": 10, "depth_multiplier": 0.25, "min_depth": 32},
    ),
    ("alexnet_v2", (288, 256), {"num_classes": 10, "spatial_squeeze": False}),
]


def draw(name, shape):
    """The value of a variable: a function of its name and shape alone."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    last = name.split("/")[-1]
    if last == "moving_variance":
        value = rng.uniform(0.5, 1.5, shape)
    elif last == "moving_mean":
        value = rng.normal(0, 0.1, shape)
    elif last == "gamma":
        value = rng.uniform(0.8, 1.2, shape)
    elif last in ("beta", "biases", "bias"):
        value = rng.normal(0, 0.05, shape)
    elif last == "depthwise_weights":
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[:2])), shape)
    elif len(shape) >= 2:
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    else:
        value = rng.normal(0, 0.1, shape)
    return value.astype(np.float32)


def samples(array):
    """64 values at places that depend on the size alone."""
    return array.ravel()[np.random.RandomState(1).choice(array.size, 64)]


def run(function, arg_scope, height, width, arguments):
    """(logits or features, end points, {variable name: shape}) of the inference graph."""
    images = np.random.RandomState(0).uniform(-1, 1, (2, height, width, 3)).astype(np.float32)
    with tf.Graph().as_default():
        with slim.arg_scope(arg_scope()):
            net, end_points = function(tf.constant(images), is_training=False, **arguments)
        variables = {v.op.name: v for v in tf.global_variables()}
        with tf.Session() as session:
            values = {
                variable.initializer.inputs[1]: draw(name, variable.shape.as_list())
                for name, variable in variables.items()
            }
            session.run([v.initializer for v in variables.values()], values)
            net, end_points = session.run([net, dict(end_points)])
    return net, end_points, {name: v.shape.as_list() for name, v in variables.items()}


def record_case(name, size, arguments):
    function, arg_scope = NETWORKS[name]
    assert set(arguments) <= set(inspect.signature(function).parameters)
    net, _, variables = run(function, arg_scope, size[0], size[1], arguments)
    shapes = json.dumps(sorted(variables.items()), separators=(",", ":"))
    return {
        "arch": name,
        "size": size,
        "arguments": arguments,
        "shape": net.shape,
        "scale": float(np.abs(net).max()),
        "samples": [float(f"{value:.9g}") for value in samples(net)],
        "num_variables": len(variables),
        "variables_crc32": zlib.crc32(shapes.encode()) & 0xFFFFFFFF,
    }


def main(folder):
    assert tf.__version__ == "1.15.5", tf.__version__
    cases = [record_case(*case) for case in CASES]
    with open(os.path.join(folder, "arguments.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1])
