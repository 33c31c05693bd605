"""The page of a run: the verdict first, then all models at a glance, then each of them."""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from zoo.atomic import replacing
from zoo.validation.page import sections, wording
from zoo.validation.page.overview import closeness, models
from zoo.validation.page.summary import differing, headline, summary
from zoo.validation.results import PREPROCESSING, Run

# The page stays below a few megabytes: a column of a plot takes some 150 bytes.
_ALL_COLUMNS = 16_000
_COLUMNS = (40, 160)
# Models that are shown unfolded; of more only those that differ.
_UNFOLDED = 5
_UNFOLDED_FAILED = 12


def write_page(run: Run, path: str | os.PathLike) -> Path:
    """Writes a run as one HTML file that needs nothing else: no network, no script, no font.

    Args:
        run: of `zoo validate`; any number of results, none too.
        path: of the file. It is complete under its final name, or not there.

    Returns:
        The path.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as (temporary,):
        temporary.write_text(page(run), encoding="utf-8")
    return Path(path)


def page(run: Run) -> str:
    """The HTML document of a run."""
    here = resources.files(__package__)
    style, script = ((here / name).read_text("utf-8") for name in ("page.css", "page.js"))
    title = headline(run.results)
    parts = [
        summary(run, title),
        differing(run.results),
        closeness(run.results),
        models(run.results),
        *_sections(run),
        _explanation(run),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}: zoo validate</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, parts))
        + f"\n</main>\n<script>\n{script}</script></body></html>\n"
    )


def _sections(run: Run) -> list[str]:
    results = run.results
    if not results:
        return []
    least, most = _COLUMNS
    plots = max(sum(map(sections.plots, results)), 1)
    common = sections.common_settings(results)
    failed = sum(map(sections.has_failed, results))
    return [
        sections.section(
            result,
            f"m{index}",
            is_open=len(results) <= _UNFOLDED
            or (sections.has_failed(result) and failed <= _UNFOLDED_FAILED),
            columns=max(least, min(most, _ALL_COLUMNS // plots)),
            settings=[name for name in asdict(result.setting) if name not in common],
            versions=run.versions,
        )
        for index, result in enumerate(results)
    ]


def _explanation(run: Run) -> str:
    apart = any(stage.name == PREPROCESSING for one in run.results for stage in one.stages)
    images = (
        " Preprocessing is apart: the network is given the same arrays on both sides."
        if apart
        else ""
    )
    command = f"<p>Made by <code>{wording.text(run.command)}</code></p>" if run.command else ""
    return (
        "<footer><h2>How to read it</h2><p>A difference is the largest absolute one of a tensor, "
        "over the largest absolute value of the reference; in half precision both are root mean "
        "squares, and the reference is the TF1 graph in that precision. Plots have the rows in "
        "the order of the network, on a logarithmic scale; the dashed line is what is allowed. "
        "Point at a column, or move with the arrow keys, to read it. All rows are in the JSON file "
        f"beside this page.{images}</p>{command}</footer>"
    )
