"""Graduation: from a network of TF1 code to a plain Keras 3 model of the same function.

`to_native` traces the TF1 code (graphs.py), reads the layers off the graph of operations
(reading.py and the modules that register with it), adds what the training graph alone shows
(merging.py), folds batch normalization if asked (folding.py), and makes Keras layers
(emitting.py). nodes.py is what passes between these.
"""

from zoo.native.conversion import to_native
from zoo.native.stages import RestOfNetwork
from zoo.native.weight_map import Entry, WeightMap
from zoo.native.weights import load_weights

__all__ = ["Entry", "RestOfNetwork", "WeightMap", "load_weights", "to_native"]
