"""What needs no training, for trials to be compared with."""

from typing import Literal

from bench.store.records.base import Circumstances, Count, Id, Share, SubsetData


class BaselineRecord(Circumstances):
    """What needs no training, on the images of one subset; `pixels` is a side in px."""

    kind: Literal["baseline"] = "baseline"
    id: Id
    shots: Count | None
    draw_seed: Count | None
    data: SubsetData
    chance_top1: Share
    majority_top1: Share
    nearest_top1: Share
    statistics_top1: Share | None = None
    pixels: Count | None = None
