"""Records what TensorFlow 1.15.5 computes for Slim's MobileNets V2 and V3: expected values.

Run it with Python 3.7, `tensorflow==1.15.5` and `tf-slim==1.1.0`, and with the Slim model library
(the folder research/slim of tensorflow/models, which holds nets/mobilenet):

    python tools/record_mobilenets.py research/slim tests/goldens

It writes variables and outputs of the widths of WIDTHS, outputs of OUTPUTS, and
`outputs/arguments_mobilenet.json` for CASES: other arguments and image sizes.
"""

import gzip
import json
import os
import sys
import zlib

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from record_arguments import draw, run, samples

NARROW = {"finegrain_classification_mode": True}

# name -> (network whose defaults it has, arguments)
WIDTHS = {
    "mobilenet_v2_130": ("mobilenet_v2", {"depth_multiplier": 1.3}),
    "mobilenet_v2_075": ("mobilenet_v2", dict(NARROW, depth_multiplier=0.75)),
    "mobilenet_v2_050": ("mobilenet_v2", dict(NARROW, depth_multiplier=0.5)),
    "mobilenet_v3_large_075": ("mobilenet_v3_large", dict(NARROW, depth_multiplier=0.75)),
    "mobilenet_v3_small_075": ("mobilenet_v3_small", dict(NARROW, depth_multiplier=0.75)),
}
OUTPUTS = {
    "mobilenet_v2_035": ("mobilenet_v2", dict(NARROW, depth_multiplier=0.35)),
    "mobilenet_v2_140": ("mobilenet_v2", {"depth_multiplier": 1.4}),
    "mobilenet_v3_small_minimalistic": ("mobilenet_v3_small_minimalistic", {}),
    "mobilenet_edgetpu_075": ("mobilenet_edgetpu", dict(NARROW, depth_multiplier=0.75)),
}

# network, height and width, arguments
FEATURES = {"base_only": True}
CASES = [
    ("mobilenet_v2", (96, 128), {"num_classes": 10}),
    ("mobilenet_v2", (96, 128), {"num_classes": None}),
    ("mobilenet_v2", (97, 97), dict(FEATURES, output_stride=4)),
    ("mobilenet_v2", (97, 97), dict(FEATURES, output_stride=8)),
    ("mobilenet_v2", (96, 128), dict(FEATURES, output_stride=16)),
    ("mobilenet_v2", (96, 96), dict(FEATURES, use_explicit_padding=True)),
    ("mobilenet_v2", (97, 97), dict(FEATURES, final_endpoint="layer_15")),
    (
        "mobilenet_v2",
        (96, 96),
        {"num_classes": 10, "depth_multiplier": 0.5, "min_depth": 24, "divisible_by": 4},
    ),
    ("mobilenet_v3_large", (96, 96), {"num_classes": 10}),
    ("mobilenet_v3_large", (224, 256), {"num_classes": 10}),
    ("mobilenet_v3_large", (97, 97), dict(FEATURES, output_stride=16, final_endpoint="layer_17")),
    ("mobilenet_v3_small", (96, 96), {"num_classes": 10, "use_groupnorm": True}),
    ("mobilenet_v3_small", (96, 96), dict(NARROW, num_classes=10, depth_multiplier=0.5)),
    ("mobilenet_v3_small", (96, 96), {"num_classes": 10, "depth_multiplier": 1.25}),
    ("mobilenet_v3_large_minimalistic", (96, 96), {"num_classes": 10, "depth_multiplier": 0.75}),
    ("mobilenet_edgetpu", (96, 96), {"num_classes": 10}),
    ("mobilenet_edgetpu", (97, 97), dict(FEATURES, final_endpoint="layer_9")),
]


def networks():
    """name -> (function, arg scope), of Slim's own code."""
    from nets.mobilenet import mobilenet_v2, mobilenet_v3

    v3 = {
        "mobilenet_v3_large": mobilenet_v3.large,
        "mobilenet_v3_small": mobilenet_v3.small,
        "mobilenet_v3_large_minimalistic": mobilenet_v3.large_minimalistic,
        "mobilenet_v3_small_minimalistic": mobilenet_v3.small_minimalistic,
        "mobilenet_edgetpu": mobilenet_v3.edge_tpu,
    }

    def inference_scope():
        # Without a word on training the scope would train.
        return mobilenet_v3.training_scope(is_training=False)

    named = {name: (function, inference_scope) for name, function in v3.items()}
    named["mobilenet_v2"] = (mobilenet_v2.mobilenet, inference_scope)
    return named


def record_outputs(name, function, arg_scope, arguments, folder):
    logits, end_points, _ = run(function, arg_scope, 224, 224, arguments)
    names = list(end_points)
    arrays = [end_points[name] for name in names]
    np.savez_compressed(
        os.path.join(folder, name + ".npz"),
        logits=logits,
        ep_names=np.array(names),
        ep_mean=np.array([a.mean(dtype=np.float64) for a in arrays]),
        ep_std=np.array([a.std(dtype=np.float64) for a in arrays]),
        ep_samples=np.stack([samples(a) for a in arrays]),
        ep_shapes=np.array([json.dumps(a.shape) for a in arrays]),
    )


def record_variables(name, function, arg_scope, arguments, defaults):
    """What tests/goldens/variables holds of a width; `defaults` is the network's own record."""
    with tf.Graph().as_default():
        with slim.arg_scope(arg_scope()):
            images = tf.zeros([2, 224, 224, 3])
            _, end_points = function(images, is_training=False, **arguments)
        variables = tf.global_variables()
        trainable = set(tf.trainable_variables())
        losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        with tf.Session() as session:
            for v in variables:
                v.load(draw(v.op.name, v.shape.as_list()), session)
            total = float(session.run(tf.add_n(losses)))

    def size(some):
        return sum(v.shape.num_elements() for v in some)

    return dict(
        defaults,
        arch=name,
        num_params=size(variables),
        num_trainable_params=size(trainable),
        reg_loss_inference=total,
        num_reg_losses=len(losses),
        variables=[[v.op.name, v.shape.as_list(), v in trainable] for v in variables],
        end_points=[[key, value.shape.as_list()] for key, value in end_points.items()],
    )


def record_case(name, function, arg_scope, size, arguments):
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


def main(library, folder):
    assert tf.__version__ == "1.15.5", tf.__version__
    sys.path.insert(0, library)
    named = networks()
    outputs = os.path.join(folder, "outputs")

    def variables_of(name):
        return os.path.join(folder, "variables", name + ".json.gz")

    cases = [record_case(name, *named[name], size, rest) for name, size, rest in CASES]
    with open(os.path.join(outputs, "arguments_mobilenet.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    for name, (base, arguments) in dict(WIDTHS, **OUTPUTS).items():
        record_outputs(name, *named[base], arguments, outputs)
    for name, (base, arguments) in WIDTHS.items():
        with gzip.open(variables_of(base)) as file:
            defaults = json.loads(file.read().decode())
        record = record_variables(name, *named[base], arguments, defaults)
        with open(variables_of(name), "wb") as file:
            text = json.dumps(record, separators=(",", ":"))
            file.write(gzip.compress(text.encode(), 9))


if __name__ == "__main__":
    main(*sys.argv[1:])
