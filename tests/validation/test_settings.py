import pytest

from zoo.errors import ArgumentError
from zoo.validation.settings import setting


def test_a_backend_has_its_own_mode():
    assert setting().mode == "function"
    assert setting(form="native", backend="jax").mode == "xla"
    assert setting(form="native", backend="torch").mode == "eager"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "shimm"}, "Nearest:  shim"),
        ({"dtype": "float64"}, "Accepted: 'float32'"),
        ({"mode": "graph"}, "no such mode"),
        ({"backend": "mxnet"}, "no such backend"),
        ({"device": "cuda"}, "no such device"),
        ({"form": "native", "backend": "torch", "mode": "xla"}, "Accepted: mode='eager'"),
        ({"backend": "jax"}, "form='native'"),
        ({"device": "tpu"}, "zoo validate NAME --device tpu"),
    ],
)
def test_what_does_not_go_together_says_what_does(arguments, message):
    with pytest.raises(ArgumentError, match="(?s)" + message):
        setting(**arguments)
