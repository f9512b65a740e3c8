"""What intervals and verdicts are about where every image is tested once a replicate, in folds."""

from bench.analysis.simulation.kfold import stored
from bench.report.evidence import Evidence
from bench.report.text import count, counted, listed, percent
from bench.spec.kfold import read_kfold


def in_folds(evidence: Evidence) -> list[str]:
    """A paragraph on the comparisons whose images are in folds; none where there are none."""
    folds: dict[int, list[str]] = {}
    for comparison in evidence.suite.comparisons:
        if of := read_kfold(comparison.split_id):
            folds.setdefault(of.folds, []).append(comparison.name)
    if not folds:
        return []
    each = [
        f"In {listed(names)} every image is tested once a replicate, by that one of {counted(k, 'network')} "
        "whose training left out its fold."
        for k, names in folds.items()
    ]
    return [
        f"{' '.join(each)} The part of the variance from replicates is estimated from the networks of "
        "single folds as well, with R k − 1 degrees of freedom for R replicates of k folds; where a network "
        "diverged, its whole replicate is at chance, and only whole replicates are compared. An interval is "
        "about new networks trained on as many of these images, and about new test images. All networks have "
        "seen nearly the same images: what other images to train on would give, no division of these tells. "
        f"{_rates()}"
    ]


def _rates() -> str:
    """The highest simulated rates of false verdicts."""
    rates = stored()
    own = rates[(rates["rule"] == "folds") & (rates["repeats"] >= 3)]
    first, held = rates.iloc[0], own[own["holds"].notna()]
    most = held.groupby("repeats")["false_claims"].max()
    each = ", ".join(f"{percent(rate)} % with {n} replicates" for n, rate in most.items())
    anew = own[own["world"].str.contains("by 1 point")]["false_claims"].max()
    return (
        f"Checked by simulation ({first['command']}): of {count(first['pairs'])} pairs of models for each of "
        f"several known truths there was a false better or worse in at most {each}. If other images to "
        "train on would move the accuracy of each model by 1 point, and a claim is made about those, it is "
        f"false in up to {percent(anew)} %."
    )
