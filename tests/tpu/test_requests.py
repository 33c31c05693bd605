"""What can be asked for."""

import pytest

from zoo import registry
from zoo.errors import ArgumentError, UnknownModelError
from zoo.tpu.requests import Request, combinations, every_model, versions


def test_combinations_that_share_an_export_follow_each_other():
    found = list(
        combinations(["lenet", "cifarnet"], chip=["v4", "v5e"], dtype=["bfloat16", "float32"])
    )
    assert len(found) == 8
    programs = [request.program for request in found]
    assert all(programs[i] == programs[i + 1] for i in range(0, 8, 2))
    assert len(set(programs)) == 4


def test_an_alias_is_its_model():
    assert Request("mobilenet_v1").model == registry.info("mobilenet_v1").name


def test_every_model_from_small_to_large():
    names = every_model()
    assert sorted(names) == sorted(registry.list_models())
    assert names.index("lenet") < names.index("mobilenet_v1_1.0_224") < names.index("vgg_16")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"form": "onnx"}, "form is one of shim, native"),
        ({"step": "prediction"}, "step is one of inference, training"),
        ({"dtype": "int8"}, "dtype is one of bfloat16, float32"),
        ({"chip": "v9"}, "no such chip"),
        ({"chips": 3}, "no topology of 3 chips"),
        ({"batch": 0}, "at least one image"),
        ({"batch": 6, "chips": 4}, "in equal parts"),
    ],
)
def test_what_cannot_be_asked_for(arguments, said):
    with pytest.raises(ArgumentError, match=said):
        Request("lenet", **arguments)


def test_an_unknown_model():
    with pytest.raises(UnknownModelError, match="lenett"):
        Request("lenett")


def test_versions_of_what_matters():
    assert set(versions()) == {"jax", "libtpu", "tensorflow", "keras"}
