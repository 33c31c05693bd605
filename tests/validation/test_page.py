"""The page of a validation run: whole, safe, and right in a browser."""

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser

import pytest

from zoo.validation.page import page, write_page
from zoo.validation.page.plot import plot
from zoo.validation.results import (
    ITSELF,
    TENSORFLOW_1,
    TF1_GRAPH,
    Result,
    Row,
    Run,
    Setting,
    Stage,
)

EVIL = "<script>alert(1)</script>\"'&</title>\x1b[31m\u202e\ud800"
VERSIONS = {"zoo": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"}


def end_points(count, tolerance=1e-4, name="Mixed/Branch_{}", first_wrong=None):
    """Rows whose differences grow, from nothing to a fifth of the tolerance or beyond it."""
    rows = []
    for index in range(count):
        difference = tolerance * 0.2 * index / count
        if first_wrong is not None and index >= first_wrong:
            difference = 30 * tolerance
        rows.append(Row.of(name.format(index), (2, 35, 35, 64), difference, tolerance))
    return rows


def result(model="inception_v3", rows=20, **arguments):
    preprocessing = arguments.pop("preprocessing", 1e-7)
    stages = (
        Stage.of("variables", TF1_GRAPH, [Row("names", (), None, None, True, "188 on both sides")]),
        Stage.of("outputs", TF1_GRAPH, end_points(rows, **arguments)),
        Stage.of("gradients", TF1_GRAPH, end_points(rows, 1e-2, model + "/conv_{}/weights")),
        Stage.skipped("gradients", TENSORFLOW_1, "none recorded"),
        Stage.of("training steps", TENSORFLOW_1, [Row.of("loss of step 1", (), 2e-7, 1e-5)]),
        Stage.of("saved and reloaded", ITSELF, [Row.of(".keras", (2, 1001), 0.0, 0.0)]),
        Stage.of(
            "preprocessing", TENSORFLOW_1, [Row.of("cat.jpg", (9, 9, 3), preprocessing, 1e-6)]
        ),
    )
    return Result(model, model, Setting(image_shape=(299, 299, 3)), VERSIONS, stages, 12.0)


def run(*results):
    return Run("2026-11-24T13:02:11Z", "zoo validate all --out results", VERSIONS, results)


def mixed_run():
    """One of each kind: the same, different, NaN, only preprocessing, not compared."""
    nothing = Stage.skipped("outputs", TF1_GRAPH, "no checkpoint")
    return run(
        result("inception_v3"),
        result("vgg_16", first_wrong=7),
        result("vgg_19", name="a_very_long_scope/" * 20 + "{}", tolerance=float("nan")),
        result("resnet_v1_50", preprocessing=3e-2),
        Result("lenet", None, Setting(), VERSIONS, (nothing,)),
    )


class Document(HTMLParser):
    """The elements of a page; every one is closed by its own end tag, in order."""

    VOID = {"meta", "rect/", "path/"}

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.attributes, self.texts = Counter(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found[tag] += 1
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found[tag] += 1
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def test_the_verdict_comes_first_and_every_stage_is_there():
    document = Document(page(mixed_run()))
    text = document.text
    assert text.index("2 of 5 models differ") < text.index("vgg_16")
    assert (
        "First divergence, in outputs against the TF1 graph: Mixed/Branch_7: 3e-3 of 1e-4" in text
    )
    assert "Only preprocessing differs" in text
    assert "Not compared" in text and "no checkpoint" in text
    # Two of each network with numbers by depth, and that of all models.
    assert document.found["svg"] == 2 * 4 + 1
    assert "The same function1 of 5" in text


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([], "Nothing was compared"),
        ([result("lenet")], "lenet is the same function"),
        ([result("lenet", first_wrong=0)], "lenet: differs"),
        ([result("lenet", preprocessing=1.0)], "lenet: only preprocessing differs"),
        ([result("a"), result("b")], "All 2 models are the same function"),
    ],
)
def test_what_a_reader_is_told_first(results, said):
    text = page(run(*results))
    assert f'<h1 class="{"good" if "same" in said else "muted" if not results else "bad"}">' in text
    assert said in Document(text).text


def test_differences_that_are_no_numbers_are_shown():
    rows = [
        Row("nan", (), float("nan"), 1e-4, False),
        Row("infinite", (2,), float("inf"), 1e-4, False),
        Row("none", (2,), None, 1e-4, False, "shapes differ"),
        Row("tiny", (2,), 1e-300, 1e-4, True),
        Row("zero", (2,), 0.0, 0.0, True),
        Row("huge", (2,), 1e30, 1e-4, False),
    ]
    stage = Stage.of("outputs", TF1_GRAPH, rows)
    text = page(run(Result("net", None, Setting(), VERSIONS, (stage,))))
    document = Document(text)
    assert "4 of 6 failed" in document.text
    assert "no number" in document.text and "NaN" in document.text
    assert "shapes differ" in document.text
    drawn = [value for name, value in document.attributes if name == "d"]
    assert drawn and not re.search("nan|inf", " ".join(drawn))
    # All that is drawn is in the picture, which is 100 high.
    heights = [float(y) for d in drawn for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", d)]
    assert min(heights) >= 0 and max(heights) <= 100


def test_the_page_needs_nothing_else():
    text = page(mixed_run())
    document = Document(text)
    names = Counter(name for name, _ in document.attributes)
    assert not {"src", "srcset", "onclick", "onload"} & set(names)
    identities = [value for name, value in document.attributes if name == "id"]
    assert len(identities) == len(set(identities))
    links = {value for name, value in document.attributes if name == "href"}
    assert links and links <= {f"#{identity}" for identity in identities}
    assert not re.search(r"https?://|url\(|@import|@font-face|import\(", text)


def test_names_from_files_stay_text():
    setting = Setting(weights=EVIL, form=EVIL, image_shape=(9, 9, 3))
    rows = [Row(EVIL, (1,), 1.0, 0.1, False, EVIL) for _ in range(5)]
    stages = (
        Stage("outputs", EVIL, "failed", EVIL, 1.0, tuple(rows)),
        Stage(EVIL, TF1_GRAPH, "failed", EVIL, 1.0, tuple(rows[:2])),
        Stage.skipped("preprocessing", EVIL, EVIL),
    )
    evil = Result(EVIL, EVIL, setting, {EVIL: EVIL}, stages, 1.0)
    other = Result(EVIL + "2", None, Setting(), {}, stages[:1])
    document = Document(page(Run(EVIL, EVIL, {EVIL: EVIL}, (evil, other))))
    assert document.found["script"] == 1 and document.found["title"] == 1 + 2 * 5
    assert "<script>alert(1)</script>" in document.text
    assert not re.search("[\x1b\u202e\ud800]", "".join(document.texts))


def test_a_run_of_the_whole_zoo_stays_small(tmp_path):
    everything = run(*(result(f"network_{index}", rows=450) for index in range(73)))
    path = write_page(everything, tmp_path / "all.html")
    assert path.stat().st_size < 4e6
    text = path.read_text("utf-8")
    assert text.count("<svg") == 2 * 73 + 1
    assert text.count("<rect") < 20_000


def test_neighbours_that_share_a_column_show_the_worst():
    rows = [
        Row.of(f"row {index}", (), 1e-6 * (3 if index % 3 == 1 else 1), 1e-5) for index in range(30)
    ]
    figure = plot(rows, "<h4>rows</h4>", "rows", most=10)
    told = re.findall(r"<title>row (\d+): (\S+) of 1e-5 allowed, the worst of 3</title>", figure)
    assert told == [(str(index), "3e-6") for index in range(1, 30, 3)]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OSError):
        write_page(run(), tmp_path / "none" / "page.html")
    (tmp_path / "page.html").mkdir()
    with pytest.raises(OSError):
        write_page(run(), tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

# What is seen in a frame: what overflows, text that is hard to read (WCAG 2.2: 4.5 to 1, 3 to 1
# where it is large), plots, and what the arrow keys tell.
LOOK = """
const channel = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
const light = ([r, g, b]) =>
  0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
function background(element) {
  for (let one = element; one; one = one.parentElement) {
    const color = parse(one.ownerDocument.defaultView.getComputedStyle(one).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  throw new Error("no background");
}
function look(frame) {
  const page = frame.contentDocument, root = page.documentElement, dim = [];
  for (const closed of page.querySelectorAll("details")) closed.open = true;
  let texts = 0;
  const walker = page.createTreeWalker(page.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || parent.closest("svg, .unseen")) continue;
    const style = frame.contentWindow.getComputedStyle(parent);
    const pair = [light(parse(style.color)), light(background(parent))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    texts += 1;
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
      dim.push([walker.currentNode.data.slice(0, 40), contrast]);
  }
  const svg = page.querySelector("figure svg"), readout = svg.closest("figure").querySelector("p");
  svg.dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true }));
  const outside = [...page.querySelectorAll("main *")].filter(
    (one) => !one.closest(".wide, .unseen") &&
      one.getBoundingClientRect().right > root.clientWidth + 1
  );
  return {
    overflow: root.scrollWidth - root.clientWidth,
    outside: outside.map((one) => one.outerHTML.slice(0, 80)),
    texts, dim,
    background: parse(frame.contentWindow.getComputedStyle(page.body).backgroundColor),
    plots: [...page.querySelectorAll("svg")].filter((one) => one.clientHeight > 100).length,
    told: readout.textContent,
  };
}
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(look);
  document.body.textContent = "FOUND" + JSON.stringify(found) + "FOUND";
};
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_it_looks_right_in_a_browser(tmp_path):
    frames = "".join(
        f'<iframe style="width:{width}px;height:800px;color-scheme:{scheme}" '
        f'srcdoc="{html.escape(page(mixed_run()))}"></iframe>'
        for width in (1200, 360)
        for scheme in ("light", "dark")
    )
    look = tmp_path / "look.html"
    look.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body>{frames}<script>{LOOK}</script>', "utf-8"
    )
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--disable-dev-shm-usage --enable-logging=stderr --window-size=1300,900 --dump-dom"
    )
    seen = subprocess.run(
        [CHROMIUM, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", look.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "FOUND" in seen.stdout and "CONSOLE" not in seen.stderr, seen.stderr
    frames = json.loads(html.unescape(seen.stdout.split("FOUND")[1]))
    assert len(frames) == 4
    for frame in frames:
        assert frame["overflow"] == 0 and not frame["outside"]
        assert frame["texts"] > 200 and not frame["dim"]
        assert frame["plots"] == 9
        assert frame["told"].startswith("resnet_v1_50: ")
    assert [sum(frame["background"]) > 384 for frame in frames] == [True, False, True, False]
