"""The suite that goes on where a pick ends: probes and fine-tuning of the best on all images."""

from itertools import combinations
from pathlib import Path

from bench.errors import InputError
from bench.files import write_text
from bench.picking.length import BATCH, LENGTHS, Length, tuning_images
from bench.picking.pick import Picked
from bench.planning.new_suite import TOO_FEW, can_search, quoted
from bench.spec.suite import suite_names

MARK = "# Written by vcbench pick, which writes it anew; rename it before you change it."
MEASURING_S = 30  # of speed and memory of a network
SLACK = 1.3


def refuse_other_file(path: Path) -> None:
    """Refuse a path where there is a file that no pick has written.

    Raises:
        InputError: so it is, or the path does not end in .toml.
    """
    if path.suffix != ".toml":
        raise InputError(f"--out {path}: should end in .toml")
    if path.stem in suite_names():
        raise InputError(f'--out {path}: "{path.stem}" is the name of a suite that comes with vcbench')
    beside = path.with_suffix(".json")
    ours = path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    for one in (path, beside):
        if one.exists() and not (ours and one.is_file()):
            raise InputError(f"{one} exists already, and no pick has written it; choose another --out")


def length_in(picked: Picked, seconds: float) -> tuple[Length, list[str]] | None:
    """The longest fine-tuning for which there is time, and of which models; None without time for any."""
    ranked = sorted(picked.survivors, key=lambda name: name != picked.best)
    for count in range(len(ranked), 1, -1):
        names = ranked[:count]
        for length in LENGTHS:
            if SLACK * expected_seconds(picked, names, length, replicates=1) < seconds:
                return length, names
    return None


def expected_seconds(picked: Picked, names: list[str], length: Length, replicates: int) -> float:
    """About how long such a suite takes, from how fast the networks are here.

    Args:
        names: of the models.
        replicates: of each training.
    """
    train, val, test = (len(picked.dataset.splits[split]) for split in ("train", "val", "test"))
    trained = tuning_images(length, train, replicates)
    looks = replicates * (test + 6 * val + train) + train + val + test
    speed = sum(1 / picked.entered[name].images_per_s for name in names)
    return speed * (trained + looks) + MEASURING_S * len(names)


def write_pick_suite(picked: Picked, dataset: str, names: list[str], length: Length, path: Path) -> None:
    """Write the suite.

    Args:
        dataset: as suites name it, such as "folder:PATH".
        names: of the models, the most accurate first.
        length: of fine-tuning.

    Raises:
        StoreError: it cannot be written.
    """
    cards = [picked.entered[name].candidate.card for name in names]
    keys = [name.replace(".", "-") for name in names]
    models = "\n".join(
        f'{key} = {{ model = {quoted(card.name)}, title = {quoted(card.title)}, weights = "card" }}'
        for key, card in zip(keys, cards, strict=True)
    )
    pairs = [f"[{quoted(a)}, {quoted(b)}]" for a, b in combinations(keys, 2)]
    first = [pair for pair in pairs if pair.startswith(f"[{quoted(keys[0])},")]
    others = [pair for pair in pairs if pair not in first]
    data, train = picked.dataset, len(picked.dataset.splits["train"])
    named = ", ".join(quoted(card.name) for card in cards)
    shared = f"""dataset = {quoted(dataset)}
split_id = {quoted(data.split_id)}
contestants = [{", ".join(map(quoted, keys))}]
shots = ["all"]
input_size = {picked.input_size}
precision = {quoted(picked.precision)}
unmatched = "the candidates that fitted these images best, whatever they cost and were pretrained on"
"""
    set_for_all = f'"budget.batch_size" = {BATCH}, "val_times" = 1'
    protocol, search = TOO_FEW, ""
    if can_search(train, len(data.class_names)):
        protocol = 'protocol = "tuned"\n'
        search = f"""
[comparison.search]
space = {{ "optimizer.lr" = {{ low = 1e-4, high = 1e-2, values = 5 }} }}
held_out = {min(200, max(train // 5, 50))}
rungs = [0.2, 0.5]
"""
    text = f"""{MARK}
title = {quoted(f"The best of {len(picked.entered)} backbones on {data.name}")}
description = {quoted(f"{', '.join(card.title for card in cards)}: the best of a race on frozen features.")}
delta = 0.01

[models]
{models}

[[comparison]]
name = {quoted(f"{data.name}-finetune")}
recipe = "finetune"
{protocol}replicates = 3
contrasts = [{", ".join(first)}]
exploratory = [{", ".join(others)}]
set = {{ "budget.epochs" = {length.epochs}, "budget.min_steps" = {length.min_steps}, {set_for_all} }}
{shared}{search}
[[comparison]]
name = {quoted(f"{data.name}-probe")}
recipe = "linear-probe"
replicates = 1
exploratory = [{", ".join(pairs)}]
{shared}
{_measured(picked, named)}"""
    write_text(path, text)


def _measured(picked: Picked, named: str) -> str:
    """What is counted and measured of the models, as TOML."""
    classes = len(picked.dataset.class_names)
    return f"""[[profiles.cost]]
models = [{named}]
classes = [{classes}]
input_size = {picked.input_size}

[[profiles.measured]]
what = ["speed", "memory"]
models = [{named}]
classes = {classes}
input_size = {picked.input_size}
batch_sizes = [1, 32]
limits = false
"""
