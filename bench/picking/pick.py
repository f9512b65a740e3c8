"""From candidates to a first answer within a budget: time them, race them, judge those that are left."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.statistics import pair_p, share_interval
from bench.data import Dataset
from bench.data.subsets import growing_samples
from bench.errors import DataError, InputError, WeightsError
from bench.picking.candidates import Candidate, LeftOut
from bench.picking.clock import ENDING, Clock
from bench.picking.features import TIMED, Extractor, Pictures
from bench.picking.length import SHORTEST, tuning_images
from bench.picking.race import Race, never_leave, run_race, sizes_of_rounds
from bench.picking.scores import FOLDS, Score, cross_validated, fit_path, operations
from bench.spec.recipe import Augment
from bench.training.observer import Stopped
from bench.training.probe import multiplications_per_s

# Shares of the budget by whose end a stage is over, with fine-tuning to follow and without.
TIMING, RACE, RACE_ALONE, JUDGING = 0.2, 0.5, 0.75, 0.95
JUDGED = 2000  # images of val that are looked at
JUDGED_AT_ONCE = 100  # in the beginning, then twice as many
FEWEST_JUDGED = 30
FEWEST_TRIED = 4  # models that are timed although all were refused and half of the budget is spent
SURVIVORS = 3
ALPHA = 0.05
TOO_LITTLE = 1.25  # times a budget within which nothing was scored would do, at least
DECODED_FIRST = 16  # images, to know how long decoding takes
SLOW_IMAGES = 32  # one after the other that do not fit into the time for timing: no batch is timed
FIT_S = 0.3  # of a probe of a first sample, before any was fitted


class Watch:
    """Shows how far a stage is, and ends it in time: an observer of `bench.training.observer`."""

    def __init__(self, clock: Clock, show: Callable[[str, int, int], None]) -> None:
        self._clock, self._show = clock, show
        self.share = JUDGING

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Passed on."""
        self._show(phase, done, total)

    def logged(self, row: dict[str, float]) -> None:
        """Nothing is logged here."""

    def should_stop(self) -> bool:
        """Whether the stage's share of the budget is spent."""
        return self._clock.until(self.share)()

    @property
    def budget(self) -> float:
        """Seconds in all."""
        return self._clock.budget

    def seconds_left(self) -> float:
        """Of the stage."""
        return self.share * self._clock.budget - self._clock.spent


@dataclass
class Entered:
    """A candidate in the race.

    Attributes:
        latency_ms: of one image.
        images_per_s: in batches of `batch`.
        judged: bool (m,), which images of val its probe classified correctly; None where it was not judged.
    """

    candidate: Candidate
    extractor: Extractor
    dataset: Dataset
    latency_ms: float
    batch: int
    images_per_s: float
    judged: np.ndarray | None = None
    _fit: tuple[int, float] | None = None
    _seen: int = 0
    _clock: Callable[[], float] = field(default=lambda: 0.0, repr=False)

    @property
    def name(self) -> str:
        """That of its card."""
        return self.candidate.name

    @property
    def kind(self) -> str:
        """That of its card."""
        return self.candidate.card.kind

    @property
    def upstream_top1(self) -> float | None:
        """Published accuracy of its pretraining."""
        return self.candidate.card.upstream_top1

    def expected_seconds(self, images: int) -> float:
        """Of passing on what is new of so many images, and of the probes."""
        return (images - self._seen) / self.images_per_s + self.fit_seconds(images)

    def fit_seconds(self, images: int) -> float:
        """Of the probes on so many images."""
        if self._fit is None:
            classes, width = len(self.dataset.class_names), self.extractor.width
            return FIT_S + operations(images, width, classes) / multiplications_per_s()
        n, seconds = self._fit
        return seconds * (images / n) ** 2

    def score(self, sample: np.ndarray) -> Score:
        """Its score on a sample of the training split."""
        features = self.extractor.features("train", sample)
        self._seen = len(sample)
        train, units = self.dataset.splits["train"][sample], self.dataset.train_units
        began = self._clock()
        score = cross_validated(
            features,
            self.dataset.labels[train],
            len(self.dataset.class_names),
            groups=None if units is None else units[sample],
            device=self.extractor.pictures.device,
            should_stop=self.extractor.observer.should_stop,
        )
        self._fit = len(sample), self._clock() - began
        return score

    def leave(self) -> None:
        """Its network is given up."""
        self.extractor.forget()

    def judge(self, sample: np.ndarray, val: np.ndarray, l2: float) -> None:
        """Classify images of val at some positions by a probe on a sample of the training split."""
        train, unseen = self.dataset.splits["train"][sample], self.dataset.splits["val"][val]
        [(_, regression)] = fit_path(
            self.extractor.features("train", sample),
            self.dataset.labels[train],
            len(self.dataset.class_names),
            [l2],
            device=self.extractor.pictures.device,
            should_stop=self.extractor.observer.should_stop,
        )
        logits = regression.logits(self.extractor.features("val", val))
        self.judged = logits.argmax(1).numpy() == self.dataset.labels[unseen]


@dataclass
class Picked:
    """What a pick has found out.

    Attributes:
        entered: by name.
        val: positions of the val images on which those that were left are judged; empty where they were not.
        left_out: the models that took no part.
        seconds: what was spent.
        budget: in seconds, as it was given.
        damaged: which image has ended the judging, as a line; empty where none has.
    """

    dataset: Dataset
    input_size: int
    precision: str
    device: str
    entered: dict[str, Entered]
    race: Race
    left_out: list[LeftOut]
    val: np.ndarray
    seconds: float
    budget: float
    damaged: str = ""

    @property
    def survivors(self) -> list[str]:
        """The names of those that are judged; the first of the race first."""
        return survivors(self.race, self.entered)

    @property
    def best(self) -> str:
        """The first of the race, which the val images had no part in naming; where others are better on these
        and told apart from it, the best of them."""
        first, *others = self.survivors
        better = [
            name
            for name in others
            if self.accuracy(name) > self.accuracy(first) and self.told_apart(first, name)
        ]
        return max(better, key=self.accuracy, default=first)

    def told_apart(self, a: str, b: str) -> bool:
        """Whether two of the survivors differ, by `pair_p` on the same images, all pairs counted."""
        pairs = math.comb(len(self.survivors), 2)
        return pair_p(self.correct(a), self.correct(b), self.groups(a)) * pairs < ALPHA

    def correct(self, name: str) -> np.ndarray:
        """bool (n,): on the images of val where it was judged, else on those held out in its last round."""
        judged = self.entered[name].judged
        return self.race.standings[name].last.probe if judged is None else judged

    def groups(self, name: str) -> np.ndarray | None:
        """Which images of `correct` belong together, int64 (n,); None where each stands for itself."""
        if self.entered[name].judged is None:
            return self.race.standings[name].last.groups
        groups = self.dataset.groups
        return None if groups is None else groups[self.dataset.splits["val"][self.val]]

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % interval of `accuracy`, for other images like these."""
        return share_interval(self.correct(name), self.groups(name))

    def accuracy(self, name: str) -> float:
        """Share of `correct`."""
        return float(self.correct(name).mean())

    def majority(self) -> float:
        """The accuracy of always naming the largest class of the training split, on val, else on train."""
        counts = np.bincount(self.dataset.split_labels("train"), minlength=len(self.dataset.class_names))
        labels = self.dataset.split_labels("val")[self.val] if len(self.val) else None
        if labels is None:
            return float(counts.max() / counts.sum())
        return float((labels == counts.argmax()).mean())


def pick(
    dataset: Dataset,
    candidates: Callable[[Callable[[], bool]], Iterator[Candidate]],
    left_out: list[LeftOut],
    clock: Clock,
    *,
    input_size: int,
    device: str,
    precision: str,
    max_latency_ms: float | None,
    named: bool,
    show: Callable[[str, int, int], None],
    note: Callable[[str], None],
    now: Callable[[], float],
) -> Picked:
    """Time candidates, race them on frozen features, and judge those that are left on images of val.

    Args:
        candidates: gives them as `find_candidates` does, told how to ask whether the time for it is over.
        left_out: gets these.
        max_latency_ms: the most milliseconds of one image.
        named: whether the user named the models, so that one that cannot take part is an error.
        show: called with phase, done and total.
        note: called with a line after each step.

    Raises:
        InputError: no candidate, or the budget is too small for two of them.
        DataError: an image of the first round is damaged; one that is reached later ends its stage.
    """
    watch = Watch(clock, show)
    pictures = Pictures(dataset, input_size, device, Augment(), watch)
    entered: dict[str, Entered] = {}
    timed, late = clock.until(TIMING), clock.until(RACE)

    tried = 0

    def is_over() -> bool:
        enough = len(entered) >= 2 and timed()
        return clock.interrupted() or enough or (late() and (len(entered) >= 1 or tried >= FEWEST_TRIED))

    def is_late() -> bool:
        return is_over() or watch.should_stop()

    for candidate in candidates(is_over):
        tried += 1
        show(f"timing {candidate.card.title}", len(entered), len(entered) + 1)
        extractor = Extractor(candidate, pictures, precision, watch)
        batch = TIMED[device]
        try:
            latency = whole = extractor.milliseconds(1, is_late)
            if latency * SLOW_IMAGES > 1000 * TIMING * clock.budget:
                batch = 1
            else:
                whole = extractor.milliseconds(batch, is_late)
        except Stopped:
            left_out.append(LeftOut(candidate.card, "no time to time it"))
            continue
        except (InputError, WeightsError) as error:
            if named:
                raise
            left_out.append(LeftOut(candidate.card, str(error)))
            continue
        if max_latency_ms is not None and latency > max_latency_ms:
            left_out.append(LeftOut(candidate.card, f"takes {latency:.0f} ms for one image"))
            continue
        entered[candidate.name] = Entered(
            candidate, extractor, dataset, latency, batch, 1000 * batch / whole, _clock=now
        )
    if not entered and watch.should_stop():
        needed = max(clock.spent / TIMING, TOO_LITTLE * clock.budget) + ENDING
        raise InputError(
            f"--budget: {clock.given:.0f} s are too little: timing networks takes about {needed:.0f} s here"
        )
    if not entered:
        reasons = "; ".join(f"{one.card.name} {one.reason}" for one in left_out[:3])
        raise InputError(f"no model can take part: {reasons or 'none has weights'}")
    labels = dataset.split_labels("train")
    sizes = sizes_of_rounds(len(labels), len(dataset.class_names))
    samples = growing_samples(dataset.id_name, dataset.split_id, labels, sizes)
    with suppress(Stopped):  # the race finds that there is no time
        pictures.at("train", samples[0][:DECODED_FIRST])
    slowest = sorted(1 / one.images_per_s for one in entered.values())[-2:]
    short = sum(slowest) * tuning_images(SHORTEST, len(labels), replicates=1)
    watch.share = RACE if short < (JUDGING - RACE) * clock.budget else RACE_ALONE

    def decoding(images: int) -> float:
        return pictures.seconds_an_image * max(0, images - pictures.decoded_images)

    race = run_race(list(entered.values()), samples, watch.seconds_left, note, decoding)
    if not race.images:
        two = sorted(one.expected_seconds(len(samples[0])) for one in entered.values())[:2]
        needed = max((clock.spent + sum(two)) / RACE_ALONE, TOO_LITTLE * clock.budget) + ENDING
        raise InputError(
            f"--budget: {clock.given:.0f} s are too little: timing and a first round on {len(samples[0])} "
            f"images take about {needed:.0f} s here"
        )
    watch.share = JUDGING
    sample = next(one for one in samples if len(one) == race.images)
    val, damaged = _judge(race, entered, dataset, sample, watch)
    return Picked(
        dataset,
        input_size,
        precision,
        device,
        entered,
        race,
        left_out,
        val,
        clock.spent,
        clock.given,
        damaged,
    )


def survivors(race: Race, entered: dict[str, Entered]) -> list[str]:
    """Those that are judged: the ones that never leave a race, and the next; in the order of the race."""
    kinds = {name: one.kind for name, one in entered.items()}
    published = {name: one.upstream_top1 for name, one in entered.items() if one.upstream_top1 is not None}
    best_known = max(published, key=lambda name: published[name]) if published else None
    kept = never_leave(race, kinds, best_known)
    ranked = race.ranked()
    chosen = sorted(ranked, key=lambda name: (name not in kept, ranked.index(name)))[:SURVIVORS]
    return [name for name in ranked if name in chosen]


def _judge(
    race: Race, entered: dict[str, Entered], dataset: Dataset, sample: np.ndarray, watch: Watch
) -> tuple[np.ndarray, str]:
    """Judge the best of the race on as many images of val as there is time for, up to a damaged one.

    Gives their positions, and what is damaged.
    """
    best = [entered[name] for name in survivors(race, entered)]
    order = np.random.default_rng(0).permutation(len(dataset.splits["val"]))[:JUDGED]
    # The probes are fitted last, and need time as well.
    end, fits = watch.share, sum(one.fit_seconds(len(sample)) for one in best) / FOLDS
    watch.share = end - fits / watch.budget
    done, damaged = 0, ""
    try:
        for stop in _doubled(JUDGED_AT_ONCE, len(order)):
            for one in best:
                one.extractor.features("val", order[:stop])
            done = stop
    except DataError as error:
        damaged = str(error)
    except Stopped:
        pass
    watch.share = end
    if done < FEWEST_JUDGED:
        return np.empty(0, np.int64), damaged
    try:
        for one in best:
            one.judge(sample, order[:done], race.standings[one.name].last.l2)
    except Stopped:
        for one in best:
            one.judged = None
        return np.empty(0, np.int64), damaged
    return order[:done], damaged


def _doubled(first: int, last: int) -> Iterator[int]:
    """`first`, twice that, and so on below `last`; then `last`."""
    while first < last:
        yield first
        first *= 2
    yield last
