"""What the tests of the adapters share: fixtures over tests/networks.py, and what is recorded."""

import networks
import pytest
import recipe

# Other widths and depths of networks that are trained here: these are with --every-network.
SAME_CODE = {
    "mobilenet_edgetpu_075",
    "mobilenet_v1_050",
    "mobilenet_v1_075",
    "mobilenet_v2_050",
    "mobilenet_v2_075",
    "mobilenet_v2_130",
    "mobilenet_v2_140",
    "mobilenet_v3_large_075",
    "mobilenet_v3_small_075",
    "resnet_v1_101",
    "resnet_v1_152",
    "resnet_v1_200",
    "resnet_v2_101",
    "resnet_v2_152",
    "resnet_v2_200",
    "vgg_16",
    "vgg_19",
}


@pytest.fixture(name="make")
def make_fixture():
    return networks.make


@pytest.fixture(name="adapter")
def adapter_fixture():
    return networks.adapter


@pytest.fixture(name="trace")
def trace_fixture():
    return networks.trace


@pytest.fixture(name="run")
def run_fixture():
    return networks.run


@pytest.fixture(name="relative_difference")
def relative_difference_fixture():
    return networks.relative_difference


@pytest.fixture(name="samples")
def samples_fixture():
    return networks.samples


@pytest.fixture
def images():
    return lambda *shape: recipe.images(shape)


def pytest_generate_tests(metafunc):
    """`arch` is every recorded network, `case` every recorded set of arguments."""
    if "built" in metafunc.fixturenames:
        small = ("mobilenet_v1_025", "alexnet_v2", "inception_v1", "cifarnet", "lenet")
        every = metafunc.config.getoption("--every-network")
        left_out = SAME_CODE if metafunc.function.__name__ == "test_training" else ()
        archs = [
            pytest.param(arch, marks=() if arch in small else pytest.mark.slow)
            for arch in networks.registered()
            if every or arch not in left_out
        ]
        metafunc.parametrize("built", archs, indirect=True, scope="module")
    if "case" in metafunc.fixturenames:
        cases = networks.recorded_cases()
        metafunc.parametrize(
            "case",
            cases,
            ids=[
                "-".join(
                    [c["arch"], "x".join(map(str, c["size"])), *map(_text, c["arguments"].items())]
                )
                for c in cases
            ],
        )


def _text(argument) -> str:
    return "=".join(map(str, argument))


@pytest.fixture(scope="module")
def built(request):
    arch = request.param
    # What the original makes in training alone, an adapter makes at the first call or never.
    in_training_too = "training" in networks.recorded_variables(arch)
    arguments = {"create_aux_logits": True} if in_training_too else {}
    return networks.Built(arch, **arguments)
