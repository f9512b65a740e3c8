"""How far trained networks look is measured once, from their stored weights."""

from bench.inspection.reach import keep_reach, runs_asked
from bench.tables.claims import claims_of, measured_of


def test_runs_of_a_claim_are_measured_once(tiny, run, tmp_path):
    store, (vit, resnet) = run(tiny)
    runs = [vit.record.id, resnet.record.id]
    assert keep_reach(store, runs, tmp_path) == 2
    table = store.reach()
    assert set(table["run"]) == set(runs) and (table.groupby("run")["depth"].max() == 1).all()
    assert keep_reach(store, runs, tmp_path) == 0
    # Two networks of which one was not trained say nothing of either.
    asked = runs_asked(measured_of(store))
    reach = next(one for one in claims_of(store) if one.claim.name == "global")
    assert set(asked) <= set(runs) and bool(asked) == bool(reach.estimates)
    # Trained anew, to other weights: of the trial nothing is known until it is measured.
    for path in (store.record_of("runs", runs[0]), *store.root.glob("evaluations/*/record.json")):
        path.write_text(path.read_text().replace(vit.record.weights_sha256, 64 * "0"))
    assert set(measured_of(store).reach) == {runs[1]}
    assert keep_reach(store, runs, tmp_path) == 1
    assert store.reach().groupby("run")["weights"].unique().map(list).to_dict() == {
        runs[0]: [64 * "0"],
        runs[1]: [resnet.record.weights_sha256],
    }
    store.files(runs[0]).weights.unlink()
    store.reach_file.unlink()
    assert keep_reach(store, runs, tmp_path) == 1
