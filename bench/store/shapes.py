"""What a JSON file of a store has to hold for what reads it; a damaged one is named in one line."""

import re
from pathlib import Path
from typing import Any

from bench.errors import StoreError, shortened

ID = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""An id names a folder, and stands in LaTeX, HTML and commands; those made here are hexadecimal."""

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The name of a model brought from outside."""

Number, Optional = (int, float), type(None)
_TEXT, _COUNT = (str,), (int,)

TRIAL = {
    "id": _TEXT,
    "outcome": _TEXT,
    "identity": {
        "recipe": dict,
        "input_size": _COUNT,
        "precision": _TEXT,
        "shots": (int, Optional),
        "draw_seed": (int, Optional),
        "seed": (int, Optional),
    },
    "model": {"name": _TEXT, "title": _TEXT, "family": _TEXT, "pretraining": _TEXT, "params": _COUNT},
    "data": {
        "dataset": _TEXT,
        "split_id": _TEXT,
        "fingerprint": _TEXT,
        "copy": _TEXT,
        "classes": _COUNT,
        "train_images": _COUNT,
        "val_images": _COUNT,
        "test_images": _COUNT,
    },
    "recipe": _TEXT,
    "protocol": _TEXT,
    "metrics": dict,
    "versions": dict,
    "wall_s": Number,
}
COST = {
    "id": _TEXT,
    "what": _TEXT,
    "model": _TEXT,
    "classes": _COUNT,
    "input_size": _COUNT,
    "params": _COUNT,
    "flops": _COUNT,
    "gmacs": Number,
}
BROUGHT = {
    "id": _TEXT,
    "vcbench": _TEXT,
    "sha256": _TEXT,
    "given": _TEXT,
    "data": {
        "dataset": _TEXT,
        "split_id": _TEXT,
        "fingerprint": _TEXT,
        "copy": _TEXT,
        "classes": _COUNT,
        "test_images": _COUNT,
    },
    "metrics": dict,
    "top1_wilson": [Number],
}
PROFILE = {"id": _TEXT, "what": _TEXT}
LISTING = {
    "suite": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "fingerprint": _TEXT,
    "delta": Number,
    "settings": [_TEXT],
    "contestants": dict,
    "comparisons": [
        {
            "name": _TEXT,
            "dataset": _TEXT,
            "split_id": (str, Optional),
            "input_size": _COUNT,
            "recipe": _TEXT,
            "contestants": [_TEXT],
            "contrasts": [[_TEXT]],
            "exploratory": [[_TEXT]],
            "unmatched": _TEXT,
        }
    ],
    "trials": [
        {
            "id": (str, Optional),
            "comparison": _TEXT,
            "contestant": _TEXT,
            "shots": (int, Optional),
            "replicate": _COUNT,
            "draw_seed": (int, Optional),
            "seed": (int, Optional),
        }
    ],
    "profiles": [_TEXT],
}
# What a trial or profile may have; anything else is only shown.
MAYBE = {
    "title": _TEXT,
    "family": _TEXT,
    "pretraining": _TEXT,
    "model": (str, dict),
    "outcome": _TEXT,
    "reason": _TEXT,
    "machine": _TEXT,
    "device": _TEXT,
    "commit": _TEXT,
    "started": _TEXT,
    "finished": _TEXT,
    "selection": _TEXT,
    "counter": _TEXT,
    "by_part": dict,
    "versions": dict,
    "details": dict,
    "trainable_params": _COUNT,
    "activations_m": Number,
    "images_seen": _COUNT,
    "steps": _COUNT,
    "epochs": Number,
    "threads": _COUNT,
    "test_evaluations": _COUNT,
    "train_images_per_s": Number,
}
CONTESTANT = {"title": _TEXT, "model": _TEXT, "weights": _TEXT, "recipe": (str, Optional)}

# Metrics that are shares of images, or a mean of shares.
SHARES = ("top1", "top5", "mean_per_class", "ece", "top1_deduplicated", "val_top1", "train_top1")
WORDS = {str: "text", int: "a whole number", float: "a number", dict: "a table", Optional: "null"}


def check_trial(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """The record of a trial, if it is whole and lies in the folder of its id.

    Raises:
        StoreError: names the file and what is wrong.
    """
    _check(record, TRIAL, path)
    _check_maybe(record, path)
    _check_id(record, path)
    if record["data"]["classes"] < 1:
        raise _damaged(path, "data.classes", "should be at least 1")
    if record["outcome"] not in ("finished", "diverged"):
        raise _damaged(path, "outcome", f'should be "finished" or "diverged", not {record["outcome"]!r}')
    needed = {"top1", "top5", "mean_per_class", "nll"} if record["outcome"] == "finished" else set()
    _check_metrics(record, path, needed)
    return record


def check_brought(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """The record of a model brought from outside; as `check_trial`."""
    _check(record, BROUGHT, path)
    _check_id(record, path, NAME)
    if len(record["top1_wilson"]) != 2:
        raise _damaged(path, "top1_wilson", "should be two numbers")
    _check_metrics(record, path, {"top1"})
    return record


def check_profile(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """The record of a profile; as `check_trial`."""
    _check(record, PROFILE, path)
    _check(record, COST if record["what"] == "cost" else PROFILE, path)
    _check_maybe(record, path)
    _check_id(record, path)
    return record


def check_listing(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a store keeps of a suite, if all that it names is there; as `check_trial`."""
    _check(content, LISTING, path)
    for key, contestant in content["contestants"].items():
        _check(contestant, CONTESTANT, path, f"contestants.{key}")
    for run in (*(entry["id"] for entry in content["trials"]), *content["profiles"]):
        if run is not None and not ID.fullmatch(run):
            raise _damaged(path, "trials or profiles", f"{shortened(run, 40)!r} is not the id of a run")
    own: dict[str, list[str]] = {}
    for comparison in content["comparisons"]:
        own[comparison["name"]] = comparison["contestants"]
        pairs = comparison["contrasts"] + comparison["exploratory"]
        if any(len(pair) != 2 for pair in pairs):
            raise _damaged(path, "comparisons", "a contrast is a pair")
        for key in (*comparison["contestants"], *sum(pairs, [])):
            if key not in content["contestants"]:
                raise _damaged(path, "comparisons", f'no contestant "{key}"')
    for entry in content["trials"]:
        if entry["contestant"] not in own.get(entry["comparison"], ()):
            raise _damaged(path, "trials", f'no "{entry["contestant"]}" in "{entry["comparison"]}"')
    return content


def check_entry(content: Any, name: str, kind: type, path: Path) -> Any:
    """One entry of a small file; as `check_trial`."""
    _check(content, {name: (kind,)}, path)
    return content[name]


def _check_maybe(record: dict[str, Any], path: Path) -> None:
    for name, kinds in MAYBE.items():
        if record.get(name) is not None:
            _check(record[name], kinds, path, name)


def _check_metrics(record: dict[str, Any], path: Path, needed: set[str]) -> None:
    for name in sorted(needed | set(record["metrics"])):
        value = record["metrics"].get(name)
        if name in needed or value is not None:
            _check(value, Number, path, f"metrics.{name}")
            if value < 0 or (name in SHARES and value > 1):
                raise _damaged(path, f"metrics.{name}", f"cannot be {value}")


def _check_id(record: dict[str, Any], path: Path, allowed: re.Pattern[str] = ID) -> None:
    if record["id"] != path.parent.name or not allowed.fullmatch(record["id"]):
        raise _damaged(path, "id", f"is {shortened(record['id'], 40)!r}, and its folder is called otherwise")


def _check(value: Any, shape: Any, path: Path, key: str = "") -> None:
    """Compare plain data with a shape: a dict of what is needed, a list of one shape, a choice of types."""
    if isinstance(shape, dict) or shape is dict:
        if not isinstance(value, dict):
            raise _damaged(path, key, "should be a table")
        for name, inner in shape.items() if isinstance(shape, dict) else ():
            inside = f"{key}.{name}" if key else name
            if name not in value:
                raise _damaged(path, inside, "is missing")
            _check(value[name], inner, path, inside)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _damaged(path, key, "should be a list")
        for item in value:
            _check(item, shape[0], path, key)
    elif not isinstance(value, shape) or isinstance(value, bool):
        wanted = " or ".join(dict.fromkeys(WORDS[kind] for kind in shape))
        raise _damaged(path, key, f"should be {wanted}, not {shortened(repr(value), 40)}")


def _damaged(path: Path, key: str, what: str) -> StoreError:
    return StoreError(
        f'{path}: damaged: "{key or "the file"}" {what}; restore the file, or remove its folder'
    )
