"""What the page says of one model: its stages, each with a plot or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from zoo.validation.page import wording
from zoo.validation.page.plot import is_drawn, plot, told, used
from zoo.validation.results import (
    ITSELF,
    PREPROCESSING,
    STAGES,
    TENSORFLOW_1,
    TF1_GRAPH,
    Result,
    Row,
    Stage,
)

OUTPUTS = STAGES[2]
AGAINST = {
    TF1_GRAPH: "the TF1 graph",
    TENSORFLOW_1: "TensorFlow 1.15.5",
    ITSELF: "the model before",
}
_BRIEFLY = {TF1_GRAPH: "TF1 graph", TENSORFLOW_1: "TF 1.15.5", ITSELF: "itself"}
# Rows that a table shows; of more the worst.
_TABLE = 12
_WORST = 8
# Outputs that make a plot; other stages have one where their rows do not fit a table.
_FEW_OUTPUTS = 4

_LONGEST_NAME = 160
# What took less is not worth telling.
_SHOWN_SECONDS = 0.1

# How a result came out, in words.
SAME, DIFFERENT = "the same function", "differs"
ONLY_IMAGES, NOT_COMPARED = "only preprocessing differs", "not compared"


def verdict(result: Result) -> str:
    failed = {stage.name for stage in result.stages if stage.status == "failed"}
    if failed:
        return ONLY_IMAGES if failed == {PREPROCESSING} else DIFFERENT
    return SAME if result.passed else NOT_COMPARED


def has_failed(result: Result) -> bool:
    return verdict(result) in (DIFFERENT, ONLY_IMAGES)


def divergence(result: Result, longest: int | None = None) -> str:
    """Where a model differs first, by how much: as HTML; nothing where it does not.

    Args:
        longest: characters of the row's name.
    """
    first = result.first_divergence
    if first is not None:
        row = Row(**{key: first[key] for key in Row.__dataclass_fields__})
        where = f"{wording.text(first['stage'])} against {against(first['against'])}"
        return f"{where}: <b>{told(row, longest)}</b>"
    stage = next((stage for stage in result.stages if stage.status == "failed"), None)
    if stage is None:
        return ""
    return f"{wording.text(stage.name)} against {against(stage.against)}"


def against(reference: str) -> str:
    return AGAINST.get(reference) or wording.text(reference, 40)


def against_briefly(reference: str) -> str:
    return _BRIEFLY.get(reference) or wording.text(reference, 20)


def mark(said: str) -> str:
    """A verdict in its colour."""
    kind = {SAME: "good", NOT_COMPARED: "muted"}.get(said, "bad")
    return f'<span class="{kind}">{said}</span>'


def plots(result: Result) -> int:
    """How many stages have a plot."""
    return sum(_has_plot(stage) for stage in result.stages)


def section(
    result: Result,
    identity: str,
    *,
    is_open: bool,
    columns: int,
    settings: Sequence[str],
    versions: Mapping[str, str],
) -> str:
    """The whole of what was found about a model.

    Args:
        result: to show.
        identity: of the element, for links.
        is_open: whether it is unfolded.
        columns: of each plot, at most.
        settings: names of what to tell of its setting.
        versions: those that the page tells already.
    """
    name, said = wording.text(result.model, _LONGEST_NAME), verdict(result)
    network = [stage for stage in result.stages if stage.name != PREPROCESSING]
    images = [stage for stage in result.stages if stage.name == PREPROCESSING]
    parts = [_facts(result, settings, versions), _divergence(result)]
    parts += [_stage(stage, result, columns) for stage in network if stage.status != "skipped"]
    if images:
        parts.append(
            '<h3>Apart from the network</h3><p class="muted">The images on their way in. The '
            "network is given the same arrays on both sides: none of this is in what is above.</p>"
        )
        parts += [_stage(one, result, columns) for one in images if one.status != "skipped"]
    parts.append(_skipped(result.stages))
    return (
        f'<details class="model"{" open" * is_open}><summary><h2>{name}</h2>{mark(said)}'
        f'</summary><div class="body" id="{identity}">{"".join(parts)}</div></details>'
    )


def setting_in_words(name: str, value: object) -> str:
    if name == "image_shape":
        return wording.shape(value)
    if name == "weights" and value == "rule":
        return "by rule, as recorded"
    return wording.text(value, 200)


def common_settings(results: Sequence[Result]) -> dict[str, str]:
    """What is the same for all results, in words."""
    settings = [asdict(result.setting) for result in results]
    return {
        name: setting_in_words(name, value)
        for name, value in (settings[0] if settings else {}).items()
        if all(setting[name] == value for setting in settings)
    }


def _facts(result: Result, settings: Sequence[str], versions: Mapping[str, str]) -> str:
    setting = asdict(result.setting)
    facts = [
        f"{name.replace('_', ' ')} {setting_in_words(name, setting[name])}"
        for name in settings
        if setting[name]
    ]
    if result.golden:
        facts.append(f"recorded values {wording.text(result.golden, 80)}")
    facts += [
        f"{wording.text(package)} {wording.text(version)}"
        for package, version in result.versions.items()
        if versions.get(package) != version
    ]
    facts += [wording.duration(result.seconds)] * (result.seconds > 0)
    return f'<p class="muted">{" · ".join(facts)}</p>' if facts else ""


def _divergence(result: Result) -> str:
    found = divergence(result, _LONGEST_NAME)
    return f'<p class="callout">First divergence, in {found}.</p>' if found else ""


def _has_plot(stage: Stage) -> bool:
    if stage.status == "skipped":
        return False
    drawn = sum(map(is_drawn, stage.rows))
    if stage.name == OUTPUTS:
        return drawn >= _FEW_OUTPUTS
    return drawn > _TABLE and not _is_exact(stage)


def _is_exact(stage: Stage) -> bool:
    return stage.status == "passed" and not any(row.difference for row in stage.rows)


def _stage(stage: Stage, result: Result, columns: int) -> str:
    title = _title(stage)
    reason = f'<p class="muted">{wording.text(stage.reason)}</p>' if stage.reason else ""
    if _has_plot(stage):
        drawn = [row for row in stage.rows if is_drawn(row)]
        what = f"differences of {wording.text(result.model, 60)}, {wording.text(stage.name)}"
        body = plot(drawn, title, what, columns) + reason
        label, table = _rows(stage)
        body += f"<details><summary>{label}</summary>{table}</details>"
        return f'<section class="stage">{body}</section>'
    label, table = _rows(stage)
    if _is_exact(stage):
        # Nothing to see: in a line that unfolds.
        words = f"<small>· {wording.counted(len(stage.rows), 'row')}, no difference</small>"
        body = f"<details><summary>{title} {words}</summary>{reason}{table}</details>"
        return f'<section class="stage exact">{body}</section>'
    return f'<section class="stage">{title}{reason}{table}</section>'


def _title(stage: Stage) -> str:
    name = wording.text(stage.name)
    took = f" · {wording.duration(stage.seconds)}" if stage.seconds >= _SHOWN_SECONDS else ""
    title = f"{name[:1].upper()}{name[1:]} <small>against {against(stage.against)}{took}</small>"
    if stage.status == "failed":
        failed = sum(not row.passed for row in stage.rows)
        count = f"{failed} of {len(stage.rows)} " if failed else ""
        title += f' <span class="bad">{count}failed</span>'
    return f"<h4>{title}</h4>"


def _rows(stage: Stage) -> tuple[str, str]:
    """What is in a table of the rows, and the table: of all of them, or of the worst."""
    rows, label = stage.rows, f"All {len(stage.rows)} rows"
    if len(rows) > _TABLE:
        rows = sorted(rows, key=lambda row: (row.passed, -used(row)))[:_WORST]
        label = f"The worst {len(rows)} of {len(stage.rows)}"
    return label, _table(rows, label) if rows else ""


def _table(rows: Sequence[Row], caption: str) -> str:
    # A column that would be empty is left out.
    columns = {
        "": lambda row: "✓" if row.passed else '<b class="bad">✗ failed</b>',
        "name": lambda row: wording.text(row.name),
        "shape": lambda row: wording.shape(row.shape),
        "difference": lambda row: wording.figure(row.difference),
        "allowed": lambda row: wording.figure(row.tolerance),
        "used": lambda row: wording.share(used(row)) if wording.figure(row.difference) else "",
        "note": lambda row: wording.text(row.note, 400),
    }
    cells = {name: [of(row) for row in rows] for name, of in columns.items()}
    cells = {name: column for name, column in cells.items() if any(column)}
    kinds = dict.fromkeys(("shape", "difference", "allowed", "used"), ' class="n"')
    kinds["name"] = ' class="name"'
    head = "".join(
        f"<th{kinds.get(name, '')}>{name or '<span class=unseen>passed</span>'}</th>"
        for name in cells
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kinds.get(name, '')}>{cells[name][index]}</td>" for name in cells)
        + "</tr>"
        for index in range(len(rows))
    )
    spoken = f'<div class="wide" role="region" tabindex="0" aria-label="{caption}">'
    return f"{spoken}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _skipped(stages: Sequence[Stage]) -> str:
    """Why what was left out was left out: stages of one reason together."""
    reasons: dict[str, list[str]] = {}
    for stage in stages:
        if stage.status == "skipped":
            where = f"{wording.text(stage.name)} against {against(stage.against)}"
            reasons.setdefault(stage.reason, []).append(where)
    lines = [
        f"<li>{wording.listed(where)}{': ' if reason else ''}{wording.text(reason)}</li>"
        for reason, where in reasons.items()
    ]
    return (
        f'<div class="muted"><h4>Not compared</h4><ul>{"".join(lines)}</ul></div>' if lines else ""
    )
