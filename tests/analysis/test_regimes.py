"""One model under several recipes: below its own frozen features or not."""

import pytest
from small_store import listing, trial

from bench.analysis.cells import cells
from bench.analysis.regimes import in_words, regimes

SCORES = {
    ("probe", "vit"): [0.68, 0.70, 0.90],
    ("probe", "cnn"): [0.74, 0.76, 0.10],
    ("tuned", "vit"): [0.78, 0.80],
    ("tuned", "cnn"): [0.71, 0.73],
}


def store(scores):
    entries, records = [], {}
    for (comparison, key), values in scores.items():
        for draw, top1 in enumerate(values):
            run = f"{comparison}{key}{draw}"
            entries.append({"id": run, "comparison": comparison, "contestant": key, "shots": 5})
            recipe = {name: {} if comparison == name else None for name in ("probe", "knn")}
            identity = {"recipe": recipe, "draw_seed": draw}
            records[run] = trial(id=run, metrics={"top1": top1}, identity=identity)
    contestants = {"vit": {"title": "ViT"}, "cnn": {"title": "CNN"}}
    comparisons = [{"name": name} for name in ("probe", "knn", "tuned")]
    return listing(contestants=contestants, comparisons=comparisons, trials=entries), records


def measured(scores):
    return regimes(cells(*store(scores)))


def test_only_common_draws_count_and_the_fall_is_that_below_the_own_probe():
    found = {one.key: one for one in measured(SCORES)}
    assert found["vit"].draws == found["cnn"].draws == 2
    assert found["vit"].below_frozen == {}
    assert found["cnn"].below_frozen == {"tuned": pytest.approx(0.72 - 0.75)}
    (only,) = in_words(found.values())
    assert "CNN in tuned (72.0 %) fell 3.0 points below its own linear probe" in only


def test_nothing_is_said_where_no_model_fell_or_one_recipe_was_run():
    risen = SCORES | {("tuned", "cnn"): [0.80, 0.82]}
    assert in_words(measured(risen)) == []
    assert measured({("probe", "vit"): [0.5]}) == []
    apart = {("probe", "vit"): [0.5], ("tuned", "vit"): [0.4]}
    suite, records = store(apart)
    records["tunedvit0"] = trial(id="tunedvit0", identity={"recipe": {"probe": None}, "draw_seed": 7})
    assert regimes(cells(suite, records)) == []


def test_a_diverged_trial_counts_at_chance():
    suite, records = store({("probe", "vit"): [0.5], ("tuned", "vit"): [0.4]})
    records["tunedvit0"] = records["tunedvit0"].model_copy(update={"outcome": "diverged"})
    (one,) = regimes(cells(suite, records))
    assert one.top1["tuned"] == 0.1


def test_the_better_of_probe_and_neighbours_counts_and_neither_falls_below_the_other():
    knn = SCORES | {("knn", "vit"): [0.81, 0.81], ("knn", "cnn"): [0.60, 0.60]}
    sentences = in_words(measured(knn))
    assert len(sentences) == 2
    assert "ViT in tuned (79.0 %) fell 2.0 points below its own nearest neighbours" in sentences[0]
    assert "CNN in tuned (72.0 %) fell 3.0 points below its own linear probe" in sentences[1]
    assert in_words(measured({key: scores for key, scores in knn.items() if key[0] != "tuned"})) == []
