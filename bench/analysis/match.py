"""What must be known to read a contrast: how far its two models are from a matched pair."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from bench.store.records import Listing, TrialRecord

UNMATCHED_FLOPS = 1.1
"""FLOPs that differ by more than this factor are said."""


class Standing:
    """The facts of a suite that qualify its contrasts."""

    def __init__(self, listing: "Listing", records: "dict[str, TrialRecord]", cost: pd.DataFrame) -> None:
        self.comparisons = {comparison.name: comparison for comparison in listing.comparisons}
        self._contestants = listing.contestants
        self._samples: dict[tuple[str, str], list[TrialRecord]] = {}
        for entry in listing.trials:
            if entry.id in records:
                place = entry.comparison, entry.contestant
                self._samples.setdefault(place, []).append(records[entry.id])
        keys = zip(cost["model"], cost["classes"], cost["input_size"], strict=True)
        self._flops = dict(zip(keys, cost["flops"], strict=True))

    def flops(self, comparison: str, key: str) -> int | None:
        """FLOPs of a contestant's forward pass, with the head of this comparison's dataset; None where no
        profile or no trial tells."""
        classes = self._classes(comparison)
        size = self.comparisons[comparison].input_size
        return self._flops.get((self._contestants[key].model, classes, size))

    def flops_ratio(self, comparison: str, a: str, b: str) -> float | None:
        """FLOPs of a over those of b."""
        first, second = self.flops(comparison, a), self.flops(comparison, b)
        return float(first / second) if first and second else None

    def notes(self, comparison: str, a: str, b: str, ratio: float | None) -> list[str]:
        """In what the two models differ besides being two models."""
        titles = {key: self._contestants[key].title for key in (a, b)}
        notes = []
        pretraining = [self._facts(comparison, key, "model", "pretraining") for key in (a, b)]
        if all(pretraining) and pretraining[0] != pretraining[1]:
            both = " against ".join(" / ".join(sorted(facts)) for facts in pretraining)
            notes.append(f"unmatched pretraining: {both}")
        precision = [self._facts(comparison, key, "identity", "precision") for key in (a, b)]
        if all(precision) and precision[0] != precision[1]:
            notes.append("mixed precision: " + " against ".join(" / ".join(sorted(p)) for p in precision))
        widths = [self._feature_widths(comparison, key) for key in (a, b)]
        if all(widths) and widths[0] != widths[1]:
            both = " against ".join(" / ".join(map(str, sorted(own))) for own in widths)
            notes.append(f"unmatched feature width: {both}")
        if ratio is None:
            notes.append("FLOPs not measured")
        elif max(ratio, 1 / ratio) > UNMATCHED_FLOPS:
            dearer = titles[a if ratio > 1 else b]
            notes.append(f"{dearer} costs {max(ratio, 1 / ratio):.1f} times the FLOPs")
        if self.comparisons[comparison].unmatched:
            notes.append(f"unmatched: {self.comparisons[comparison].unmatched}")
        return notes

    def flags(self, records: "list[TrialRecord]") -> list[str]:
        """What is unusual about any of these runs."""
        selections = {record.selection for record in records}
        flags = []
        if "val-oracle" in selections:
            flags.append("val-oracle: chosen with more labels than the subset has")
        if "best-val" in selections:
            flags.append("best epoch by val")
        if any(record.data.data_copy == "copy not verified" for record in records):
            flags.append("copy not verified")
        for data in (record.data for record in records):
            if repeated := data.overlap.get("test_in_train"):
                flags.append(f"{repeated} of {data.test_images} test images are also in train")
            if unsure := data.overlap.get("two_labels"):
                flags.append(f"{unsure} images have two labels")
        if any(not record.model.carded for record in records):
            flags.append("no model card")
        return list(dict.fromkeys(flags))

    def _facts(self, comparison: str, key: str, part: str, name: str) -> set[str]:
        return {getattr(getattr(record, part), name) for record in self._samples.get((comparison, key), ())}

    def _feature_widths(self, comparison: str, key: str) -> set[int]:
        """How many features the probes of a contestant read; none where it was trained."""
        details = [record.details for record in self._samples.get((comparison, key), ())]
        return {found["feature_width"] for found in details if found.get("feature_width")}

    def _classes(self, comparison: str) -> int | None:
        for (name, _), records in self._samples.items():
            if name == comparison:
                return records[0].data.classes
        return None
