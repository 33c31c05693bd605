"""How far two runs of the same network may be apart, and why.

Differences are relative: the largest absolute difference over the largest absolute
value of the reference tensor; in half precision, where all values are off and a clipped one may be
off by its whole range, the root mean square of the differences over that of the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# float32 on a CPU, both sides in one process. Sums run in another order where the graph
# optimizer fuses convolution, batch norm and activation on one side and not on the other.
# TensorFlow 1.15.5 and 2.21 themselves agree to 2e-7 .. 4e-6 on the logits of the networks
# here, and to 5e-5 at the worst end point.
LOGITS = 1e-5
END_POINTS = 1e-4

# Networks whose gates and hard swishes multiply each other's rounding: between the two
# TensorFlows their logits differ by 1.7e-5.
ROUGH = {"mobilenet_v3_large": 3.0, "mobilenet_v3_large_075": 3.0}

# Beginnings of goldens' names whose last layers multiply rounding: with batch norm in plain
# arithmetic, as a native form has it, an end point of MobileNet V2's TF1 graph is 1.3e-4 from where
# the fused kernel has it.
_ROUGH_IF_NATIVE = {"mobilenet_v2": 3.0}

# An initializer draws the same bits on both sides; a graph may scale and shift them in one
# multiplication where eager code takes two.
INITIAL_VALUES = 1e-6

# One sum of squares a variable, added up in another order.
REGULARIZATION = 1e-5

# A ReLU whose input is within rounding of zero passes its gradient on one side and not on the
# other, and the layers below see another gradient. Between two TensorFlows single gradients
# differ by up to 7e-2; where both sides run the same kernels in the same order, by 3e-3 at most.
GRADIENTS = 7e-3

# The norm of a kernel's gradient between two TensorFlow versions, and of all gradients together. A
# gamma or beta has few values, sums over all pixels that nearly cancel: 1.8e-2 was seen, where
# kernels keep within 3e-3.
NORMS = 1e-2
NORMS_OF_BATCH_NORM = 4e-2

# Loss of each of three steps, relative; between two TensorFlows 1e-5, on resnet_v1_50 9e-5.
LOSSES = 1e-4

# Moving averages after one step: relative to the move that the reference made, and not to the
# value, or one that stays where it is would pass. What moves them is a batch's statistic, which all
# layers below have a part in.
AVERAGES = 1e-2

# Variables after three steps, in the same way. The second and third gradient are those of where
# the steps before led to, and differ as gradients of two TensorFlows do; a step that is not taken
# makes 0.3.
VARIABLES = 7e-2

# Each of the three steps rounds a variable anew, so that a gradient's last digit may take it to
# another number: by one unit in the last place of the largest value each. A move is looked at no
# closer than to that.
ULPS = 3.0

# Learning rate of plain gradient descent. At 1e-3 the second and third step of a deep network
# already drift 0.1 to 3 % between two TensorFlows; at 1e-6 they agree to 1e-5.
LEARNING_RATE = 1e-6

# Where the gradient is so steep that at 1e-6 the original does not agree with itself: with images
# that differ by 1e-7 the losses of inception_v4 are 8.79 and 8.90 after a step. At 1e-10 a step
# takes 0.03 off the loss, and the third loss still differs by 9e-5 in one process. Beside the
# others: how far, at 1e-6, losses of such images are apart within three steps, or moves of
# variables after them; at these rates losses agree to 2e-5, but for those of resnet_v1_200, which
# differ by 1.8e-4, and moves to 2e-2. That they train alike at 1e-6 too shows in double precision:
# tests/native/test_double_precision.py.
LEARNING_RATES = {
    "inception_v3": 1e-7,  # 3e-4, moves 1.4e-1
    "inception_v4": 1e-11,
    "nasnet_large": 1e-7,  # 2e-4, moves 1.6e-1
    "pnasnet_large": 1e-9,  # 1e-1
    "resnet_v1_101": 1e-8,  # 5e-3
    "resnet_v1_152": 1e-10,  # 1e-2
    "resnet_v1_200": 1e-11,  # 1e-2
    "resnet_v2_152": 1e-7,  # 2e-4
    "resnet_v2_200": 1e-8,  # 2e-3
}

# The same kernels on the same values; threads may add up in another order.
RELOADED = 1e-6

# Preprocessing is the same operations, so values are the same on the machine that recorded them;
# these leave room for another processor's rounding, of [-1, 1], of [0, 255], and of standardized
# values, which reach 27 (TensorFlow 1 summed squares where TensorFlow 2 sums squared deviations).
PREPROCESSING = {"inception": 1e-5, "vgg": 1e-5, "cifarnet": 2e-5, "lenet": 1e-6}

# A tensor in half precision is rounded at every layer, and so are the weights: independent errors
# of one unit roundoff each, which add up as their number's square root. The worst of thousands of
# values is about three times that far off. So much where nothing better is known.
_UNIT_ROUNDOFF = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
_WORST_OF_MANY = 3.0

# Beginnings of goldens' names of networks whose clipped values, gates and hard swishes make up to
# twice as much of it.
_ROUGH_IN_HALF = ("mobilenet_v2", "mobilenet_v3")
_ROUGHER = 3.0

# What half precision makes of an end point is the network's own affair: a ReLU6 after values of
# hundreds, or a gate, multiplies rounding. So it is measured, on the TF1 graph: how far it is, in
# half precision, from itself in float32. The TF1 code in Keras was found to be that graph bit for
# bit; what rounds at other places is as far from float32, and so up to the root of two times as far
# from the graph.
OF_THE_ORIGINALS = 2.0

# Two tensors that have nothing in common differ by more than that, in root mean squares.
_NOTHING_IN_COMMON = 1.0

# Kernels of XLA, JAX, PyTorch or a GPU sum in an order of their own, by Winograd's transforms too,
# and fuse what TensorFlow does not. A wrong padding is off by 1e-2 and more.
_OTHER_KERNELS = 10.0

# There more ReLUs flip: of mobilenet_v1's first layers gradients differ by 0.14 in XLA, of
# inception_v1's last ones, whose batch norm is over 98 values a channel, by 0.21 on JAX. Their
# norms, which a flip does not change much, have `NORMS`.
_GRADIENTS_OF_OTHER_KERNELS = 0.3

# Beginnings of goldens' names whose native forms round as other kernels do: they average over
# padding on one side and put it right by a factor (zoo/native/operations.py). A gradient of
# nasnet_large, whose last cells have few places of images of 160, differs by 0.22; in double
# precision it trains as its original does: tests/native/test_double_precision.py.
_NATIVE_ROUNDS_OTHERWISE = ("nasnet",)


# Of three.
_A_STEP = 0.3


@dataclass(frozen=True)
class Tolerances:
    """How far each quantity may be from the reference, by the rules of this file.

    Attributes:
        logits: None where they are not to be compared.
        predictions: what a model gives its users, where that is a softmax; None as the logits.
        by_end_point: of the end points that have a tolerance of their own.
        root_mean_square: whether outputs are compared by that, and not by their largest difference.
    """

    logits: float | None
    end_points: float
    predictions: float | None
    initial_values: float
    regularization: float
    gradients: float
    losses: float
    averages: float
    variables: float
    by_end_point: Mapping[str, float | None] = field(default_factory=dict)
    root_mean_square: bool = False

    @property
    def left_out(self) -> list[str]:
        """Names of the end points that are not to be compared."""
        return [name for name, tolerance in self.by_end_point.items() if tolerance is None]

    def of_end_point(self, name: str) -> float | None:
        """Of an end point; None where it is not to be compared."""
        return self.by_end_point.get(name, self.end_points)


def of(
    dtype: str = "float32",
    *,
    depth: int = 1,
    golden: str | None = None,
    other_kernels: bool = False,
    native: bool = False,
) -> Tolerances:
    """The tolerances of one model in one setting.

    Args:
        dtype: computed in.
        depth: layers with weights, one after another or not.
        golden: name of the recorded network.
        other_kernels: whether the network runs on a GPU, under XLA, or on another backend than
            the TF1 graph beside it.
        native: whether it is a native form.
    """
    factor = (_OTHER_KERNELS if other_kernels else 1.0) * _roughness(golden, native)
    found = Tolerances(
        logits=LOGITS * factor,
        end_points=END_POINTS * factor,
        predictions=END_POINTS * factor,
        initial_values=INITIAL_VALUES,
        regularization=REGULARIZATION,
        gradients=_gradients(golden, other_kernels, native),
        losses=LOSSES * factor,
        averages=AVERAGES * factor,
        variables=min(VARIABLES * factor, _A_STEP / 2),
    )
    if dtype == "float32":
        return found
    rounding = _WORST_OF_MANY * _UNIT_ROUNDOFF[dtype] * math.sqrt(2 * depth)
    if golden is not None and golden.startswith(_ROUGH_IN_HALF):
        rounding *= _ROUGHER
    return replace(
        found,
        logits=rounding,
        end_points=rounding,
        predictions=rounding,
        gradients=4 * rounding,
        losses=rounding,
    )


def in_half_precision(
    found: Tolerances,
    dtype: str,
    originals: Mapping[str, float],
    *,
    logits: float,
    predictions: float,
    size: float,
) -> Tolerances:
    """The tolerances of one model in half precision, by those of its original.

    Args:
        found: of the model, for all else.
        dtype: "bfloat16" or "float16".
        originals: end point -> how far the TF1 graph in that dtype is from itself in float32, by
            root mean squares; no finite number where it overflows.
        logits: the same of the logits.
        predictions: and of their softmax.
        size: root mean square of the logits.
    """
    least = 2 * _UNIT_ROUNDOFF[dtype]  # the last layer's weights and the last rounding

    def allowed(far: float, least: float) -> float | None:
        if not math.isfinite(far):
            return None
        return min(max(OF_THE_ORIGINALS * far, least), _NOTHING_IN_COMMON)

    of_logits = allowed(logits, least)
    # A softmax makes relative differences of absolute ones, if not in each batch.
    least_of_softmax = max(least, size * (of_logits or 0.0))
    return replace(
        found,
        logits=of_logits,
        predictions=allowed(predictions, least_of_softmax),
        by_end_point={
            name: allowed(far, least_of_softmax if _is_softmax(name) else least)
            for name, far in originals.items()
        },
        root_mean_square=True,
    )


def _is_softmax(end_point: str) -> bool:
    return end_point.lower().endswith("predictions")


def _roughness(golden: str | None, native: bool) -> float:
    for start, factor in _ROUGH_IF_NATIVE.items():
        if native and golden is not None and golden.startswith(start):
            return factor
    return ROUGH.get(golden, 1.0)


def _gradients(golden: str | None, other_kernels: bool, native: bool) -> float:
    otherwise = native and golden is not None and golden.startswith(_NATIVE_ROUNDS_OTHERWISE)
    return _GRADIENTS_OF_OTHER_KERNELS if other_kernels or otherwise else GRADIENTS


def of_norm(name: str) -> float:
    """The tolerance of the norm of a variable's gradient, by the variable's TF1 name."""
    return NORMS_OF_BATCH_NORM if name.endswith(("/gamma", "/beta")) else NORMS
