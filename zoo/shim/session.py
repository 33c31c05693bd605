"""TF1 graphs run as they always were: in a Session, with values for their variables."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


@contextlib.contextmanager
def filled_session(graph: tf.Graph, value_of: Callable[[str], np.ndarray]) -> Iterator[v1.Session]:
    """A Session on a graph whose variables have their values; closed at the end of the block.

    The graph does not become the default one.

    Args:
        graph: with TF1 variables.
        value_of: the value of a variable, by its TF1 name; called while no graph is the default,
            so it may read eager variables.
    """
    with contextlib.closing(v1.Session(graph=graph)) as session:
        fill_variables(session, value_of)
        yield session


def fill_variables(session: v1.Session, value_of: Callable[[str], np.ndarray]) -> None:
    """Gives all variables of the session's graph their values, by TF1 names."""
    variables = session.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    # In one run: each new choice of what to run prunes the whole graph anew.
    given = {v.initializer.inputs[1]: value_of(v.op.name) for v in variables}
    session.run([v.initializer for v in variables], given)
