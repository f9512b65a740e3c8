"""Who learns from whom: a teacher is a contestant of the same comparison, trained before its students."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from bench.errors import InputError, did_you_mean
from bench.spec.job import TrainJob
from bench.spec.recipe import Recipe
from bench.spec.suite import Comparison, Suite


def teachers_first(suite: Suite, comparison: Comparison) -> list[str]:
    """The contestants of a comparison in their order, but each after its teacher.

    Raises:
        InputError: a recipe that distils has no teacher, or one that cannot be.
    """
    recipes = {key: suite.recipe_of(comparison, key) for key in comparison.contestants}
    where = f"{suite.name}: {comparison.name}"
    ordered: list[str] = []

    def add(key: str, students: tuple[str, ...]) -> None:
        if key in students:
            circle = " learns from ".join((*students[students.index(key) :], key))
            raise InputError(f"{where}: {circle}: one of them needs no teacher")
        if recipes[key].distill is not None:
            add(_teacher(key, recipes, where), (*students, key))
        if key not in ordered:
            ordered.append(key)

    for key in recipes:
        add(key, ())
    return ordered


def _teacher(key: str, recipes: Mapping[str, Recipe], where: str) -> str:
    """The teacher of a contestant, which could be one."""
    recipe = recipes[key]
    assert recipe.distill is not None
    teacher, others = recipe.distill.teacher, [one for one in recipes if one != key]
    if teacher is None:
        raise InputError(
            f'{where}: "{key}": recipe "{recipe.name}" needs a teacher, another contestant '
            f'({", ".join(others) or "there is none"}): set = {{ "distill.teacher" = "KEY" }}'
        )
    if teacher == key:
        raise InputError(
            f'{where}: "{key}" is its own teacher; take another contestant '
            f"({', '.join(others) or 'there is none'})"
        )
    if teacher not in recipes:
        raise InputError(
            f'{where}: the teacher of "{key}", "{teacher}", is no contestant of this comparison'
            f"{did_you_mean(teacher, others)}"
        )
    if recipes[teacher].frozen:
        raise InputError(
            f'{where}: "{teacher}" cannot teach "{key}": '
            f'its recipe "{recipes[teacher].name}" trains no network'
        )
    if recipes[teacher].head_outputs != recipe.head_outputs:
        raise InputError(f'{where}: "{teacher}" cannot teach "{key}": head_outputs of their recipes differ')
    return teacher


def with_teachers(trials: Mapping[str, TrainJob]) -> dict[str, TrainJob]:
    """Trials by id, each after its teacher, which knows its students.

    Teachers that are not among `trials`, by id, are there as well.
    """
    ordered: dict[str, TrainJob] = {}
    students: defaultdict[str, list[str]] = defaultdict(list)

    def add(job: TrainJob) -> None:
        if job.id in ordered:
            return
        if job.teacher is not None:
            add(job.teacher)
            students[job.teacher.id].append(job.id)
        ordered[job.id] = trials.get(job.id, job)

    for job in trials.values():
        add(job)

    def teaching(run: str) -> TrainJob:
        return replace(ordered[run], students=tuple(map(teaching, students[run])))

    return {run: teaching(run) if run in students else job for run, job in ordered.items()}
