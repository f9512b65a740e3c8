"""vcbench models, datasets, suites, recipes, conditions: what there is, one a line."""

from bench.cli.common import Json, print_columns, print_json


def models(as_json: Json = False) -> None:
    """List the model cards.

    Any other timm model name works too; it is marked as having no card.

    Example: vcbench models
    """
    from bench.networks import find_card
    from bench.spec.card import list_cards

    cards = [find_card(name) for name in list_cards()]
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    print_columns(
        [
            (
                card.name,
                card.family,
                f"{card.input_size} px",
                f"patch {card.patch}" if card.patch else "-",
                card.pretraining if card.pretraining != "none" else "no weights",
                card.tag or "-",
                f"{100 * card.upstream_top1:.1f} %" if card.upstream_top1 is not None else "-",
                card.licence,
            )
            for card in cards
        ],
        ("MODEL", "FAMILY", "INPUT", "PATCH", "PRETRAINING", "TAG", "UPSTREAM TOP-1", "LICENCE"),
    )


def datasets(as_json: Json = False) -> None:
    """List the datasets with their split ids and counts.

    Your own images work too: dataset = "folder:PATH" or "table:FILE" in a suite (see: vcbench new).

    Example: vcbench datasets
    """
    from dataclasses import asdict

    from bench.data import dataset_facts

    facts = dataset_facts().values()
    if as_json:
        print_json([asdict(fact) for fact in facts])
        return
    rows = []
    for fact in facts:
        for split_id, counts in fact.splits.items():
            numbers = [f"{counts[split]:,}" if counts else "yours" for split in ("train", "val", "test")]
            name = f"{fact.name}:PATH" if fact.takes_path else fact.name
            rows.append((name, split_id, fact.classes or "yours", *numbers, fact.image, fact.source))
    print_columns(rows, ("DATASET", "SPLIT ID", "CLASSES", "TRAIN", "VAL", "TEST", "IMAGES", "SOURCE"))


def suites(as_json: Json = False) -> None:
    """List the suites with their numbers of trials.

    Example: vcbench suites
    """
    from bench.planning.plan import trials_of
    from bench.spec.suite import load_suite, suite_names

    loaded = [load_suite(name) for name in suite_names()]
    planned = {suite.name: sum(not trial.optional for trial in trials_of(suite)) for suite in loaded}
    if as_json:
        print_json([suite.model_dump(mode="json") | {"trials": planned[suite.name]} for suite in loaded])
        return
    print_columns(
        [
            (
                suite.name,
                planned[suite.name],
                ", ".join(sorted({c.dataset for c in suite.comparison})),
                suite.title,
            )
            for suite in loaded
        ],
        ("SUITE", "TRIALS", "DATASETS", "WHAT"),
    )


def recipes(as_json: Json = False) -> None:
    """List the recipes with their budgets and the accuracy to expect.

    Example: vcbench recipes
    """
    from bench.spec.recipe import load_recipe, recipe_names

    loaded = [load_recipe(name) for name in recipe_names()]
    if as_json:
        print_json([recipe.model_dump(mode="json") for recipe in loaded])
        return
    rows = []
    for recipe in loaded:
        if recipe.budget is None:
            budget = "frozen features"
        else:
            at_least = f", at least {recipe.budget.min_steps} steps" if recipe.budget.min_steps else ""
            budget = f"{recipe.budget.epochs} epochs of batch {recipe.budget.batch_size}{at_least}"
        rows.append((recipe.name, recipe.protocol, budget, recipe.title))
    print_columns(rows, ("RECIPE", "PROTOCOL", "BUDGET", "WHAT"))


def conditions(as_json: Json = False) -> None:
    """List the conditions under which trained models can be evaluated, with their levels.

    In a suite, gaussian_noise-3 is one level of a condition, and gaussian_noise all of LEVELS that fit.

    Example: vcbench conditions
    """
    from bench.data.conditions import families, find_condition

    found = [find_condition(name) for name in families()]
    levels = {one.name: [level for level in one.levels if level is not None] for one in found}
    if as_json:
        rows = [
            {
                "name": one.name,
                "title": one.title,
                "unit": one.unit,
                "levels": levels[one.name],
                "allowed": [one.allowed[0], one.allowed[-1]] if one.allowed else None,
            }
            for one in found
        ]
        print_json(rows)
        return
    print_columns(
        [
            (
                one.name,
                one.unit or "-",
                " ".join(map(str, levels[one.name])) or "-",
                f"{one.allowed[0]} to {one.allowed[-1]}" if one.allowed else "-",
                one.title,
            )
            for one in found
        ],
        ("CONDITION", "LEVEL", "LEVELS", "ALLOWED", "WHAT"),
    )
