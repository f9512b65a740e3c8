"""The model card of a run that is taken away: what it is, what it gave, and what that says nothing about."""

import json
from typing import Any

from bench.report.writers.markdown import escape
from bench.store.records.trials import Result

METRICS = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "mean_per_class": "mean accuracy per class",
    "nll": "negative log-likelihood (nats)",
    "ece": "expected calibration error, before calibration",
}


def model_card(result: Result, facts: dict[str, Any], file: str) -> str:
    """Markdown with the front matter of model repositories.

    Args:
        result: of the run on clean test images.
        facts: see `bench.deploy.formats.facts`.
        file: the name of the file of the network.
    """
    data, ready = result.data, facts["preprocessing"]
    assert result.evaluation is not None
    metrics = result.evaluation.metrics.content()
    known = {name: metrics.get(key) for key, name in METRICS.items()}
    rows = [f"| {name} | {value:.4f} |" for name, value in known.items() if value is not None]
    temperature = facts["temperature"]
    calibrated = (
        f"Probabilities are calibrated: logits are divided by {temperature:.4g}, fitted on the val split."
        if temperature
        else "Probabilities are not calibrated."
    )
    shots = result.identity.shots
    subset = "all of them" if shots is None else f"{shots} per class"
    licence = facts["licence"]
    whose = f", whose licence is {escape(licence)}" if licence else ""
    return "\n".join(
        [
            "---",
            *([f"license: {json.dumps(licence)}"] if licence else []),
            "pipeline_tag: image-classification",
            "tags:",
            "- image-classification",
            "- vcbench",
            "---",
            "",
            f"# {escape(facts['model'])}",
            "",
            f"`{file}`, from {escape(facts['weights'])} ({subset}).",
            "",
            f"## On {data.test_images} test images of {escape(data.dataset)}",
            "",
            "| Metric | Value |",
            "| :-- | --: |",
            *rows,
            "",
            f"One training run; other runs of the recipe give other numbers. {calibrated}",
            "",
            "## Use",
            "",
            f"- Images: {_made_ready(ready)}",
            f"- Classes: {len(facts['class_names'])}, in the order of `class_names`.",
            f"- Training began with {facts['began_with']}{whose}. The images have terms of their own.",
            "",
            "## Limits",
            "",
            "Accuracy is that on test images of the same source. Images from other cameras, places or "
            "classes were not tried, and an image of none of the classes gets one of them all the same.",
            "",
            f"Run {result.id}, made by {facts['made_by']}.",
            "",
        ]
    )


def _made_ready(ready: dict[str, Any]) -> str:
    """How an image becomes network input, in words."""
    side, cut, scaled = ready["resize_px"], ready["center_crop_px"], ready["scale_px"]
    text = f"{ready['order']}, {ready['resize']} to {side} px ({ready['interpolation']})"
    if cut:
        return f"{text}, of which the centre of {cut} px is cut out."
    if not scaled:
        return f"{text}; nothing is cut."
    return (
        f"{text}, then all of it scaled to {scaled} px, not rounded between; nothing is cut. What scales "
        f"once, as timm's own transform does, gives the same only of images of {side} x {side} px."
    )
