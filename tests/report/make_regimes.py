"""A synthetic store with several comparisons of one data set, whose accuracies are given."""

import json
from pathlib import Path

import numpy as np
from report import make_store as stores

RECIPES = {"probe": {"probe": {}}, "tuned": {}}
COMPARISONS = {"probe": "linear-probe", "tuned": "finetune"}


def plant(
    root: Path, top1: dict[tuple[str, str], dict[int, list[float]]], monkeypatch, primary: bool = True
) -> Path:
    """Write a store whose suite "tiny" has the comparisons "probe" and "tuned" of three networks.

    Args:
        top1: by comparison and contestant, and by images per class, the accuracy of each replicate; what is
            left out was not run.
        primary: whether the contrast of DeiT and ResNet is declared as primary, else as exploratory.
    """
    own = stores.identity
    monkeypatch.setattr(
        stores,
        "identity",
        lambda suite, *place: own(suite, *place) | {"recipe": RECIPES[suite] | {"of": f"{suite}/{place[0]}"}},
    )
    contrasts = {"contrasts": [["deit", "resnet"]], "exploratory": []}
    if not primary:
        contrasts = {"contrasts": [], "exploratory": [["deit", "resnet"]]}
    shots = tuple(sorted({size for sizes in top1.values() for size in sizes}))
    number = max(len(values) for sizes in top1.values() for values in sizes.values())
    listings = []
    for name in dict.fromkeys(name for name, _ in top1):
        missing = tuple(
            (key, size, replicate)
            for key in stores.NETWORKS
            for size in shots
            for replicate in range(number)
            if replicate >= len(top1.get((name, key), {}).get(size, []))
        )
        comparison = {"name": name, "recipe": COMPARISONS[name], **contrasts}
        stores.make_store(
            root, suite=name, shots=shots, replicates=number, missing=missing, comparison=comparison
        )
        for (other, key), sizes in top1.items():
            for size, values in sizes.items() if other == name else ():
                for replicate, value in enumerate(values):
                    run = stores.run_id(name, key, size, replicate)
                    stores.set_predicted(root / "runs" / run, _predicted(value, replicate))
        path = root / "suites" / f"{name}.json"
        listing = json.loads(path.read_text())
        path.unlink()
        for entry in listing["trials"]:
            entry["comparison"] = name
        listings.append(listing)
    first = listings[0] | {"suite": "tiny"}
    first["comparisons"] = [one["comparisons"][0] for one in listings]
    first["trials"] = [entry for one in listings for entry in one["trials"]]
    for contestant in first["contestants"].values():
        contestant["recipe"] = None
    (root / "suites" / "tiny.json").write_text(json.dumps(first))
    return root


def _predicted(top1: float, replicate: int) -> np.ndarray:
    """Predictions that are right on so many images, in an order of the replicate's own."""
    labels = np.arange(stores.TEST_IMAGES) % stores.CLASSES
    right = np.arange(stores.TEST_IMAGES) < round(top1 * stores.TEST_IMAGES)
    right = right[np.random.default_rng(replicate).permutation(stores.TEST_IMAGES)]
    return np.where(right, labels, (labels + 1) % stores.CLASSES)
