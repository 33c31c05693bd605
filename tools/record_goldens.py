"""Records what TensorFlow 1.15.5 makes of networks' original code: expected values for the tests.

    python tools/record_goldens.py vgg_a resnet_v1_50 --into tests/goldens
    python tools/record_goldens.py all --check tests/goldens
    python tools/record_goldens.py fleabane --file original.py \\
        --shape 2 32 32 3 --classes 11 --into tests/goldens

Any Python runs it. TensorFlow 1.15.5 runs in a Python 3.7 of its own, which is found or made
(tools/tf1_environment.py), and there tools/record_network.py does the recording. Networks are
those of `tf_slim.nets` by name, or a function in a file. Weights and images are those of
tests/recipe.py, a function of names and shapes. With `--check` nothing is written: the recording
is held against the files of a folder, to 1e-6 of each tensor's largest value.

What is written, by kind (`--record`; variables and outputs if left out):

variables/NAME.json.gz
    What the network consists of: tests/goldens/variables/README.md.
outputs/NAME.npz
    What it computes in inference: tests/goldens/outputs/README.md.
training_steps/NAME.npz
    Three steps of plain gradient descent in training mode on one batch, dropout off, moving
    averages updated. The loss is cross entropy, averaged over the batch, and all regularization
    losses, before the step. Arrays:
    case              JSON: arch, tf_version, input_shape, num_classes, arguments (of the network,
                      besides its defaults), labels (of the batch), learning_rate
    losses            (3,) float64: of the steps
    gradient_names    (n,) str: TF1 names of the trainable variables, in the order of creation
    gradient_norms    (n,) float64: Euclidean norms of the first step's gradients
    average_names     (m,) str: TF1 names of moving means and variances, in the order of creation
    average_mean      (m,) float64: mean of each after the first step
    average_std       (m,) float64: standard deviation
    average_samples   (m, 64) float32: values at the flat C-order indices
                      numpy.random.RandomState(1).choice(size, 64)
"""

import argparse
import json
import os
import subprocess
import sys

import tf1_environment

KINDS = ("variables", "outputs", "training_steps")
HERE = os.path.dirname(os.path.abspath(__file__))

# Networks of tf_slim.nets: module, arg scope, image size, and classes of the published checkpoint.
NETWORKS = {
    "alexnet_v2": ("alexnet", "alexnet_v2_arg_scope", 224, 1000),
    "inception_v1": ("inception_v1", "inception_v1_arg_scope", 224, 1001),
    "inception_v2": ("inception_v2", "inception_v2_arg_scope", 224, 1001),
    "inception_v3": ("inception_v3", "inception_v3_arg_scope", 299, 1001),
    "overfeat": ("overfeat", "overfeat_arg_scope", 231, 1000),
    "resnet_v1_50": ("resnet_v1", "resnet_arg_scope", 224, 1000),
    "resnet_v1_101": ("resnet_v1", "resnet_arg_scope", 224, 1000),
    "resnet_v1_152": ("resnet_v1", "resnet_arg_scope", 224, 1000),
    "resnet_v1_200": ("resnet_v1", "resnet_arg_scope", 224, 1000),
    "resnet_v2_50": ("resnet_v2", "resnet_arg_scope", 224, 1001),
    "resnet_v2_101": ("resnet_v2", "resnet_arg_scope", 224, 1001),
    "resnet_v2_152": ("resnet_v2", "resnet_arg_scope", 224, 1001),
    "resnet_v2_200": ("resnet_v2", "resnet_arg_scope", 224, 1001),
    "vgg_a": ("vgg", "vgg_arg_scope", 224, 1000),
    "vgg_16": ("vgg", "vgg_arg_scope", 224, 1000),
    "vgg_19": ("vgg", "vgg_arg_scope", 224, 1000),
}


def parser():
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("names", nargs="+", metavar="NAME", help="`all`, or names of networks")
    made.add_argument("--record", nargs="+", choices=KINDS, default=KINDS[:2], metavar="KIND")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", help="folder of goldens to write")
    where.add_argument("--check", help="folder of goldens to compare with")
    other = made.add_argument_group("a network that is not in tf_slim.nets")
    other.add_argument("--file", help="Python file with the original code")
    other.add_argument("--library", help="folder in which the file's own imports are found")
    other.add_argument("--function", help="the network in it; NAME if left out")
    other.add_argument("--arg-scope", help="its arg scope; FUNCTION_arg_scope if left out")
    other.add_argument("--shape", type=int, nargs="+", help="of the batch: images, height, ...")
    other.add_argument("--classes", type=int)
    return made


def jobs_of(given, refuse):
    """What record_network.py is to do, a dict for each network."""
    if given.file:
        if len(given.names) != 1 or not given.shape or not given.classes:
            refuse("--file takes one NAME, --shape and --classes")
        if not os.path.isfile(given.file):
            refuse(f"there is no file {given.file}")
        function = given.function or given.names[0]
        return [
            {
                "name": given.names[0],
                "file": os.path.abspath(given.file),
                "library": given.library and os.path.abspath(given.library),
                "function": function,
                "arg_scope": given.arg_scope or function + "_arg_scope",
                "shape": given.shape,
                "classes": given.classes,
            }
        ]
    names = list(NETWORKS) if given.names == ["all"] else given.names
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        refuse(
            f"{', '.join(unknown)}: not in tf_slim.nets, which has {', '.join(NETWORKS)}; "
            "--file gives another network's code"
        )
    return [job_of(name, *NETWORKS[name]) for name in names]


def job_of(name, module, arg_scope, size, classes):
    return {
        "name": name,
        "module": "tf_slim.nets." + module,
        "function": name,
        "arg_scope": arg_scope,
        "shape": [2, size, size, 3],
        "classes": classes,
    }


def main(arguments=None):
    parsing = parser()
    given = parsing.parse_args(arguments)
    jobs = jobs_of(given, parsing.error)
    folder = os.path.abspath(given.into or given.check)
    request = {"kinds": given.record, "folder": folder, "check": given.into is None, "jobs": jobs}
    try:
        python = tf1_environment.python(say=print)
    except tf1_environment.NoEnvironment as error:
        print(error, file=sys.stderr)
        return 1
    script = os.path.join(HERE, "record_network.py")
    done = subprocess.run(
        [python, script], input=json.dumps(request), text=True, env=tf1_environment.environment()
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
