"""From a suite to its trials, from each to the id under which it is stored, and to the jobs to be done."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bench.errors import BenchError, DataError, InputError, WeightsError
from bench.planning.conditions import conditions_of
from bench.planning.teachers import teachers_first, with_teachers
from bench.spec.job import CLEAN, TRIAL_FORMAT, EvaluateJob, TrainJob, Trial, Unresolved, evaluations
from bench.spec.kfold import KFold, read_kfold
from bench.spec.suite import Comparison, Suite
from bench.store.layout import kind_of
from bench.store.run_store import RunStore

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.networks import Weights
    from bench.spec.card import Card


AnyTrial = TypeVar("AnyTrial", bound=TrainJob | Unresolved)
Value = TypeVar("Value")


def plan(training: Iterable[TrainJob], store: RunStore) -> list[TrainJob | EvaluateJob]:
    """All jobs that some trials come to, as far as the store lets them be known; each once, in order.

    It is asked again after every round: what a job gives may decide which others there are. A trial that
    diverged is not evaluated. A teacher comes before its students; one that is not among the trials is only
    trained, for students that are not done.
    """
    trials: dict[str, TrainJob] = {}
    for job in training:
        # A trial of two comparisons is evaluated under the conditions of both.
        first = trials.setdefault(job.id, job)
        conditions = tuple(dict.fromkeys(first.trial.conditions + job.trial.conditions))
        if conditions != first.trial.conditions:
            trials[job.id] = replace(first, trial=replace(first.trial, conditions=conditions))
    jobs: dict[str, TrainJob | EvaluateJob] = {}
    for job in with_teachers(trials).values():
        if job.id not in trials and all(map(store.has, job.students)):
            continue
        jobs[job.id] = job
        diverged = store.outcome(kind_of(job), job.id) == "diverged"
        if job.purpose == "report" and job.id in trials and not diverged:
            jobs |= {evaluating.id: evaluating for evaluating in evaluations(job)}
    return list(jobs.values())


def trials_of(suite: Suite, replicates: int | None = None) -> list[Trial]:
    """All trials of a suite: one replicate of every cell before the second of any, in the file's order; those
    that only undecided cells get are `optional`.

    Args:
        suite: the suite.
        replicates: how many replicates, instead of each comparison's own number; then none is optional.

    Raises:
        InputError: as `Suite.check_recipes`, or fewer than one replicate.
    """
    if replicates is not None and replicates < 1:
        raise InputError(f"replicates = {replicates}: should be 1 or more")
    return sorted(_trials(suite, replicates), key=lambda trial: trial.replicate)


def _trials(suite: Suite, replicates: int | None) -> Iterator[Trial]:
    suite.check_recipes()
    for comparison in suite.comparison:
        keys = teachers_first(suite, comparison)
        for shots in comparison.shots:
            for key in keys:
                first = trial_of(suite, comparison, key, shots, replicate=0)
                count = replicates or comparison.replicates.max
                folds = read_kfold(comparison.split_id)
                if shots == "all" and first.recipe.frozen and folds is None:
                    count = 1  # the same images and a deterministic solver: repeating it would show nothing
                start = replicates or comparison.replicates.start
                for r in range(count):
                    trial = _repeated(first, r, optional=r >= start)
                    yield from [trial] if folds is None else (_at(trial, at) for at in folds.of_repeat(r))


def _repeated(trial: Trial, replicate: int, *, optional: bool) -> Trial:
    """A trial and its teacher as another replicate."""
    teacher = _repeated(trial.teacher, replicate, optional=optional) if trial.teacher else None
    return replace(trial, replicate=replicate, optional=optional, teacher=teacher)


def _at(trial: Trial, at: KFold) -> Trial:
    """A trial and its teacher on one division of a repeat."""
    teacher = _at(trial.teacher, at) if trial.teacher else None
    return replace(trial, split_id=at.split_id, teacher=teacher)


def trial_of(
    suite: Suite, comparison: Comparison, key: str, shots: int | Literal["all"], *, replicate: int
) -> Trial:
    """One trial of a suite, with the recipe as it is before anything of it is searched, and its teacher's.

    Raises:
        InputError: an unknown recipe, or an override that does not fit.
    """
    contestant, recipe = suite.models[key], suite.recipe_of(comparison, key)
    teacher = recipe.distill.teacher if recipe.distill else None
    return Trial(
        suite=suite.name,
        comparison=comparison.name,
        contestant=key,
        title=contestant.title or key,
        model=contestant.model,
        weights=contestant.weights,
        dataset=comparison.dataset,
        split_id=comparison.split_id,
        shots=None if shots == "all" else shots,
        replicate=replicate,
        recipe=recipe,
        input_size=comparison.input_size,
        precision=contestant.precision or comparison.precision,
        keep_weights=suite.keep_weights,
        conditions=(CLEAN, *conditions_of(suite, comparison)),
        tuned=comparison.protocol == "tuned",
        teacher=trial_of(suite, comparison, teacher, shots, replicate=replicate) if teacher else None,
    )


class Resolver:
    """Finds data and weights once each, and gives trials their ids.

    Args:
        data_dir: where datasets lie.
        weights_dir: where weight files lie.
        store: the results folder, where the frozen split of a folder of images lies; None freezes nothing.
        download: whether weights may be fetched from the hub.
    """

    def __init__(
        self, data_dir: Path, weights_dir: Path, store: Path | None, *, download: bool = False
    ) -> None:
        self.data_dir, self.weights_dir, self.store, self.download = data_dir, weights_dir, store, download
        self._datasets: dict[tuple[str, str | None], Dataset | BenchError] = {}
        self._cards: dict[str, Card] = {}
        self._weights: dict[tuple[str, str], Weights | BenchError] = {}

    def freeze_splits(self, store: Path) -> None:
        """From now on the split of a folder of images is frozen in a results folder.

        What was opened with nothing to freeze it in is opened again when it is asked for.
        """
        if self.store is None:
            self.store = store
            self._datasets = {key: data for key, data in self._datasets.items() if ":" not in key[0]}

    def offline(self) -> "Resolver":
        """One that shares what was opened, and fetches nothing."""
        other = Resolver(self.data_dir, self.weights_dir, self.store)
        other._datasets, other._weights = self._datasets, dict(self._weights)
        return other

    def dataset(self, trial: Trial) -> "Dataset":
        """The trial's dataset, opened once.

        Raises:
            DataError: it is not here or is damaged.
            InputError: there is no such dataset or split.
        """
        return self._opened(trial.dataset, trial.split_id)

    def _opened(self, name: str, split_id: str | None) -> "Dataset":
        from bench.data import open_dataset
        from bench.data.folds import at_fold

        key, at = (name, split_id), read_kfold(split_id)
        if key not in self._datasets:
            try:
                if at is not None and at.fold is not None:  # the images are listed once for all divisions
                    whole = self._opened(name, KFold(at.folds).split_id)
                    self._datasets[key] = at_fold(whole, at, self.store)
                else:
                    self._datasets[key] = open_dataset(name, split_id, self.data_dir, store=self.store)
            except DataError as error:
                self._datasets[key] = error
        return _value(self._datasets[key])

    def warnings(self) -> list[str]:
        """What is to be known of the data opened so far, one line each."""
        opened = [value for value in self._datasets.values() if not isinstance(value, BenchError)]
        return list(dict.fromkeys(line for dataset in opened for line in dataset.warnings))

    def weights(self, trial: Trial) -> "tuple[Card, Weights]":
        """The trial's model card and weights, looked up once.

        Raises:
            WeightsError: the weights are not here.
            InputError: there is no such model.
        """
        from bench.networks import find_card, resolve_weights

        if trial.model not in self._cards:
            self._cards[trial.model] = find_card(trial.model)
        card = self._cards[trial.model]
        key = (trial.model, trial.weights)
        if key not in self._weights:
            try:
                self._weights[key] = resolve_weights(
                    card, trial.weights, self.weights_dir, download=self.download
                )
            except WeightsError as error:
                self._weights[key] = error
        return card, _value(self._weights[key])

    def require_weights(self, trials: Iterable[Trial]) -> None:
        """Know before anything slow begins that the weights of all trials are here or can be fetched.

        Raises:
            WeightsError: some are not here, and the hub cannot be reached.
            InputError: there is no such model.
        """
        from bench.networks import find_card, hub_answers
        from bench.networks.weights import and_others

        trials = list(trials)
        for trial in trials:
            try:
                self.weights(trial)
            except WeightsError as error:
                if hub_answers():
                    return
                others = (find_card(other.model) for other in trials if other.weights == "card")
                raise and_others(error, others, self.weights_dir) from None

    def resolve(self, trial: Trial) -> TrainJob | Unresolved:
        """The trial with its id, or what is missing for it or its teacher; while one of them is still `tuned`
        it waits for the search.

        Raises:
            InputError: the trial cannot be: more shots than a class has, an unknown model or dataset.
        """
        missing: BenchError | None = None
        try:
            dataset = self.dataset(trial)
        except DataError as error:
            return Unresolved(trial, error)
        teacher: TrainJob | Unresolved | None = self.resolve(trial.teacher) if trial.teacher else None
        waiting = trial.tuned
        if isinstance(teacher, Unresolved):
            missing = None if teacher.waiting else teacher.reason
            waiting, teacher = waiting or teacher.waiting, teacher.sketch
        try:
            weights_hash = self.weights(trial)[1].fingerprint
        except WeightsError as error:
            missing, weights_hash = error, "missing"
        card = self._cards[trial.model]
        shots, images = subset_of(trial, dataset)
        outputs = trial.recipe.head_outputs
        if outputs is not None and outputs < len(dataset.class_names):
            raise InputError(
                f"{trial.suite}: {trial.comparison}: head_outputs = {outputs} of {trial.recipe.name} "
                f"is less than the {len(dataset.class_names)} classes of {dataset.name}"
            )
        if trial.recipe.frozen and weights_hash == "none":
            raise InputError(
                f'{trial.suite}: {trial.comparison}: recipe "{trial.recipe.name}" reads frozen features: '
                f'"{trial.contestant}" needs weights = "card" or "file:PATH", not "none"'
            )
        if trial.recipe.keep == "best-val" and not len(dataset.splits["val"]):
            raise InputError(
                f'{trial.suite}: {trial.comparison}: recipe "{trial.recipe.name}" has keep = "best-val", and '
                f'{dataset.name} ({dataset.split_id}) has no val images; keep = "last" needs none'
            )
        draw_seed, seed = seeds_of(trial, shots)
        identity = {
            "trial_format": TRIAL_FORMAT,
            "model": {
                "name": card.name,
                "architecture": card.architecture,
                "options": card.options,
                "stem": card.stem,
                "mean": list(card.mean),
                "std": list(card.std),
            },
            "weights": weights_hash,
            "dataset": dataset.id_name,
            "data": dataset.fingerprint,
            "split_id": dataset.split_id,
            "shots": shots,
            "draw_seed": draw_seed,
            "seed": seed,
            "recipe": trial.recipe.identity(),
            "input_size": trial.input_size,
            "precision": trial.precision,
            **({"teacher": teacher.id} if teacher else {}),
            **(dataset.fold_rule if trial.recipe.probe else {}),
        }
        job = TrainJob(
            identity=identity,
            trial=trial,
            dataset=dataset.name,
            train_images=images,
            classes=len(dataset.class_names),
            needs=(teacher.id,) if teacher else (),
            teacher=teacher,
        )
        if waiting and missing is None:
            return Unresolved(trial, InputError(f"{trial.where}: its recipe is still searched"), job, True)
        return job if missing is None else Unresolved(trial, missing, job)

    def resolve_all(self, trials: Iterable[Trial]) -> list[TrainJob | Unresolved]:
        """Every distinct trial: one whose subset is the whole split has no draws to repeat."""
        return distinct(map(self.resolve, trials))

    def resolve_strictly(self, trials: Iterable[Trial]) -> list[TrainJob | Unresolved]:
        """As `resolve_all`; only such as wait for other jobs may be unresolved.

        Raises:
            DataError, WeightsError: of the first trial whose data or weights are missing.
        """
        resolved: list[TrainJob | Unresolved] = []
        for trial in trials:
            item = self.resolve(trial)
            if isinstance(item, Unresolved) and not item.waiting:
                raise item.reason
            resolved.append(item)
        return distinct(resolved)


def distinct(resolved: Iterable[AnyTrial]) -> list[AnyTrial]:
    """Each trial of a contestant in a comparison once: replicates are one trial where nothing is drawn. What
    could not be resolved is kept as it is."""
    kept: dict[tuple[str, str, str] | int, AnyTrial] = {}
    for number, item in enumerate(resolved):
        key: tuple[str, str, str] | int = number
        if isinstance(item, TrainJob):
            key = item.id, item.trial.comparison, item.trial.contestant
        kept.setdefault(key, item)
    return list(kept.values())


def seeds_of(trial: Trial, shots: int | None) -> tuple[int | None, int | None]:
    """Draw seed and training seed of a trial; None where nothing is drawn, or its training is deterministic.

    The images of a fold are drawn, by the repeat; the networks of one repeat have different training seeds.
    """
    at = read_kfold(trial.split_id)
    if at is not None and at.repeat is not None:
        return at.repeat, None if trial.recipe.frozen else at.seed
    return None if shots is None else trial.replicate, None if trial.recipe.frozen else trial.replicate


def subset_of(trial: Trial, dataset: "Dataset") -> tuple[int | None, int]:
    """The trial's shots (None where they are the whole training split) and its number of images.

    Raises:
        InputError: a class has fewer images than asked for.
    """
    import numpy as np

    counts = np.bincount(dataset.split_labels("train"), minlength=len(dataset.class_names))
    if trial.shots is None:
        return None, int(counts.sum())
    if trial.shots > counts.min():
        smallest = dataset.class_names[int(counts.argmin())]
        raise InputError(
            f"{trial.suite}: {trial.comparison}: shots = {trial.shots}, but class {smallest!r} of "
            f"{dataset.name} ({dataset.split_id}) has {counts.min()} training images; "
            f"ask for at most {counts.min()}"
        )
    whole = trial.shots == counts.max()
    return (None if whole else trial.shots), trial.shots * len(counts)


def _value(value: Value | BenchError) -> Value:
    if isinstance(value, BenchError):
        raise value
    return value
