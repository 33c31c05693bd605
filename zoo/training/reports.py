"""What a fine-tuning came to: a short text, and its curves as a picture."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from PIL import Image, ImageDraw

_WIDTH, _HEIGHT, _MARGIN = 480, 320, 48
_COLOURS = {"": "#1f77b4", "val_": "#d62728"}
_NAMES = {"": "training", "val_": "validation"}


def write_curves(path: str | os.PathLike, history: Sequence[dict]) -> None:
    """Draws loss and accuracy over the epochs, side by side, as a PNG file.

    Args:
        path: of the file.
        history: a row for each epoch: `loss`, `accuracy`, with `val_` before them if validated,
            and `stage`, whose changes are grey lines.
    """
    image = Image.new("RGB", (2 * _WIDTH, _HEIGHT), "white")
    for place, metric in enumerate(("loss", "accuracy")):
        panel = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
        _draw(ImageDraw.Draw(panel), metric, history)
        image.paste(panel, (place * _WIDTH, 0))
    image.save(path, "PNG")


def text(report: dict) -> str:
    """The report as a short Markdown text.

    Args:
        report: as `zoo.training.finetuning.FineTuned.report` has it.
    """
    lines = [f"# {report['model']}", ""]
    lines.append(
        f"{report['images']} images to train with, {report['validation_images']} to validate "
        f"with, {len(report['class_names'])} classes: {_listed(report['class_names'])}."
    )
    if report["skipped"]:
        lines += ["", f"{len(report['skipped'])} left out, for they cannot be read:", ""]
        lines += [f"- {one}" for one in report["skipped"][:20]]
        lines += [f"- and {len(report['skipped']) - 20} more"] * (len(report["skipped"]) > 20)
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    columns = [name for name in columns if any(name in row for row in report["history"])]
    lines += ["", f"| stage | epoch | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for row in report["history"]:
        values = [f"{row[name]:.4f}" if name in row else "" for name in columns]
        lines.append(f"| {row['stage'] + 1} | {row['epoch']} | {' | '.join(values)} |")
    best = report["best"]
    lines += [
        "",
        f"Best: {best['metric']} {best['value']:.4f}, epoch {best['epoch']} of stage "
        f"{best['stage'] + 1} (best.keras).",
        "",
    ]
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _draw(draw: ImageDraw.ImageDraw, metric: str, history: Sequence[dict]) -> None:
    curves = {
        prefix: [(index, row[prefix + metric]) for index, row in enumerate(history)]
        for prefix in _COLOURS
        if history and all(prefix + metric in row for row in history)
    }
    values = [value for points in curves.values() for _, value in points if math.isfinite(value)]
    draw.text((_WIDTH / 2, 16), metric, fill="black", anchor="mm")
    if not values:
        return
    low, high = min(values), max(values)
    high += (high - low) * 0.05 or 1e-6

    def at(index: float, value: float) -> tuple[float, float]:
        wide = max(len(history) - 1, 1)
        x = _MARGIN + index / wide * (_WIDTH - 2 * _MARGIN)
        return x, _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    for index in range(1, len(history)):
        if history[index]["stage"] != history[index - 1]["stage"]:
            draw.line([at(index - 0.5, low), at(index - 0.5, high)], fill="#bbbbbb")
    draw.rectangle([at(0, high), at(max(len(history) - 1, 1), low)], outline="black")
    for value in (low, (low + high) / 2, high):
        draw.text((_MARGIN - 4, at(0, value)[1]), f"{value:.3g}", fill="black", anchor="rm")
    for index in {0, len(history) - 1}:
        x, y = at(index, low)
        draw.text((x, y + 12), str(index + 1), fill="black", anchor="mm")
    draw.text((_WIDTH / 2, _HEIGHT - 14), "epoch", fill="black", anchor="mm")
    for place, (prefix, points) in enumerate(curves.items()):
        where = [at(*point) for point in points if math.isfinite(point[1])]
        if len(where) > 1:
            draw.line(where, fill=_COLOURS[prefix], width=2)
        for x, y in where:
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_COLOURS[prefix])
        name = (_MARGIN + 8 + 90 * place, 32)
        draw.text(name, _NAMES[prefix], fill=_COLOURS[prefix], anchor="lm")
