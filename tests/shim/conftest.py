"""What all tests of zoo.shim start from."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def no_seed_of_another_test():
    """Recorded draws are those of an operation's seed alone; training, say, sets the global one."""
    tf.random.set_seed(None)
