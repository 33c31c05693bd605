"""TF1 checkpoints of any form: opened, matched with a network, assigned, and written.

    with open_checkpoint("inception_v3_2016_08_28.tar.gz") as checkpoint:
        checkpoint.names(), checkpoint.shape(name), checkpoint.read(name)

    report = load("inception_v3.ckpt", variables, NameMap(moving_average=True))
    write_checkpoint("out/model.ckpt", variables)
    write(model, "out/model.ckpt")

Nothing here but `write` needs TensorFlow: files are read and written as they are defined.
"""

from zoo.checkpoints.assignment import LoadReport, assign, load
from zoo.checkpoints.checkpoint import Checkpoint
from zoo.checkpoints.matching import Match, match
from zoo.checkpoints.names import NameMap, classify
from zoo.checkpoints.opening import open_checkpoint
from zoo.checkpoints.writing import write, write_checkpoint

__all__ = [
    "Checkpoint",
    "LoadReport",
    "Match",
    "NameMap",
    "assign",
    "classify",
    "load",
    "match",
    "open_checkpoint",
    "write",
    "write_checkpoint",
]
