"""The verdict: is it the same function, how close is it, where is it worst."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median

from zoo.validation.page import wording
from zoo.validation.page.plot import is_drawn, told, used
from zoo.validation.page.sections import (
    DIFFERENT,
    NOT_COMPARED,
    ONLY_IMAGES,
    OUTPUTS,
    SAME,
    against,
    common_settings,
    divergence,
    has_failed,
    verdict,
)
from zoo.validation.results import Result, Run

# Models that are listed with where they differ; the table has all.
_LISTED = 20


def headline(results: Sequence[Result]) -> str:
    verdicts = Counter(map(verdict, results))
    if not results or verdicts[NOT_COMPARED] == len(results):
        return "Nothing was compared"
    if len(results) == 1:
        said = verdict(results[0])
        name = wording.text(results[0].model, 80)
        return f"{name} is {said}" if said == SAME else f"{name}: {said}"
    if verdicts[SAME] == len(results):
        return f"All {len(results)} models are the same function"
    if verdicts[DIFFERENT]:
        return f"{verdicts[DIFFERENT]} of {len(results)} models differ"
    if verdicts[ONLY_IMAGES]:
        return f"The networks are the same; preprocessing differs in {verdicts[ONLY_IMAGES]}"
    return f"{verdicts[SAME]} of {len(results)} models are the same function"


def summary(run: Run, title: str) -> str:
    results = run.results
    kind = "good" if run.passed else "bad" if any(map(has_failed, results)) else "muted"
    return (
        f'<header><p class="eyebrow">zoo validate</p><h1 class="{kind}">{title}</h1>'
        f"<p>{_lead(results)}</p>"
        f'<div class="tiles">{_tiles(results)}</div>{_circumstances(run)}</header>'
    )


def _lead(results: Sequence[Result]) -> str:
    done = [s for result in results for s in result.stages if s.status != "skipped"]
    if not done:
        return "The run holds no comparison." if not results else "Every stage was skipped."
    names = [wording.text(name) for name in dict.fromkeys(stage.name for stage in done)]
    references = [against(name) for name in dict.fromkeys(stage.against for stage in done)]
    rows = sum(len(stage.rows) for stage in done)
    return (
        f"By {wording.counted(rows, 'comparison')} with {wording.listed(references)}: "
        f"{wording.listed(names)}."
    )


def _tiles(results: Sequence[Result]) -> str:
    if not results:
        return ""
    return _tile_of_verdicts(results) + _tile_of_outputs(results) + _tile_of_worst(results)


def _tile_of_verdicts(results: Sequence[Result]) -> str:
    verdicts = Counter(map(verdict, results))
    words = {
        DIFFERENT: "different",
        ONLY_IMAGES: "only in preprocessing",
        NOT_COMPARED: "not compared",
    }
    others = [f"{verdicts[said]} {word}" for said, word in words.items() if verdicts[said]]
    same = f"{verdicts[SAME]} of {len(results)}"
    return _tile("The same function", same, ", ".join(others) or "none differs")


def _tile_of_outputs(results: Sequence[Result]) -> str:
    largest = [max(found) for result in results if (found := _outputs(result))]
    if not largest:
        return ""
    if not math.isfinite(max(largest)):
        return _tile("Outputs differ by", "no number", "some are NaN or infinite")
    more = "of their scale, over all end points"
    if len(largest) > 2:
        half = f'<span class="n">{wording.figure(median(largest))}</span>'
        more = f"of their scale; in half of the models {half} or less"
    return _tile("Outputs differ by at most", wording.figure(max(largest)), more)


def _outputs(result: Result) -> list[float]:
    """The outputs' differences; infinite where a value is no number."""
    rows = [row for stage in result.stages if stage.name == OUTPUTS for row in stage.rows]
    differences = [row.difference for row in rows if is_drawn(row)]
    return [math.inf if value is None or math.isnan(value) else value for value in differences]


def _tile_of_worst(results: Sequence[Result]) -> str:
    places = [
        (row, stage, index)
        for index, result in enumerate(results)
        for stage in result.stages
        for row in stage.rows
        if is_drawn(row)
    ]
    if not places:
        return ""
    row, stage, index = max(places, key=lambda place: (not place[0].passed, used(place[0])))
    where = f"{wording.text(stage.name)}: {told(row, 60)}"
    if len(results) > 1:
        model = wording.text(results[index].model, 60)
        where = f'<a href="#m{index}">{model}</a>, {where}'
    part = used(row)
    large = wording.share(part) if math.isfinite(part) else "no number"
    label = "Nearest to its limit" if row.passed else "Furthest beyond its limit"
    return _tile(label, large, where)


def _tile(label: str, large: str, small: str) -> str:
    return f"<div><span>{label}</span><strong>{large}</strong><span>{small}</span></div>"


def _circumstances(run: Run) -> str:
    common = common_settings(run.results).items()
    setting = [(name.replace("_", " "), value) for name, value in common if value]
    versions = [
        (wording.text(package), wording.text(version))
        for package, version in run.versions.items()
        if version != "none"
    ]
    created = wording.text(run.created.replace("T", " ").replace("Z", " UTC"))
    return _pairs(setting) + _pairs([*versions, ("run", created)])


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f"<dl>{cells}</dl>" if pairs else ""


def differing(results: Sequence[Result]) -> str:
    """Each model that differs and where it begins: the network's differences first."""
    if len(results) < 2:
        return ""
    lines: dict[str, list[str]] = {DIFFERENT: [], ONLY_IMAGES: []}
    for index, result in enumerate(results):
        if has_failed(result):
            name = f'<a href="#m{index}">{wording.text(result.model, 80)}</a>'
            lines[verdict(result)].append(f"<li>{name} in {divergence(result, 80)}</li>")
    for said, found in lines.items():
        if len(found) > _LISTED:
            lines[said] = [*found[:_LISTED], f"<li>and {len(found) - _LISTED} more</li>"]
    titles = {DIFFERENT: "Where they differ first", ONLY_IMAGES: "Only preprocessing differs"}
    return "".join(
        f'<section class="differing"><h2>{titles[said]}</h2><ul>{"".join(found)}</ul></section>'
        for said, found in lines.items()
        if found
    )
