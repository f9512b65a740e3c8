"""Bringing the content of files of older formats up to date."""

from collections.abc import Callable, Mapping
from typing import Any

from bench.spec.job import CLEAN, evaluation_id
from bench.store.records.base import Circumstances
from bench.store.records.trials import TrainMetrics

# What of a trial's record of format 1 is its evaluation's, or both records'.
WHILE_CHOOSING = frozenset(TrainMetrics.model_fields)
OF_TEST_DATA = ("dataset", "split_id", "fingerprint", "copy", "classes", "test_images")
MOVED = ("test_evaluations", "predictions_sha256")
CIRCUMSTANCES = tuple(Circumstances.model_fields)


def _evaluation_apart(content: dict[str, Any]) -> dict[str, Any]:
    """Of format 1, where a trial and its only evaluation were one record."""
    metrics, data = content.get("metrics"), content.get("data")
    if content.get("kind", "trial") != "trial" or not isinstance(metrics, dict) or not isinstance(data, dict):
        return content
    before, content = content, {name: value for name, value in content.items() if name not in MOVED}
    content["metrics"] = {name: value for name, value in metrics.items() if name in WHILE_CHOOSING}
    if content.get("outcome") != "finished":
        return content
    evaluation = {name: before[name] for name in (*CIRCUMSTANCES, *MOVED) if name in before}
    evaluation |= {
        "kind": "evaluation",
        "id": evaluation_id(str(content.get("id")), CLEAN),
        "trial": content.get("id"),
        "condition": CLEAN,
        "outcome": "finished",
        "data": {name: value for name, value in data.items() if name in OF_TEST_DATA},
        "metrics": {name: value for name, value in metrics.items() if name not in WHILE_CHOOSING},
        "wall_s": 0.0,
    }
    return content | {"evaluation": evaluation}


Steps = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]
UPGRADES: Steps = {1: _evaluation_apart}
"""What makes of a file's content of one format that of the next, by the older format."""


def upgrade(content: dict[str, Any], steps: Steps = UPGRADES) -> dict[str, Any]:
    """The content of a file as the format after the last step has it, step by step from its own."""
    for number in range(content["format"], max(steps) + 1):
        content = steps[number](content) | {"format": number + 1}
    return content
