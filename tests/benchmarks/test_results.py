import re
from importlib import metadata

import pytest

from zoo.benchmarks import results
from zoo.benchmarks.forms import Setting
from zoo.tables import read_csv


@pytest.mark.parametrize(
    ("device", "plain"),
    [
        ("cpu", "cpu"),
        ("NVIDIA H100 80GB HBM3", "nvidia_h100"),
        ("NVIDIA A100-SXM4-40GB", "nvidia_a100"),
        ("NVIDIA H100 PCIe", "nvidia_h100"),
        ("NVIDIA GeForce RTX 4090", "nvidia_geforce_rtx_4090"),
    ],
)
def test_plain_names_of_devices(device, plain):
    assert results.plain_device_name(device) == plain


def test_the_file_name_says_what_it_was_measured_on():
    name = results.result_file_name("forms", "NVIDIA H100 80GB HBM3", "bfloat16", layout="nhwc")
    tensorflow, keras = metadata.version("tensorflow"), metadata.version("keras")
    assert name == f"forms-nvidia_h100-bfloat16-nhwc-tf{tensorflow}-keras{keras}.csv"
    name = results.result_file_name("startup", "cpu", packages=["keras"])
    assert name == f"startup-cpu-float32-keras{keras}.csv"


def test_committed_results_are_read_and_named_so(request):
    folder = request.config.rootpath / "results"
    files = [
        file
        for kind in ("benchmark", "forms", "training", "startup")
        for file in sorted(folder.glob(f"{kind}-*.csv"))
    ]
    assert files
    for file in files:
        device, dtype, layout = r"[a-z0-9_]+", "(float32|bfloat16|float16)", "(-channels_last)?"
        versions = r"(-(tf|keras|jax|torch)\d[\w.+]*)+"
        assert re.fullmatch(rf"[a-z]+-{device}-{dtype}{layout}{versions}\.csv", file.name)
        assert read_csv(file)


SETTING = Setting("lenet", threads=2)
TENSORFLOW = f"tensorflow {metadata.version('tensorflow')}"


def row(form="shim", **different):
    return {
        "model": "lenet", "batch_size": 1, "work": "inference", "dtype": "float32",
        "device": "cpu", "threads": 2, "rounds": 3, "form": form, "runtime": TENSORFLOW,
        "skipped": None, **different,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "measured"),
    [
        ([row()], True),
        ([row(), row("native")], True),
        ([], False),
        ([row("native")], False),
        ([row(runtime="tensorflow 1.15.5")], False),
        ([row(runtime=f"{TENSORFLOW}, XLA")], True),
        ([row(rounds=4)], False),
        ([row(threads=1)], False),
        ([row(batch_size=2)], False),
        ([row(work="training")], False),
        ([row(dtype="float16")], False),
        ([row(device="nvidia_h100")], False),
        ([row(runtime=None, skipped="no answer in 900 seconds")], True),
        ([row(runtime=None, skipped="tensorflow not installed")], False),
        ([{"model": "lenet", "form": "shim"}], False),
    ],
)
def test_what_need_not_be_measured_again(rows, measured):
    assert results.is_measured(rows, SETTING, 1, ["shim"], 3, "cpu") is measured


def test_a_reason_that_still_holds():
    rows = [row("timm", skipped="timm has no twin of it")]
    assert results.is_measured(rows, SETTING, 1, ["timm"], 3, "cpu")
    rows = [row("timm", skipped="torch not installed")]
    assert not results.is_measured(rows, SETTING, 1, ["timm"], 3, "cpu")


def test_a_measurement_takes_the_place_of_the_one_before():
    old = [row(), row("native"), row(batch_size=2), row(dtype="float16"), row(model="vgg_16")]
    new = [row("folded", rounds=9)]
    assert results.merged(old, new) == [*old[2:], *new]
    startup = [{"what": "import zoo", "seconds": 1.0}]
    assert results.merged([{"what": "zoo list"}], startup) == startup
