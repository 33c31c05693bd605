"""The loaded model against the TF1 graph, run in a Session in the same process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from zoo import dialects, loading
from zoo.errors import ArgumentError
from zoo.model import TF1Model
from zoo.shim import TF1Network, tf1_variables
from zoo.shim.session import filled_session
from zoo.validation import tolerances

v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class EndPointDifference:
    """One tensor of both sides: largest absolute difference over largest absolute value."""

    name: str
    shape: tuple[int, ...]
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        # A NaN is no pass.
        return self.difference <= self.tolerance


@dataclasses.dataclass(frozen=True)
class Report:
    """What was compared, in the order of the network, and the verdict.

    Attributes:
        model: name of the model.
        variables: how many variables both sides have, by the same names and shapes.
        end_points: one difference for each end point.
        logits: the difference of the logits (or features) that `call` returns.
    """

    model: str
    variables: int
    end_points: tuple[EndPointDifference, ...]
    logits: EndPointDifference

    @property
    def passed(self) -> bool:
        return self.first_divergence is None

    @property
    def first_divergence(self) -> EndPointDifference | None:
        """The first tensor that is further apart than its tolerance."""
        return next((row for row in (*self.end_points, self.logits) if not row.passed), None)

    def to_dict(self) -> dict:
        """Plain data, for JSON."""
        return {**dataclasses.asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        worst = max(self.end_points, key=lambda row: row.difference, default=self.logits)
        diverging = self.first_divergence
        verdict = (
            "the same function" if diverging is None else f"different from {diverging.name} on"
        )
        return (
            f"{self.model}: {verdict}. {self.variables} variables; logits differ by "
            f"{self.logits.difference:.1e} of their scale, the worst of "
            f"{len(self.end_points)} end points ({worst.name}) by {worst.difference:.1e}."
        )


def verify(name: str, *, tf1_ckpt=None, images: np.ndarray | None = None, **arguments) -> Report:
    """Loads a model and compares it with the TF1 graph on the same checkpoint.

    Args:
        name: a registered name.
        tf1_ckpt: a checkpoint; the published one if None.
        images: float32 batch of shape (batch, height, width, 3); by default two images of
            uniform noise in [-1, 1].
        **arguments: as for `zoo.load`; `weights=None` compares random values.

    Returns:
        A Report; `report.passed` is the verdict.

    Raises:
        whatever `zoo.load` raises.
    """
    model = loading.load(name, tf1_ckpt=tf1_ckpt, **arguments)
    return compare_with_tf1_graph(model, images)


def compare_with_tf1_graph(model: TF1Model, images: np.ndarray | None = None) -> Report:
    """Compares a loaded model's network with the TF1 graph in a Session.

    The graph's values come from the model's checkpoint once more, not from the model;
    variables that no checkpoint filled are taken from the model.
    """
    network = model.network
    if images is None:
        images = _noise(model)
    shim = {name: tensor.numpy() for name, tensor in network.end_points(images).items()}
    shim_logits = np.asarray(network(images))
    graph_logits, graph, variables = run_tf1_graph(
        network, images, original_values(model).__getitem__
    )
    ours = {name: tuple(variable.shape) for name, variable in tf1_variables(network).items()}
    if ours != variables or list(shim) != list(graph):
        raise AssertionError("the shim and the TF1 graph were built from different functions")
    rows = tuple(
        _difference(name, shim[name], graph[name], tolerances.END_POINTS) for name in graph
    )
    return Report(
        model=model.model_name,
        variables=len(variables),
        end_points=rows,
        logits=_difference("logits", shim_logits, graph_logits, tolerances.LOGITS),
    )


def run_tf1_graph(
    network: TF1Network, images: np.ndarray, value_of: Callable[[str], np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """The network as TF1 runs it: a plain graph with TF1 variables, in a Session.

    Args:
        network: an adapter layer; only its function and arguments are used.
        images: float32 array of shape (batch, height, width, channels).
        value_of: the value of a variable, by its TF1 name.

    Returns:
        logits, end points by name, and the shape of each variable by name.
    """
    with tf.Graph().as_default() as graph:
        placeholder = v1.placeholder(tf.float32, images.shape)
        logits, end_points = network.forward(placeholder)
        variables = v1.global_variables()
    with filled_session(graph, value_of) as session:
        logits, end_points = session.run((logits, dict(end_points)), {placeholder: images})
    return logits, end_points, {v.op.name: tuple(v.shape.as_list()) for v in variables}


def original_values(model: TF1Model) -> dict[str, np.ndarray]:
    """TF1 name -> value, from the checkpoint that the model was loaded from once more; variables
    that no checkpoint filled are taken from the model."""
    loaded = model.load_report.loaded if model.load_report else {}
    values = {
        name: variable.numpy()
        for name, variable in tf1_variables(model.network).items()
        if name not in loaded
    }
    if loaded:
        shapes = {name: tuple(found.shape) for name, found in model.tf1_variables.items()}
        path = model.load_report.path
        with dialects.open_checkpoint(path, model.spec, shapes) as checkpoint:
            values.update({name: checkpoint.read(there) for name, there in loaded.items()})
    return values


def _noise(model: TF1Model) -> np.ndarray:
    shape = model.input_shape[1:]
    if None in shape:
        raise ArgumentError(
            "The model's input size is free, so images are needed to verify it.",
            next_step="pass images=.",
        )
    return np.random.RandomState(0).uniform(-1, 1, (2, *shape)).astype(np.float32)


def _difference(name, ours, reference, tolerance) -> EndPointDifference:
    if ours.shape != reference.shape:
        return EndPointDifference(name, reference.shape, float("inf"), tolerance)
    scale = float(np.abs(reference).max()) or 1.0
    difference = float(np.abs(ours.astype(np.float64) - reference).max()) / scale
    return EndPointDifference(name, tuple(reference.shape), difference, tolerance)
