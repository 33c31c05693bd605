"""All models at a glance: how close each is, and the table of models by stages."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.validation.page import wording
from zoo.validation.page.plot import is_drawn, plot, told, used, worst
from zoo.validation.page.sections import against_briefly
from zoo.validation.results import STAGES, Result, Row, Stage

# Fewer models need no plot of models.
_FEW = 4


def closeness(results: Sequence[Result]) -> str:
    """Every model's worst, in the order of the table."""
    rows, words = [], {}
    for result in results:
        found = [row for stage in result.stages for row in stage.rows if is_drawn(row)]
        if found:
            furthest = worst(found)
            part = used(furthest)
            row = Row(result.model, (), part, 1.0, furthest.passed)
            rows.append(row)
            words[row] = f"{wording.text(result.model, 60)}: {told(furthest, 60)}"
    if len(rows) < _FEW:
        return ""
    heading = "<h2>How close <small>each model's worst; 1 is what is allowed</small></h2>"
    figure = plot(rows, heading, "models", tell=words.__getitem__, is_path=False)
    return f"<section>{figure}</section>"


def models(results: Sequence[Result]) -> str:
    """The table of models by stages."""
    columns = sorted(  # whatever the first model has of them
        dict.fromkeys((stage.name, stage.against) for result in results for stage in result.stages),
        key=lambda column: STAGES.index(column[0]) if column[0] in STAGES else len(STAGES),
    )
    if not results or not columns:
        return ""
    head = "".join(
        f'<th scope="col" class="n">{wording.text(name)}'
        f"<small>{against_briefly(reference)}</small></th>"
        for name, reference in columns
    )
    body = []
    for index, result in enumerate(results):
        stages = {(stage.name, stage.against): stage for stage in result.stages}
        cells = "".join(_cell(stages.get(column)) for column in columns)
        name = f'<a href="#m{index}">{wording.text(result.model, 80)}</a>'
        body.append(f'<tr><th scope="row" class="name">{name}</th>{cells}</tr>')
    return (
        '<section id="models"><h2>Models <small>the worst difference of each stage; the bar is '
        'its part of what is allowed</small></h2><div class="wide matrix" role="region" '
        f'tabindex="0" aria-label="Models by stages"><table><thead><tr><th scope="col">model</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div></section>"
    )


def _cell(stage: Stage | None) -> str:
    if stage is None or stage.status == "skipped":
        reason = wording.text(stage.reason, 200) if stage else "not part of this run"
        return (
            f'<td class="n muted" title="{reason}">&ndash;<span class="unseen">skipped</span></td>'
        )
    drawn = [row for row in stage.rows if is_drawn(row)]
    row = worst(drawn) if drawn else None
    number = wording.figure(row.difference) if row else ""
    title = f' title="{told(row, 60)}"' if row else ""
    if stage.status == "failed":
        return f'<td class="n bad"{title}>✗ {number or "failed"}</td>'
    bar = f'<i style="width:{100 * min(used(row), 1):.1f}%"></i>' if row else ""
    return f'<td class="n"{title}>{number or "✓"}{bar}</td>'
