import numpy as np
import pytest

from bench.analysis.rates import rate_grids


def suite(val, *, replicates=3, diverged=(), val_images=60, **other):
    """A listing and records of one model, trained with the rates of `val` (rate to val accuracy)."""
    entries, records = [], {}
    for rate, top1 in val.items():
        for r in range(replicates):
            run = f"{rate:g}-{r}"
            lost = (rate, r) in diverged
            identity = {
                "model": {"name": "net"},
                "shots": 5,
                "seed": r,
                "draw_seed": r,
                "recipe": {"optimizer": {"lr": rate, "name": "adamw"}, "epochs": 5},
            } | other.get(run, {})
            records[run] = {
                "id": run,
                "outcome": "diverged" if lost else "finished",
                "identity": identity,
                "data": {"dataset": "digits", "classes": 10, "val_images": val_images},
                "metrics": {"val_top1": None if lost else top1 + 0.001 * r},
            }
            entries.append(
                {"id": run, "contestant": "net", "comparison": f"lr-{rate:g}", "seed": r, "draw_seed": r}
            )
    return {"trials": entries, "delta": 0.01}, records


def test_a_grid_is_found_and_judged_by_val():
    (grid,) = rate_grids(*suite({1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.7}))
    assert grid.val == pytest.approx({1e-4: 0.501, 1e-3: 0.801, 1e-2: 0.701})
    assert (grid.contestant, grid.dataset, grid.shots, grid.replicates, grid.diverged) == (
        "net",
        "digits",
        5,
        3,
        0,
    )
    # A loss of 0.01 lies 1/30 of a decade below the best rate and 1/10 of one above it.
    assert grid.sensitivity.decades == pytest.approx(1 / 30 + 1 / 10)
    assert grid.sensitivity.bounded


def test_a_diverged_run_counts_at_chance():
    (grid,) = rate_grids(*suite({1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.7}, diverged={(1e-2, 0)}))
    assert grid.val[1e-2] == pytest.approx(np.mean([0.1, 0.701, 0.702]))
    assert grid.diverged == 1


def test_two_rates_other_recipes_and_no_val_make_no_grid():
    assert not rate_grids(*suite({1e-4: 0.5, 1e-3: 0.8}))
    assert not rate_grids(*suite({1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.7}, val_images=0))
    longer = {"recipe": {"optimizer": {"lr": 1e-2, "name": "adamw"}, "epochs": 6}}
    other = {f"0.01-{r}": longer for r in range(3)}
    assert not rate_grids(*suite({1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.7}, **other))


def test_only_replicates_that_every_rate_has_are_compared():
    listing, records = suite({1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.7})
    del records["0.01-2"]
    (grid,) = rate_grids(listing, records)
    assert grid.replicates == 2 and grid.val[1e-3] == pytest.approx(0.8005)
    for r in range(2):
        del records[f"0.01-{r}"]
    assert not rate_grids(listing, records)
