"""Corruption errors by hand."""

import numpy as np
import pytest
from small_store import listing, run_id, trial

from bench.analysis.robustness import by_family, corruption_error, robustness_table

CONDITIONS = ["gaussian_noise-1", "gaussian_noise-5", "jpeg-2", "jpeg-3", "resolution-32"]
# Accuracies by condition, of two replicates each.
RESNET = {
    "clean": (0.9, 0.7), "gaussian_noise-1": (0.8, 0.6), "gaussian_noise-5": (0.5, 0.5),
    "jpeg-2": (0.7, 0.5), "jpeg-3": (0.6, 0.6), "resolution-32": (0.3, 0.3),
}  # fmt: skip
VIT = {
    "clean": (0.9, 0.9), "gaussian_noise-1": (0.8, 0.8), "gaussian_noise-5": (0.7, 0.5),
    "jpeg-2": (0.6, 0.8), "jpeg-3": (0.9, 0.9), "resolution-32": (0.2, 0.4),
}  # fmt: skip


def results(changes=()):
    """By condition and trial; `changes` are taken out: (model, condition, replicate)."""
    every = {}
    for model, scores in (("vit", VIT), ("resnet", RESNET)):
        for condition, values in scores.items():
            for replicate, top1 in enumerate(values):
                run = run_id(model, 5, replicate)
                made = trial(id=run, metrics={"top1": top1})
                made = made.model_copy(update={"condition": condition})
                if (model, condition, replicate) not in changes:
                    every.setdefault(condition, {})[run] = made
    return every


def table(every, **changes):
    suite = listing(
        contestants={"vit": {}, "resnet": {}},
        comparisons=[{"name": "digits", "conditions": CONDITIONS} | changes],
        trials=[
            {
                "id": run_id(model, 5, replicate), "comparison": "digits", "contestant": model, "shots": 5,
                "replicate": replicate, "draw_seed": replicate, "seed": replicate,
            }
            for model in ("vit", "resnet")
            for replicate in (0, 1)
        ],
    )  # fmt: skip
    made = robustness_table(
        {"small": suite}, every["clean"], {k: v for k, v in every.items() if k != "clean"}
    )
    return made.set_index(["contestant", "condition"])


def test_mce_by_hand():
    rows = table(results(), reference="resnet")
    assert len(rows) == 8 and (rows["replicates"] == 2).all()
    # Errors of the ResNet: clean 0.2, noise 0.3 and 0.5, JPEG 0.4 and 0.4; of the ViT: clean 0.1, noise 0.2
    # and 0.4, JPEG 0.3 and 0.1.
    noise, jpeg = 0.6 / 0.8, 0.4 / 0.8
    relative_noise, relative_jpeg = 0.4 / 0.4, 0.2 / 0.4
    wanted = {
        "gaussian_noise": (0.7, noise, relative_noise),
        "jpeg": (0.8, jpeg, relative_jpeg),
        "corruptions": (0.75, (noise + jpeg) / 2, (relative_noise + relative_jpeg) / 2),
    }
    for condition, (top1, absolute, relative) in wanted.items():
        row = rows.loc["vit", condition]
        assert row["top1"] == pytest.approx(top1) and row["clean_top1"] == pytest.approx(0.9)
        assert row["corruption_error"] == pytest.approx(absolute)
        assert row["relative_corruption_error"] == pytest.approx(relative)
        own = rows.loc["resnet", condition]
        assert own["corruption_error"] == pytest.approx(1) == own["relative_corruption_error"]
    assert rows.loc["vit", "gaussian_noise"]["levels"] == "1 5"
    # Replicates 0.75 and 0.65 under noise.
    assert rows.loc["vit", "gaussian_noise"]["top1_sd"] == pytest.approx(np.std([0.75, 0.65], ddof=1))
    other = rows.loc["vit", "resolution"]
    assert other["top1"] == pytest.approx(0.3) and np.isnan(other["corruption_error"])


def test_without_a_reference_there_is_no_corruption_error():
    rows = table(results())
    assert len(rows) == 8 and rows["corruption_error"].isna().all()


def test_a_replicate_counts_once_it_has_all_levels():
    rows = table(results([("vit", "jpeg-3", 1)]), reference="resnet")
    assert rows["replicates"].to_dict() == {
        ("vit", "gaussian_noise"): 2, ("vit", "jpeg"): 1, ("vit", "resolution"): 2, ("vit", "corruptions"): 1,
        **{("resnet", name): 2 for name in ("gaussian_noise", "jpeg", "resolution", "corruptions")},
    }  # fmt: skip
    assert rows.loc["vit", "jpeg"]["top1"] == pytest.approx(0.75)
    missing = [("resnet", "jpeg-3", replicate) for replicate in (0, 1)]
    rows = table(results(missing), reference="resnet")
    assert ("resnet", "jpeg") not in rows.index and np.isnan(rows.loc["vit", "jpeg"]["corruption_error"])


def test_a_diverged_trial_has_nothing_to_lose():
    """One of the ViT's two trials is at chance under every condition: its relative error is that of the other
    alone, and what is left out is counted; the absolute one has it at chance."""
    every = results()
    for own in every.values():
        run = run_id("vit", 5, 1)
        own[run] = own[run].model_copy(update={"outcome": "diverged"})
    rows = table(every, reference="resnet")
    assert (rows["replicates"] == 2).all()
    assert (rows.loc["vit", "diverged"] == 1).all() and (rows.loc["resnet", "diverged"] == 0).all()
    # The ViT loses 0.1 and 0.2 under noise, 0.3 and 0.0 with JPEG; the ResNet 0.1 and 0.3, 0.2 and 0.2.
    noise, jpeg = (rows.loc["vit", name] for name in ("gaussian_noise", "jpeg"))
    assert noise["relative_corruption_error"] == pytest.approx(0.3 / 0.4)
    assert jpeg["relative_corruption_error"] == pytest.approx(0.3 / 0.4)
    # Errors of 0.2 and 0.3 of one trial, 0.9 of the other; of the ResNet 0.3 and 0.5.
    assert noise["corruption_error"] == pytest.approx((0.55 + 0.6) / 0.8)
    # In the reference it is the same.
    swapped = table(every, reference="vit").loc["resnet", "gaussian_noise"]
    assert swapped["relative_corruption_error"] == pytest.approx(0.4 / 0.3)


def test_without_a_finished_trial_there_is_no_relative_error():
    every = results()
    for own in every.values():
        for replicate in (0, 1):
            run = run_id("resnet", 5, replicate)
            own[run] = own[run].model_copy(update={"outcome": "diverged"})
    row = table(every, reference="resnet").loc["vit", "corruptions"]
    assert np.isnan(row["relative_corruption_error"]) and row["corruption_error"] > 0


def test_a_reference_that_loses_nothing_gives_no_relative_error():
    assert np.isnan(corruption_error([0.1, 0.2], [0.0, 0.0]))
    assert corruption_error([0.1, 0.2], [0.3, 0.3]) == pytest.approx(0.5)


def test_conditions_of_another_version_are_left_out():
    assert list(by_family(["fog-3", "jpeg-1", "jpeg-2"])) == ["jpeg"]
