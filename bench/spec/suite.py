"""Suites: what to cross, what to contrast, what to profile."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from bench.errors import InputError, did_you_mean, shortened
from bench.files import canonical, digest, slug
from bench.spec.kfold import read_kfold
from bench.spec.overrides import assign, check_settings, dotted, override, parse_setting
from bench.spec.profiles import Profiles
from bench.spec.recipe import LARGEST_SIDE, Recipe, load_recipe
from bench.spec.replicates import Replicates
from bench.spec.search import Search
from bench.spec.toml import Strict, check_plain, parse, read_toml

FOLDER = Path(__file__).parent.parent / "suites"
LONGEST_NAME = 100

Precision = Literal["fp32", "bf16"]
Pair = tuple[str, str]


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("should be some text")
    return text


Text = Annotated[str, AfterValidator(_not_empty)]
"""Text that is shown, and cannot be empty."""


class Contestant(Strict):
    """A model with its weights and, where it differs from the comparison's, its recipe.

    `set` overrides keys of its recipe, after those of the comparison.
    """

    model: str
    weights: str = "none"
    recipe: str | None = None
    precision: Precision | None = None
    title: Text | None = None
    set: dict[str, Any] = {}

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: str) -> str:
        if weights not in ("none", "card") and not weights.startswith("file:"):
            raise ValueError('should be "none", "card" or "file:PATH"')
        return weights


class Comparison(Strict):
    """Contestants crossed with the subsets of one dataset, under one budget.

    `shots` are images per class; "all" is the whole training split. `contrasts` are the primary ones,
    fixed before the results are seen; `unmatched` says in words what they do not hold equal.
    `conditions` are those of `bench/data/conditions/` under which the trained models are evaluated once more,
    after `clean`; `reference` is the contestant whose errors under corruptions are set to 1.
    `protocol = "tuned"` chooses values of every contestant's recipe by the same `search`, which may be left
    out: then it is the default of `bench.spec.search.Search`.
    `set` overrides keys of every recipe of the comparison.
    `split_id = "kfold-5"`: images of one's own, each tested once a replicate (`bench.data.folds`).
    """

    name: Text
    dataset: str
    split_id: str | None = None
    contestants: tuple[str, ...] = Field(min_length=1)
    recipe: str
    shots: tuple[int | Literal["all"], ...] = Field(("all",), min_length=1)
    replicates: Replicates = Replicates.model_validate(3)
    input_size: int = Field(ge=8, le=LARGEST_SIDE)
    precision: Precision = "fp32"
    contrasts: tuple[Pair, ...] = ()
    exploratory: tuple[Pair, ...] = ()
    unmatched: str = ""
    conditions: tuple[str, ...] = ()
    reference: str | None = None
    protocol: Literal["tuned"] | None = None
    search: Search | None = None
    set: dict[str, Any] = {}

    @model_validator(mode="after")
    def _tuned(self) -> "Comparison":
        if self.search is not None and self.protocol is None:
            raise ValueError(f'comparison "{self.name}": a search needs protocol = "tuned"')
        return self

    @model_validator(mode="after")
    def _folded(self) -> "Comparison":
        try:
            folds = read_kfold(self.split_id)
        except InputError as error:
            raise ValueError(f'comparison "{self.name}": {error}') from None
        if folds is None:
            return self
        if folds.fold is not None:
            raise ValueError(
                f'comparison "{self.name}": split_id = "{self.split_id}" is one of its divisions; a '
                f'comparison takes all: split_id = "kfold-{folds.folds}"'
            )
        if self.protocol is not None:
            raise ValueError(
                f'comparison "{self.name}": in {self.split_id} every image is a test image, so that no '
                'values can be searched; leave out protocol = "tuned"'
            )
        return self

    @model_validator(mode="after")
    def _decides_something(self) -> "Comparison":
        if self.replicates.looks and not self.contrasts:
            raise ValueError(f'comparison "{self.name}": replicates until = "decided" needs contrasts')
        return self

    @field_validator("contestants", "shots")
    @classmethod
    def _once(cls, given: tuple[int | str, ...]) -> tuple[int | str, ...]:
        if twice := next((value for value in given if given.count(value) > 1), None):
            raise ValueError(f"should name {json.dumps(twice)} once")
        return given

    @field_validator("shots")
    @classmethod
    def _positive(cls, shots: tuple[int | str, ...]) -> tuple[int | str, ...]:
        if any(isinstance(value, int) and value < 1 for value in shots):
            raise ValueError('images per class should be at least 1, or "all"')
        return shots


class Suite(Strict):
    """One file of `bench/suites/`, or of a user's own; `settings` are the command line's changes to it."""

    name: str
    title: Text
    description: str
    delta: float = Field(0.01, gt=0, lt=1)
    keep_weights: bool = True
    settings: tuple[str, ...] = ()
    models: dict[Text, Contestant] = {}
    comparison: tuple[Comparison, ...] = ()
    profiles: Profiles = Profiles()

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        if not (self.comparison or self.profiles.cost or self.profiles.measured):
            raise ValueError("a suite should have a [[comparison]], or [profiles]")
        names = [comparison.name for comparison in self.comparison]
        if len(set(names)) < len(names):
            raise ValueError(f"comparison names should differ, found {sorted(names)}")
        if "profiles" in (*names, *self.models):
            raise ValueError(
                '"profiles" is what --only calls the profiles: name the comparison or model otherwise'
            )
        for what, own in (("comparison", names), ("model", [*self.models])):
            if len({slug(name) for name in own}) < len(own):
                problem = f"{what} names should differ in a letter from a to z or a digit"
                raise ValueError(f"{problem}, as files are named after them, found {sorted(own)}")
        for comparison in self.comparison:
            known = comparison.contestants
            for key in known:
                if key not in self.models:
                    near = did_you_mean(key, self.models)
                    raise ValueError(f'comparison "{comparison.name}": no model "{key}" in [models]{near}')
            if comparison.reference is not None and comparison.reference not in known:
                near = did_you_mean(comparison.reference, known)
                problem = f'reference "{comparison.reference}" is no contestant{near}'
                raise ValueError(f'comparison "{comparison.name}": {problem}')
            declared = comparison.contrasts + comparison.exploratory
            for pair in declared:
                if pair[0] == pair[1]:
                    raise ValueError(f'comparison "{comparison.name}": contrast of "{pair[0]}" with itself')
                if declared.count(pair) + declared.count(pair[::-1]) > 1:
                    problem = f'contrast of "{pair[0]}" with "{pair[1]}" more than once'
                    raise ValueError(f'comparison "{comparison.name}": {problem}')
                for key in pair:
                    if key not in known:
                        near = did_you_mean(key, known)
                        raise ValueError(f'comparison "{comparison.name}": no contestant "{key}"{near}')
        return self

    @property
    def headlines(self) -> list[dict[str, Any]]:
        """As `Profiles.headlines`; of a suite that measures nothing, what `vcbench profile` measures by
        default, in the precision of its trials."""
        default = {"classes": 1000, "batch_sizes": [1, 32], "scaling_batch_size": None}
        return self.profiles.headlines or [
            {"mode": mode, "input_size": size, "precision": precision, **default}
            for mode in ("infer", "train")
            for size, precision in {one.input_size: one.precision for one in self.comparison[::-1]}.items()
        ]

    def recipe_of(self, comparison: Comparison, key: str) -> Recipe:
        """The resolved recipe of one contestant, with the overrides of the comparison and its own; then what
        the command line sets (`--set recipe.KEY=VALUE`), as far as the recipe has the key.

        Raises:
            InputError: no such recipe, or an override that does not fit it.
        """
        contestant = self.models[key]
        recipe = load_recipe(contestant.recipe or comparison.recipe)
        recipe = override(recipe, comparison.set, where=f'{self.name}: comparison "{comparison.name}": set')
        recipe = override(recipe, contestant.set, where=f'{self.name}: model "{key}": set')
        keys = dotted(recipe.model_dump(mode="json"))
        settings = dict(parse_setting(text) for text in self.settings)
        known = {name: settings[f"recipe.{name}"] for name in keys if f"recipe.{name}" in settings}
        return override(recipe, known, where=f"{self.name}: --set recipe")

    def check_recipes(self) -> None:
        """Refuse settings that do not fit the recipes they are for.

        Raises:
            InputError: as `recipe_of` and `search_of`; or a setting changes nothing.
        """
        by_model: dict[str, list[Recipe]] = {}
        for comparison in self.comparison:
            self.search_of(comparison)
            recipes = [self.recipe_of(comparison, key) for key in comparison.contestants]
            where = f'{self.name}: comparison "{comparison.name}": set'
            _refuse_idle(dotted(comparison.set), recipes, where)
            for key, recipe in zip(comparison.contestants, recipes, strict=True):
                by_model.setdefault(key, []).append(recipe)
        for key, recipes in by_model.items():
            _refuse_idle(dotted(self.models[key].set), recipes, f'{self.name}: model "{key}": set')
        names = [parse_setting(text)[0] for text in self.settings]
        of_recipes = [name.removeprefix("recipe.") for name in names if name.startswith("recipe.")]
        _refuse_idle(
            of_recipes, [one for own in by_model.values() for one in own], f"{self.name}: --set recipe"
        )

    def search_of(self, comparison: Comparison) -> Search | None:
        """The search of a comparison with its space; None where nothing is searched.

        Raises:
            InputError: it does not fit the recipe of a contestant.
        """
        if comparison.protocol is None:
            return None
        where = f'{self.name}: comparison "{comparison.name}": search'
        for key in comparison.contestants:
            if (recipe := self.recipe_of(comparison, key)).frozen:
                raise InputError(
                    f'{where}: recipe "{recipe.name}" trains no network, so that there is nothing to choose; '
                    "what a probe needs, it chooses within the subset by itself"
                )
        search, optimizer = comparison.search or Search(), load_recipe(comparison.recipe).optimizer
        if search.space is None and optimizer is None:
            raise InputError(f'{where}: recipe "{comparison.recipe}" has no learning rate; name a space')
        search = search.with_space(optimizer.lr) if optimizer is not None else search
        given = {"the comparison": dotted(comparison.set)}
        given["--set"] = [parse_setting(text)[0].removeprefix("recipe.") for text in self.settings]
        for key in comparison.contestants:
            recipe = self.recipe_of(comparison, key)
            for source, names in {**given, f'model "{key}"': dotted(self.models[key].set)}.items():
                for name in search.space or {}:
                    if name in names:
                        raise InputError(
                            f'{where}: "{name}" is searched, and {source} sets it: leave out one'
                        )
            for name in search.space or {}:
                looks = "it says how often val is looked at" if name == "val_times" else None
                if why := recipe.idle(name) or looks:
                    raise InputError(
                        f'{where}: "{name}" changes nothing of model "{key}", as {why}; leave it out'
                    )
            for values in search.candidates():
                override(recipe, dict(values), where=f'{where}: model "{key}"')
        return search


def _refuse_idle(names: list[str], recipes: list[Recipe], where: str) -> None:
    """Refuse a dotted name that changes nothing in any of the recipes.

    Raises:
        InputError: there is one.
    """
    for name in names:
        reasons = [recipe.idle(name) for recipe in recipes]
        if reasons and all(reasons):
            raise InputError(f'{where}: "{name}" changes nothing, as {reasons[0]}; leave it out')


def suite_names() -> list[str]:
    """The names of the suites that come with the harness."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def suite_argument(name: str) -> str:
    """A suite as it is typed: by its name where it comes with the harness, else by its file."""
    if name in suite_names():
        return name
    file = f"{name}.toml"
    return shlex.quote(f"./{file}" if file.startswith("-") else file)


def find_suite(name: str) -> Path:
    """The file of a suite: of this package, else NAME.toml from here, or the path of a TOML file.

    Raises:
        InputError: there is none, or its name cannot name a report.
    """
    path = FOLDER / f"{name}.toml"
    if name not in suite_names():
        path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if not path.is_file():
        raise InputError(_no_suite(name))
    if not path.stem.strip(".") or path.stem.startswith("-") or len(path.stem) > LONGEST_NAME:
        raise InputError(
            f"{path}: reports and tables are named after the suite; call it something of at most "
            f"{LONGEST_NAME} characters that does not begin with a hyphen"
        )
    return path


def own_file(name: str) -> Path | None:
    """The file of a suite that did not come with the harness; None of one that did.

    Raises:
        InputError: as `find_suite`.
    """
    path = find_suite(name)
    return None if path.resolve().parent == FOLDER.resolve() else path


def _no_suite(name: str) -> str:
    problem = f'no suite "{shortened(name)}"'
    if name.endswith(".toml"):
        return f"{problem} (no such file)"
    if Path(name).is_dir():
        return (
            f"{problem}: it is a folder; for a folder of images write a suite first: "
            f"vcbench new --dataset {shlex.quote(name)} --models A,B"
        )
    base, plus, _ = name.rpartition("+")
    if plus:
        return f"{problem}; a variant is called by its suite and settings: {base} --set KEY=VALUE"
    return f"{problem}{did_you_mean(name, suite_names())} (see: vcbench suites; or the path of a TOML file)"


def load_suite(suite: str | Mapping[str, Any], settings: tuple[str, ...] = ()) -> Suite:
    """A suite as `find_suite` finds it, or of a mapping like such a file with its `name`.

    `key=value` settings, as from the command line, make a variant with a name of its own, `SUITE+HASH`. A key
    that starts with `recipe.` goes to every recipe that has it; `comparison.` to every comparison; all others
    to the suite itself.

    Raises:
        InputError: no such suite, its file or mapping is wrong, or a setting does not fit.
    """
    if isinstance(suite, str):
        path = find_suite(suite)
        where, name, values = str(path), path.stem, read_toml(path)
    else:
        name = _own_name(suite)
        where = f"suite {name!r}"
        check_plain(dict(suite), where=where)
        values = json.loads(json.dumps(dict(suite)))  # a copy, with lists for tuples
    values = _with_included(values, where)
    if not settings:
        return parse({**values, "name": name}, Suite, where=where)
    parsed = dict(parse_setting(text) for text in settings)
    for key in ("name", "settings", "include"):
        if key in parsed:
            raise InputError(f"--set {key}: cannot be set")
    comparisons = values.get("comparison", [])
    if not isinstance(comparisons, list) or not all(isinstance(one, dict) for one in comparisons):
        return parse({**values, "name": name}, Suite, where=where)
    for key, value in parsed.items():
        scope, _, rest = key.partition(".")
        if scope == "comparison" and rest:
            for comparison in comparisons:
                assign(comparison, rest, value)
        elif scope != "recipe" or not rest:  # those of recipes: see `Suite.recipe_of`
            assign(values, key, value)
    variant = f"{name}+{digest(parsed)[:6]}"
    loaded = parse({**values, "name": variant, "settings": settings}, Suite, where=f"{where} with --set")
    check_settings(loaded, parsed)
    return loaded


def _own_name(suite: Mapping[str, Any]) -> str:
    """The name of a suite that is no file; InputError where it could not be one, or is that of another."""
    name = suite.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w. -]*", name) or len(name) > LONGEST_NAME:
        raise InputError(
            f'a suite that is no file needs a "name", of at most {LONGEST_NAME} letters, digits, spaces and '
            f"._-, as reports and tables are named after it; not {shortened(repr(name))}"
        )
    if name in suite_names():
        raise InputError(f'suite "{name}": a suite of this name comes with vcbench; choose another name')
    return name


def _with_included(values: dict[str, Any], where: str) -> dict[str, Any]:
    """A suite's tables, with the models and comparisons of the suites it includes before its own.

    Raises:
        InputError: a file is wrong, an included suite does not exist, or two give one name to two models.
    """
    names = values.pop("include", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f'{where}: key "include": should be a list of suite names, not {names!r}')
    for name in reversed(names):
        if name not in suite_names():
            raise InputError(f'{where}: key "include": no suite "{name}"{did_you_mean(name, suite_names())}')
        other = read_toml(FOLDER / f"{name}.toml")
        models = values.setdefault("models", {})
        if not isinstance(models, dict) or not isinstance(values.get("comparison", []), list):
            raise InputError(f"{where}: should have tables [models] and [[comparison]]")
        for key, model in other.get("models", {}).items():
            if models.setdefault(key, model) != model:
                raise InputError(f'{where}: model "{key}" is another one in the included suite {name}')
        values["comparison"] = other.get("comparison", []) + values.get("comparison", [])
    return values


def fingerprint(suite: Suite) -> str:
    """A short hash of a suite's content, which tells two versions of a suite apart."""
    last = {parse_setting(text)[0]: text for text in suite.settings}
    content = suite.model_dump(mode="json") | {"settings": sorted(last.values())}
    # These came later than suites that are stored.
    for blocks, name in (
        (content["models"].values(), "set"),
        (content["comparison"], "conditions"),
        (content["comparison"], "reference"),
        (content["comparison"], "protocol"),
        (content["comparison"], "search"),
    ):
        for block in blocks:
            if not block[name]:
                del block[name]
    for block in content["profiles"]["measured"]:
        for name, default in (("limits", True), ("patience", None), ("runtimes", ["torch"]), ("int8", False)):
            if block[name] == default:
                del block[name]
    return digest(canonical(content))
