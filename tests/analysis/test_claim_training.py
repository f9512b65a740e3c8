"""Learning rates that work: the network is what is independent, not its searches, nor pairs of networks."""

from dataclasses import replace

import numpy as np
import pytest
from plant_claims import NETWORKS, World

from bench.analysis.claims.training import failures, learning_rates
from bench.analysis.claims.uncertain import of_shares
from bench.spec.claim import load_claims

(EVIDENCE,) = (
    one
    for claim in load_claims()
    for one in claim.evidence
    if one.name == "decades of learning rates that work"
)
RATES = np.geomspace(1e-5, 1e-1, 9)  # half a decade apart


def planted():
    world = World()
    world.plant(EVIDENCE, 1, "first")
    return world


def estimate(world, works):
    """The estimate where of each network (its name) and size so many of nine rates come near the best."""
    for row in world.rows["search"]:
        at = int(np.argmin(np.abs(RATES - row["lr"])))
        row["val_top1"] = 0.6 if at < works[row["contestant"], row["shots"]] else 0.3
    (one,) = learning_rates(EVIDENCE, world.measured())
    return one


def test_networks_are_rarely_told_apart_where_kinds_do_not_differ():
    """A network has its own width, much the same at both sizes."""
    random, world = np.random.default_rng(0), planted()
    names = {row["contestant"] for row in world.rows["search"]}
    false = 0
    for _ in range(60):
        works = {}
        for name in sorted(names):
            own = random.normal(5, 1.5)
            for shots in (5, 10):
                works[name, shots] = int(np.clip(round(own + random.normal(0, 0.3)), 1, 9))
        false += estimate(world, works).number.p(0.0) <= 0.05
    assert false / 60 < 0.12


def test_the_mean_over_sizes_and_networks():
    works = {(f"a{k}", shots): 2 + k for k in range(NETWORKS) for shots in (5, 10)}
    works |= {(f"b{k}", shots): 4 + k + (shots == 10) for k in range(NETWORKS) for shots in (5, 10)}
    one = estimate(planted(), works)
    assert one.number.value == pytest.approx(-2.5 * 0.5) and one.number.low < -1.25 < one.number.high


def test_two_networks_of_a_kind_decide_nothing():
    world = planted()
    gone = {f"a{k}" for k in range(2, NETWORKS)}
    world.rows["search"] = [row for row in world.rows["search"] if row["contestant"] not in gone]
    works = {
        (f"{key}{k}", s): 1 + 6 * (key == "b") + k % 2 for key in "ab" for k in range(4) for s in (5, 10)
    }
    one = estimate(world, works)
    assert one.number.value == pytest.approx(-3.0) and (one.number.low, one.number.p(0.0)) == (None, 1.0)


def test_only_sizes_that_were_searched_are_named():
    """On 1 and 2 images per class the values of 5 hold."""
    world = planted()
    works = {(f"{side}{k}", shots): 4 + k for side in "ab" for k in range(NETWORKS) for shots in (5, 10)}
    world.contestants += [
        replace(one, cell=replace(one.cell, shots=1, images_per_class=1.0))
        for one in world.contestants
        if one.cell.shots == 5
    ]
    assert estimate(world, works).case["images per class"] == "5, 10"


def test_subsets_that_share_a_search_fail_as_one():
    (evidence,) = (one for claim in load_claims() for one in claim.evidence if one.kind == "failures")
    world = World()
    world.plant(evidence, 1, "first")
    (alone,) = failures(evidence, world.measured())
    keys = {(one.cell.comparison, one.cell.contestant) for one in world.contestants}
    for comparison, contestant in keys:
        row = {"suite": "suite", "comparison": comparison, "contestant": contestant}
        world.rows["search"] += [
            row | {"shots": 5, "for_shots": "1 2 3 4 5"}, row | {"shots": 10, "for_shots": "6 7 8 9 10"}
        ]  # fmt: skip
    (shared,) = failures(evidence, world.measured())
    assert alone.number.low == of_shares(10, 10, 0, 10).low is not None
    assert shared.number.value == 1 and shared.number.low is None  # two searches of each
