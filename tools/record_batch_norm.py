"""Records what TensorFlow 1.15 computes for batch normalization.

Run by TensorFlow 1.15.5's own Python (3.7), with the path of the file to write:

    python tools/record_batch_norm.py tests/goldens/batch_norm.npz

For each case below it builds `tf.compat.v1.layers.batch_normalization`, sets the variables, takes
two training steps (which move the averages alone) and one inference step, and stores under
`<case>/`: the case's `options` as JSON, `inputs` and `initial/<variable>`, then `outputs` of both
steps, `final/<variable>`, `inference`, the gradients `grad/inputs`, `grad/gamma` and `grad/beta`
of sum(outputs * weights) in the first step, with the `weights`; and all variables' `names`
(name, shape, whether trainable) and the number of `updates`. tests/shim/test_normalization.py
reads it.
"""

import json
import sys

import numpy as np
import tensorflow as tf

# The input's shape, dtype and unit, and the layer's arguments.
CASES = {
    "fused": {"shape": (4, 5, 3, 6)},
    "fused_small_epsilon": {"shape": (4, 5, 3, 6), "epsilon": 1e-7},
    "fused_no_scale_no_center": {"shape": (4, 5, 3, 6), "scale": False, "center": False},
    "not_fused": {"shape": (4, 5, 3, 6), "fused": False},
    "not_fused_no_scale": {"shape": (4, 5, 3, 6), "fused": False, "scale": False},
    "axis_1": {"shape": (4, 6, 5, 3), "axis": 1, "fused": False},
    "two_axes": {"shape": (4, 5, 3, 6), "axis": [1, 3]},
    "rank_2": {"shape": (8, 6)},
    "rank_5": {"shape": (2, 3, 2, 3, 6)},
    "float16": {"shape": (4, 5, 3, 6), "fused": False, "dtype": "float16"},
    "float64": {"shape": (8, 6), "dtype": "float64"},
    "not_trainable": {"shape": (4, 5, 3, 6), "trainable": False},
    "renorm": {"shape": (4, 5, 3, 6), "renorm": True, "renorm_momentum": 0.8},
    "renorm_clipped": {
        "shape": (8, 6),
        "renorm": True,
        "renorm_clipping": {"rmin": 0.8, "rmax": 1.25, "dmax": 0.3},
        "scale": False,
    },
    "virtual_batch": {"shape": (8, 5, 3, 6), "virtual_batch_size": 2},
    "virtual_batch_renorm": {"shape": (8, 6), "virtual_batch_size": 4, "renorm": True},
    # Last by name, as seeds go by that. An epsilon below 1.001e-5 shows where there is little else.
    "with_little_variance": {"shape": (4, 5, 3, 6), "epsilon": 1e-6, "unit": 5e-4},
}


def build(inputs, training, **options):
    return tf.compat.v1.layers.batch_normalization(
        inputs, momentum=0.9, training=training, name="bn", **options
    )


def record(case, number):
    options = dict(CASES[case])
    shape, dtype = options.pop("shape"), options.pop("dtype", "float32")
    unit = options.pop("unit", 1)
    rng = np.random.RandomState(number)
    inputs = unit * (rng.randn(2, *shape) * 2 + rng.uniform(-2, 3, shape[-1]))
    inputs = inputs.astype(dtype)
    weights = rng.randn(*shape).astype(dtype)
    found = {
        "options": np.array(json.dumps(CASES[case])),
        "inputs": inputs,
        "weights": weights,
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        placeholder = tf.compat.v1.placeholder(dtype, shape)
        training = tf.compat.v1.placeholder(tf.bool, [])
        outputs = build(placeholder, training, **options)
        variables = tf.compat.v1.global_variables()
        trainable = tf.compat.v1.trainable_variables()
        for variable in variables:
            # Away from 0 and 1, so that each one's part in the result can be told.
            value = rng.uniform(0.5, 1.5, variable.shape.as_list())
            value = value.astype(variable.dtype.base_dtype.as_numpy_dtype)
            variable.load(value, session)
            found["initial/" + short(variable)] = value
        wanted = {"inputs": placeholder}
        wanted.update({short(v): v for v in trainable})
        gradients = tf.gradients(outputs * weights, list(wanted.values()))
        updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        steps = []
        for step in range(2):
            feed = {placeholder: inputs[step], training: True}
            values, result = session.run([gradients, outputs], feed)
            if step == 0:
                names = ["grad/" + name for name in wanted]
                found.update(dict(zip(names, values)))  # noqa: B905 (Python 3.7)
            steps.append(result)
            session.run(updates, feed)
        found["outputs"] = np.stack(steps)
        for variable in variables:
            found["final/" + short(variable)] = session.run(variable)
        found["inference"] = session.run(outputs, {placeholder: inputs[0], training: False})
        found["names"] = np.array(
            [f"{v.op.name} {v.shape.as_list()} {any(v is t for t in trainable)}" for v in variables]
        )
        found["updates"] = np.array(len(updates))
    return {f"{case}/{key}": value for key, value in found.items()}


def short(variable):
    return variable.op.name.split("/")[-1]


def main(path):
    assert tf.__version__.startswith("1.15"), tf.__version__
    found = {}
    for number, case in enumerate(sorted(CASES)):
        found.update(record(case, number))
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
