"""Records what TensorFlow 1.15.5 computes for NASNet and PNASNet, and outputs of one MobileNet V1.

Run it with Python 3.7 and `tensorflow==1.15.5`, and with the Slim model library of November 2019
(the folder research/slim of tensorflow/models), whose networks are written for `tf.contrib.slim`:

    python tools/record_contrib.py research/slim tests/goldens/outputs

It writes outputs of OUTPUTS, `arguments_nasnet.json` for CASES (other arguments and image sizes)
and `training_nasnet.json` for TRAINING: what the networks compute in training with nothing dropped,
and how much drop path keeps of each cell's paths at the steps of STEPS.
"""

import json
import os
import sys
import zlib

import numpy as np
import tensorflow.compat.v1 as tf
from record_arguments import draw, samples
from tensorflow.contrib import slim

NARROW = {"num_cells": 3, "num_conv_filters": 8}
BOUNDED = dict(NARROW, use_bounded_activation=True)

# golden -> (network, image size, classes, arguments)
OUTPUTS = {
    "nasnet_cifar": ("nasnet_cifar", 32, 10, {}),
    "pnasnet_mobile": ("pnasnet_mobile", 224, 1001, {}),
    "mobilenet_v1_050": ("mobilenet_v1", 224, 1001, {"depth_multiplier": 0.5}),
}

# network, height and width, arguments
CASES = [
    ("nasnet_cifar", (16, 24), {"num_classes": 10, "config": NARROW}),
    ("nasnet_cifar", (16, 16), {"num_classes": None, "config": BOUNDED}),
    ("nasnet_mobile", (64, 96), {"num_classes": 10, "config": NARROW}),
    (
        "nasnet_mobile",
        (64, 64),
        {"num_classes": 5, "config": dict(NARROW, num_cells=4, num_reduction_layers=3)},
    ),
    ("nasnet_large", (64, 96), {"num_classes": 10, "config": NARROW}),
    (
        "nasnet_large",
        (64, 64),
        {"num_classes": 10, "config": NARROW, "final_endpoint": "Reduction_Cell_1"},
    ),
    ("pnasnet_mobile", (65, 65), {"num_classes": 10, "config": BOUNDED}),
    (
        "pnasnet_mobile",
        (64, 64),
        {"num_classes": 10, "config": dict(NARROW, num_cells=6, skip_reduction_layer_input=0)},
    ),
    (
        "pnasnet_large",
        (64, 96),
        {"num_classes": 10, "config": dict(NARROW, filter_scaling_rate=1.5, stem_multiplier=2.0)},
    ),
]

# network, height and width
TRAINING = [
    ("nasnet_cifar", (16, 16)),
    ("nasnet_mobile", (115, 163)),
    ("nasnet_large", (115, 163)),
    ("pnasnet_mobile", (115, 163)),
    ("pnasnet_large", (115, 163)),
]
NOTHING_DROPPED = dict(NARROW, drop_path_keep_prob=1.0, dense_dropout_keep_prob=1.0)
HALF_DROPPED = dict(NARROW, drop_path_keep_prob=0.5, total_training_steps=1000)
STEPS = (0, 250, 1000, 5000)


def networks():
    """name -> (function, arg scope, configuration)."""
    from nets import mobilenet_v1
    from nets.nasnet import nasnet, pnasnet

    named = {
        "mobilenet_v1": (mobilenet_v1.mobilenet_v1, mobilenet_v1.mobilenet_v1_arg_scope, None),
        "nasnet_cifar": (
            nasnet.build_nasnet_cifar,
            nasnet.nasnet_cifar_arg_scope,
            nasnet.cifar_config,
        ),
    }
    for module, prefix in ((nasnet, "nasnet"), (pnasnet, "pnasnet")):
        for size in ("mobile", "large"):
            named[prefix + "_" + size] = (
                getattr(module, f"build_{prefix}_{size}"),
                getattr(module, f"{prefix}_{size}_arg_scope"),
                getattr(module, size + "_imagenet_config"),
            )
    return named


def build(network, images, is_training, arguments):
    """(logits or features, end points) in the current graph."""
    function, arg_scope, configuration = network
    arguments = dict(arguments)
    if "config" in arguments:
        arguments["config"] = configuration().override_from_dict(arguments["config"])
    with slim.arg_scope(arg_scope()):
        return function(images, is_training=is_training, **arguments)


def assign(session):
    variables = [v for v in tf.global_variables() if v.op.name != "global_step"]
    values = {v.initializer.inputs[1]: draw(v.op.name, v.shape.as_list()) for v in variables}
    session.run([v.initializer for v in variables], values)
    return {v.op.name: v.shape.as_list() for v in variables}


def run(network, size, is_training, arguments):
    """(logits or features, end points, {variable name: shape})."""
    images = np.random.RandomState(0).uniform(-1, 1, (2,) + tuple(size) + (3,))
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(images.astype(np.float32))
        net, end_points = build(network, images, is_training, arguments)
        variables = assign(session)
        net, end_points = session.run([net, dict(end_points)])
    return net, end_points, variables


def sampled(net):
    return {
        "shape": net.shape,
        "scale": float(np.abs(net).max()),
        "samples": [float(f"{value:.9g}") for value in samples(net)],
    }


def record_outputs(network, size, classes, arguments):
    logits, end_points, _ = run(network, (size, size), False, dict(arguments, num_classes=classes))
    names = list(end_points)
    arrays = [end_points[name] for name in names]
    return {
        "logits": logits,
        "ep_names": np.array(names),
        "ep_mean": np.array([a.mean(dtype=np.float64) for a in arrays]),
        "ep_std": np.array([a.std(dtype=np.float64) for a in arrays]),
        "ep_samples": np.stack([samples(a) for a in arrays]),
        "ep_shapes": np.array([json.dumps(a.shape) for a in arrays]),
    }


def record_case(name, network, size, arguments):
    net, _, variables = run(network, size, False, arguments)
    shapes = json.dumps(sorted(variables.items()), separators=(",", ":"))
    return dict(
        {"arch": name, "size": size, "arguments": arguments},
        num_variables=len(variables),
        variables_crc32=zlib.crc32(shapes.encode()) & 0xFFFFFFFF,
        **sampled(net),
    )


def kept_paths(network, size):
    """Cell -> its paths that are dropped at times, and how often each is kept at each of STEPS."""
    with tf.Graph().as_default(), tf.Session() as session:
        arguments = {"num_classes": 10, "config": HALF_DROPPED}
        step = tf.train.create_global_step()
        build(network, tf.zeros((2,) + size + (3,)), True, arguments)
        paths = [op for op in tf.get_default_graph().get_operations() if op.type == "Floor"]
        # floor(kept + a random number): whether an image keeps the path.
        kept = {op.name.rpartition("/")[0]: op.inputs[0].op.inputs[0] for op in paths}
        at_steps = []
        for number in STEPS:
            step.load(number, session)
            at_steps.append(session.run(kept))
    cells = {}
    for scope in kept:
        cell, _, path = scope.partition("/")
        numbers = [round(float(at[scope]), 7) for at in at_steps]
        known = cells.setdefault(cell, {"paths": [], "kept": numbers})
        assert known["kept"] == numbers
        known["paths"].append(path)
    return cells


def record_training(name, network, size):
    arguments = {"num_classes": 10, "config": NOTHING_DROPPED}
    _, end_points, _ = run(network, size, True, arguments)
    return {
        "arch": name,
        "size": size,
        "arguments": arguments,
        "end_points": {key: sampled(value) for key, value in end_points.items()},
        "dropping": {"config": HALF_DROPPED, "steps": STEPS, "kept": kept_paths(network, size)},
    }


def write(cases, path):
    with open(path, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main(library, folder):
    assert tf.__version__ == "1.15.5", tf.__version__
    sys.path.insert(0, library)
    named = networks()
    cases = [record_case(name, named[name], *rest) for name, *rest in CASES]
    write(cases, os.path.join(folder, "arguments_nasnet.json"))
    cases = [record_training(name, named[name], *rest) for name, *rest in TRAINING]
    write(cases, os.path.join(folder, "training_nasnet.json"))
    for name, (network, *rest) in OUTPUTS.items():
        outputs = record_outputs(named[network], *rest)
        np.savez_compressed(os.path.join(folder, name + ".npz"), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
