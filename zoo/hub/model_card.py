"""The model card of a publication: README.md with the Hub's metadata, all of it from `Facts`."""

from __future__ import annotations

from zoo.hub.facts import IMAGENET_CLASSES, Facts
from zoo.images.kinds import IN_WORDS
from zoo.registry import Accuracy

_LICENCES = {  # how a licence's name begins -> the Hub's identifier; all else is "other"
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "cc-by-4.0": "cc-by-4.0",
    "creative commons attribution 4.0": "cc-by-4.0",
}


def model_card(
    facts: Facts, repo: str, files: list[str], licence: str | None, base_model: str | None
) -> str:
    """README.md's text.

    Args:
        repo: "owner/name", for the examples.
        files: names of the other files.
        licence: of the weights; None is said to be unknown.
        base_model: repository that the weights were made from.
    """
    from huggingface_hub import ModelCardData

    title = repo.partition("/")[2]
    data = ModelCardData(
        library_name="keras",
        pipeline_tag=_task(facts),
        tags=["zoo", "tf-slim", "tensorflow-1", _task(facts)],
        base_model=base_model,
        model_name=title,
        eval_results=_results(facts) or None,
        **_licence_data(licence),
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {title}\n",
        _introduction(facts),
        _use(repo, facts),
        _preprocessing(facts),
        _accuracy(facts),
        _equivalence(facts),
        _origin(facts),
        "## Files\n\n" + "".join(f"- `{name}`: {_CONTENT[name]}\n" for name in files),
        f"## Licence\n\n{licence or 'Not known.'}\n",
        _paper(facts),
    ]
    return "\n".join(part for part in parts if part)


_CONTENT = {
    "config.json": "the plain Keras model, as Keras writes it",
    "metadata.json": "Keras's version",
    "model.weights.h5": "its weights",
    "tf1.safetensors": "the weights under their TF1 names",
    "zoo.json": "what `zoo.load` makes the model from",
    "labels.json": "the names of the outputs",
    "preprocessing.json": "what is done to images first",
    "weight_map.json": "TF1 name and Keras name of each weight",
    "equivalence.json": "how far the model is from its TF1 graph, end point by end point",
    "README.md": "this card",
}


def _task(facts: Facts) -> str:
    return "video-classification" if _is_video(facts) else "image-classification"


def _is_video(facts: Facts) -> bool:
    return len(facts.native.input_shape) == 5


def _licence_data(licence: str | None) -> dict:
    if licence is None:
        return {}
    for beginning, identifier in _LICENCES.items():
        if f"{licence.lower()} ".startswith(f"{beginning} "):
            return {"license": identifier}
    return {"license": "other", "license_name": licence}


def _introduction(facts: Facts) -> str:
    count = f"{facts.native.count_params():,}"
    if facts.spec is None:
        return f"A network of TensorFlow 1 code, in Keras 3. {count} parameters.\n"
    shape = "x".join(str(side or "any") for side in facts.native.input_shape[1:])
    return (
        f"The network `{facts.spec.name}` of TensorFlow 1, in Keras 3. {count} parameters, "
        f"input {shape}, {facts.native.output_shape[-1]} outputs.\n"
    )


def _use(repo: str, facts: Facts) -> str:
    lines = ["## Use\n", "With Keras alone, on any of its backends:\n", "```python", "import keras"]
    lines += [f'\nmodel = keras.saving.load_model("hf://{repo}")', "```\n"]
    if facts.equivalence is not None:
        lines += ["With zoo, as the original TF1 code:\n", "```python", "import zoo"]
        lines += [f'\nmodel = zoo.load("hf://{repo}")']
        lines += ['model.decode(model.predict(model.preprocess("photo.jpg")))', "```\n"]
    return "\n".join(lines)


def _preprocessing(facts: Facts) -> str | None:
    if facts.preprocessing is None:
        return None
    kind, size = facts.preprocessing["kind"], facts.preprocessing["size"]
    side = size if isinstance(size, int) else "x".join(map(str, size))
    what = IN_WORDS[kind].format(size=side)
    return f"## Preprocessing\n\nTF-Slim's `{kind}` evaluation preprocessing: {what}.\n"


# -- Figures -----------------------------------------------------------------------------------


def _results(facts: Facts) -> list:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=_task(facts),
            dataset_type="imagenet-1k",
            dataset_name=f"ImageNet, {IMAGENET_CLASSES} classes",
            dataset_split="validation",
            metric_type="accuracy",
            metric_name=f"{name} accuracy in percent ({kind})",
            metric_value=value,
            dataset_args={"by": accuracy.by} if accuracy.by else None,
        )
        for kind, accuracy in facts.accuracies
        for name, value in _figures(accuracy)
    ]


def _figures(accuracy: Accuracy) -> list[tuple[str, float]]:
    figures = [("top-1", accuracy.top1), ("top-5", accuracy.top5)]
    return [(name, value) for name, value in figures if value is not None]


def _accuracy(facts: Facts) -> str:
    if not facts.accuracies:
        return "## Accuracy\n\nNot measured for these weights.\n"
    lines = ["## Accuracy\n", "ImageNet validation set, single crop, in percent.\n"]
    lines += ["| top-1 | top-5 | | by |", "|---|---|---|---|"]
    for kind, accuracy in facts.accuracies:
        top5 = "" if accuracy.top5 is None else accuracy.top5
        by = ", ".join(text for text in (accuracy.by, accuracy.note) if text)
        lines.append(f"| {accuracy.top1} | {top5} | {kind} | {by} |")
    return "\n".join(lines) + "\n"


def _equivalence(facts: Facts) -> str:
    if facts.equivalence is None:
        return "## Equivalence\n\nNot measured: published from the plain Keras model.\n"
    graph, native = facts.equivalence["tf1_graph"], facts.equivalence["native"]
    worst = max([row["difference"] for row in graph["end_points"]], default=None)
    points = f", the worst of {len(graph['end_points'])} end points by {worst:.1e}" if worst else ""
    return (
        "## Equivalence\n\nMeasured when this was published, on "
        f"{facts.equivalence['images']}, as the largest difference over the largest value: against "
        f"the TF1 graph in a Session the logits differ by {graph['logits']['difference']:.1e}"
        f"{points}; the plain Keras model's outputs differ by {native['difference']:.1e}.\n"
    )


def _origin(facts: Facts) -> str:
    lines = ["## Where the weights come from\n"]
    if facts.origin is None:
        lines.append("Not known.")
    else:
        state = "unchanged" if facts.origin["unchanged"] else "changed since (trained, or in part)"
        rows = {"Source": facts.origin.get("source", facts.origin["file"])}
        rows["Checkpoint"] = f"{facts.name}, {state}" if facts.name else state
        rows["Size"] = f"{facts.origin['size']} bytes" if "size" in facts.origin else None
        rows["SHA-256"] = facts.origin.get("sha256")
        lines += [f"- {name}: {value}" for name, value in rows.items() if value]
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return "\n".join([*lines, f"\nPublished with {versions}.\n"])


def _paper(facts: Facts) -> str | None:
    if facts.spec is None or facts.spec.paper is None:
        return None
    paper = facts.spec.paper
    parts = [paper.authors, f"*{paper.title}*", paper.year and str(paper.year), paper.url]
    return f"## Citation\n\n{', '.join(part for part in parts if part)}\n"
