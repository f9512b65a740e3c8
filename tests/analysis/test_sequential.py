"""Verdicts over several looks, against loops and a simulation that shares nothing with the project's own."""

import json

import numpy as np
import pytest
from small_store import run_id, write_store

from bench.analysis.decisions import PairedScores, holm, judge
from bench.analysis.sequential import over_looks, shares
from bench.analysis.statistics import MIN_REPLICATES, Parts, p_different, p_equivalent, parts
from bench.analysis.undecided import replicates_asked
from bench.spec.replicates import START
from bench.store.records.listing import Listing
from bench.store.run_store import RunStore

LOOKS = (3, 5, 8, 12)
DELTA = 0.02


def answers(share, replicates, images, rng, spread=0.0):
    """0 or 1 a replicate and image: replicates differ in how often they are right, images in how hard."""
    own = share + spread * rng.standard_normal((replicates, 1)) + rng.uniform(-0.15, 0.15, images)
    return (rng.random((replicates, images)) < own).astype(float)


def test_alpha_is_spent_by_the_square_of_the_replicates():
    spent = np.cumsum(shares(LOOKS))
    assert spent == pytest.approx([9 / 144, 25 / 144, 64 / 144, 1])
    assert shares((7,)) == pytest.approx([1])
    assert START == MIN_REPLICATES


def test_a_contrast_has_the_smallest_p_value_of_its_looks_over_their_shares():
    rng = np.random.default_rng(0)
    tables = [answers(0.7, 12, 90, rng, 0.05) - answers(0.65, 12, 90, rng, 0.05) for _ in range(3)]
    at = [[parts(table[:r]) for table in tables] for r in LOOKS]
    stacked = [Parts(*(np.array(column, float) for column in zip(*cells, strict=True))) for cells in at]
    weights = np.repeat(shares(LOOKS)[:, None], 3, 1)
    weights[2:, 1] = 0  # the second was not looked at again
    estimate, different, within = over_looks(stacked, weights, DELTA)
    for c, reached in enumerate((4, 2, 4)):
        p = [float(p_different(at[k][c])) / weights[k, c] for k in range(reached)]
        q = [float(p_equivalent(at[k][c], DELTA)) / weights[k, c] for k in range(reached)]
        assert different[c] == pytest.approx(min(*p, 1.0)) and within[c] == pytest.approx(min(*q, 1.0))
        assert estimate[c] == at[int(np.argmin(p))][c].estimate


def test_one_look_is_a_plain_verdict():
    rng = np.random.default_rng(1)
    pairs = [(answers(0.8, 5, 200, rng), answers(s, 5, 200, rng)) for s in (0.55, 0.7, 0.8)]
    plain = judge([PairedScores(pair) for pair in pairs], delta=DELTA)
    assert judge([PairedScores(pair, looks=(5,)) for pair in pairs], delta=DELTA) == plain
    assert [one.looks for one in plain] == [1] * 3 and plain[0].alpha_spent == 0.05


def test_what_was_decided_once_stays_decided():
    """Also where later replicates, made for another contrast, say the contrary."""
    rng = np.random.default_rng(2)
    a, b = answers(0.9, 12, 400, rng), answers(0.4, 12, 400, rng)
    a[5:], b[5:] = b[5:].copy(), a[5:].copy()
    early, late = (judge([PairedScores((a[:r], b[:r]), looks=LOOKS)], delta=DELTA)[0] for r in (5, 12))
    assert (early.verdict, early.looks) == ("better", 2) == (late.verdict, late.looks - 2)
    assert late.p_adjusted == early.p_adjusted and late.estimate < 0 < early.estimate
    assert early.alpha_spent == pytest.approx(0.05 * 25 / 144) and late.alpha_spent == pytest.approx(0.05)


def test_replicates_between_two_looks_wait_for_the_next():
    rng = np.random.default_rng(3)
    a, b = answers(0.8, 12, 100, rng, 0.05), answers(0.72, 12, 100, rng, 0.05)
    at = {r: judge([PairedScores((a[:r], b[:r]), looks=LOOKS)], delta=DELTA)[0] for r in (4, 5, 7, 8)}
    assert at[7].p_adjusted == at[5].p_adjusted != at[8].p_adjusted
    assert [at[r].looks for r in at] == [1, 2, 2, 3]
    assert at[7].replicates == 7 and at[7].half_width != at[5].half_width  # the interval is over all
    assert judge([PairedScores((a[:2], b[:2]), looks=LOOKS)], delta=DELTA)[0].verdict == "none"
    late = judge([PairedScores((a[:4], b[:4]), looks=(5, 8))], delta=DELTA)[0]
    assert (late.verdict, late.looks, late.alpha_spent) == ("inconclusive", 0, 0.0)


def suites_of(number, gap, rng, images=60, spreads=(0.03, 0.06, 0.12)):
    """Differences (suites, contrasts, 12, images) of two models that are `gap` apart."""
    levels = np.array([0.75, 0.75 - gap])[:, None] + np.array(spreads)[:, None, None] * rng.standard_normal(
        (number, len(spreads), 2, 12)
    )
    hard = rng.uniform(-0.1, 0.1, (number, 1, 1, 1, images))
    a, b = np.moveaxis((rng.random((*levels.shape, images)) < levels[..., None] + hard).astype(float), 2, 0)
    return a, b


def p_values(differences, delta):
    """By claim and look, without spending: (suites, contrasts)."""
    looked = [parts(differences[:, :, :look]) for look in LOOKS]
    return {
        "different": [*map(p_different, looked)],
        "equivalent": [p_equivalent(of, delta) for of in looked],
    }


def said_at_the_end(p, spend):
    """The verdicts after all rounds; contrasts that are decided stay as they are. Without `spend` each round
    is judged as if it were the only one."""
    said = np.full(p["different"][0].shape, "inconclusive", dtype=object)
    smallest = dict.fromkeys(p, np.ones(said.shape))
    for k, share in enumerate((9 / 144, 16 / 144, 39 / 144, 80 / 144)):
        looked_at = said == "inconclusive"
        for claim, own in p.items():
            new = np.minimum(smallest[claim], own[k] / (share if spend else 1.0))
            smallest[claim] = np.where(looked_at, new, smallest[claim])
            said[(said == "inconclusive") & (holm(smallest[claim]) <= 0.05)] = claim
    return said


@pytest.mark.parametrize(("gap", "claim"), [(0.0, "different"), (0.15, "equivalent")])
def test_false_claims_are_rare_although_it_stops_when_decided(gap, claim):
    """Looking as often without spending alpha is wrong more often, so that this would see it."""
    a, b = suites_of(1000, gap, np.random.default_rng(7))
    p = p_values(a - b, 0.15)
    error = np.sqrt(0.05 * 0.95 / len(a))
    spent, naive = ((said_at_the_end(p, spend) == claim).any(1).mean() for spend in (True, False))
    assert spent < 0.05 + 3 * error and spent < 0.7 * naive


def test_a_suite_is_judged_as_the_simulation_says():
    a, b = suites_of(25, 0.1, np.random.default_rng(8))
    p = p_values(a - b, 0.15)
    said = said_at_the_end(p, True)
    assert (said != said_at_the_end(p, False)).sum() > 5 and len(set(said.ravel())) == 3
    for own_a, own_b, words in zip(a, b, said, strict=True):
        given = [3, 3, 3]
        for after in (5, 8, 12, 12):
            # Each in a group of its own, as the simulation above moderates nothing.
            cells = [
                PairedScores((x[:r], y[:r]), k, looks=LOOKS)
                for k, (x, y, r) in enumerate(zip(own_a, own_b, given, strict=True))
            ]
            judged = [one.verdict for one in judge(cells, delta=0.15)]
            given = [after if word == "inconclusive" else r for word, r in zip(judged, given, strict=True)]
        names = {"better": "different", "worse": "different"}
        assert [names.get(word, word) for word in judged] == list(words)


def store_of(root, right, contrasts, shots=(5,)):
    """A store of three models, and its listing with all twelve replicates."""
    titles = {name: name for name in ("vit", "resnet", "deit")}
    write_store(root, right, titles={"vit": "vit", "resnet": "resnet"} | titles)
    path = root / "suites" / "small.json"
    content = json.loads(path.read_text())
    content["comparisons"][0] |= {"contrasts": contrasts, "looks": list(LOOKS)}
    content["trials"] = [
        {"id": run_id(name, n, r), "comparison": "main", "contestant": name, "shots": n}
        | {"replicate": r, "draw_seed": r, "seed": r}
        for name in titles
        for n in shots
        for r in range(12)
    ]
    return Listing.model_validate(content), RunStore(root)


def test_undecided_cells_get_more_replicates_and_decided_ones_none(tmp_path):
    """vit and resnet are far apart, vit and deit alike: these two get more. Of another size all are alike."""
    rng = np.random.default_rng(4)

    def right(replicates):
        shares = {"vit": 0.8, "resnet": 0.15, "deit": 0.8}
        return {
            (name, shots): answers(0.8 if shots == 20 else share, r, 1000, rng) > 0
            for (name, share), r in zip(shares.items(), replicates, strict=True)
            for shots in (5, 20)
        }

    pairs = [["vit", "resnet"], ["vit", "deit"]]
    first = replicates_asked(*store_of(tmp_path / "a", right((3, 3, 3)), pairs, (5, 20)))
    assert {name: first["main", 20, name] for name in ("vit", "resnet", "deit")} == dict(
        vit=5, resnet=5, deit=5
    )
    assert {name: first["main", 5, name] for name in ("vit", "resnet", "deit")} == dict(
        vit=5, resnet=3, deit=5
    )
    again = replicates_asked(*store_of(tmp_path / "b", right((5, 3, 5)), pairs))
    assert [again["main", 5, name] for name in ("vit", "resnet", "deit")] == [8, 3, 8]
    last = replicates_asked(*store_of(tmp_path / "c", right((12, 3, 12)), pairs))
    assert [last["main", 5, name] for name in ("vit", "resnet", "deit")] == [12, 3, 12]


def test_each_cell_gets_the_first_look_and_a_missing_replicate_holds_the_next_up(tmp_path):
    rng = np.random.default_rng(5)
    alike = {("vit", 5): answers(0.6, 5, 50, rng) > 0, ("resnet", 5): answers(0.6, 4, 50, rng) > 0}
    listed, store = store_of(tmp_path, alike, [["vit", "resnet"]])
    asked = replicates_asked(listed, store)
    # deit is in no primary contrast; resnet's fifth replicate errored, so that nothing is asked beyond it.
    assert asked == {("main", 5, "vit"): 5, ("main", 5, "resnet"): 5, ("main", 5, "deit"): 3}
    plain = listed.model_copy(
        update={"comparisons": [one.model_copy(update={"looks": []}) for one in listed.comparisons]}
    )
    assert replicates_asked(plain, store) == {}
