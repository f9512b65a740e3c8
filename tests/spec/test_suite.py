"""Suites and recipes from their files, and what is said of a wrong one."""

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.planning.plan import trials_of
from bench.spec.overrides import override
from bench.spec.recipe import Budget, load_recipe, recipe_names
from bench.spec.suite import fingerprint, load_suite, suite_names

GOOD = """
title = "t"
description = "d"
[models]
a = { model = "vit_digits" }
b = { model = "resnet_digits", recipe = "vit-strong-aug" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["a", "b"]
recipe = "scratch"
shots = [2, "all"]
input_size = 16
contrasts = [["a", "b"]]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_loads_with_its_recipes_and_cards(name):
    from bench.networks import find_card

    suite = load_suite(name)
    for comparison in suite.comparison:
        for key in comparison.contestants:
            assert suite.recipe_of(comparison, key).title
            card = find_card(suite.models[key].model)
            assert card.carded
            assert suite.models[key].weights != "card" or card.tag or card.name.endswith("_lnq")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_what_to_expect(name):
    assert len(load_recipe(name).expected) > 20


def test_a_mapping_is_read_as_its_file(tmp_path):
    content = tomllib.loads(GOOD)
    own = content | {"name": "mine", "comparison": tuple(content["comparison"])}
    for settings in ((), ("recipe.budget.epochs=3",), ("comparison.input_size=32",)):
        assert load_suite(own, settings) == load_suite(write(tmp_path, GOOD), settings)
    assert own == content | {"name": "mine", "comparison": tuple(tomllib.loads(GOOD)["comparison"])}
    with_others = load_suite(own | {"include": ["quick"]})
    assert with_others.comparison == (*load_suite("quick").comparison, *load_suite(own).comparison)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, ['needs a "name"', "None"]),
        ({"name": "../up"}, ['needs a "name"', "'../up'"]),
        ({"name": "quick"}, ['"quick"', "comes with vcbench"]),
        ({"titel": "t"}, ["suite 'mine'", "titel", '"title"']),
        ({"title": Path("t")}, ["suite 'mine'", "title", "Path", "no key takes"]),
        ({"include": ["quikc"]}, ["suite 'mine'", '"quikc"', '"quick"']),
    ],
)
def test_a_wrong_mapping_is_told_in_one_line(change, words):
    with pytest.raises(InputError) as caught:
        load_suite(tomllib.loads(GOOD) | {"name": "mine"} | change)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("input_size = 16", "input_size = 16\nreplicates = 0", ['replicates"', "1 to 1000", "not 0"]),
        (
            "input_size = 16",
            'input_size = 16\nreplicates = { start = 3, until = "decided", max = 2 }',
            ["max = 2 is below start = 3"],
        ),
        (
            "input_size = 16",
            'input_size = 16\nreplicates = { start = 2, until = "decided", max = 9 }',
            ["start should be at least 3", "2"],
        ),
        (
            "input_size = 16",
            'input_size = 16\nreplicates = { until = "done", max = 9 }',
            ["replicates.until", "decided", "done"],
        ),
        (
            "input_size = 16",
            'input_size = 16\nreplicates = { start = 3, until = "decided" }',
            ["replicates.max", "missing"],
        ),
        (
            "input_size = 16",
            'input_size = 16\nreplicates = { until = "decided", maxx = 9 }',
            ["maxx", '"max"'],
        ),
        (
            '[["a", "b"]]',
            '[]\nreplicates = { until = "decided", max = 9 }',
            ['comparison "c"', "needs contrasts"],
        ),
        ('["a", "b"]\nrecipe', '["a", "b", "a"]\nrecipe', ["contestants", 'should name "a" once']),
        ("shots = [2", "shots = [2, 2", ["shots", "should name 2 once"]),
        (
            "input_size = 16",
            'input_size = 16\nprotocol = "tuned"\nsearch = { judge = "val", held_out = 40 }',
            ['judge = "val"', "leave out held_out"],
        ),
        ('name = "c"', 'name = " "', ["comparison.0.name", "some text"]),
        ('"vit_digits" }', '"vit_digits", title = "" }', ["models", "title", "some text"]),
        ("[[comparison]]", '"" = { model = "resnet_digits" }\n[[comparison]]', ["models", "some text"]),
        ("input_size = 16", "input_sise = 16", ["mine.toml", "comparison.0.input_sise", '"input_size"']),
        ("shots = [2", "shots = [0", ["shots", "at least 1"]),
        ('dataset = "digits"', "dataset = 3", ["dataset", "string", "3"]),
        ('["a", "b"]\nrecipe', '["a", "bb"]\nrecipe', ['"bb"', '"b"']),
        ('[["a", "b"]]', '[["a", "c"]]', ['"c"']),
        ('[["a", "b"]]', '[["a", "b"]]\nexploratory = [["b", "a"]]', ['"a" with "b" more than once']),
        ("title =", "titel =", ["titel", '"title"']),
        (
            "[[comparison]]",
            'A = { model = "resnet_digits" }\n[[comparison]]',
            ["model names", "'A'", "files"],
        ),
        (
            '"c"\ndataset',
            '"\u65e5"\n' + GOOD.split('"c"\n')[1] + '[[comparison]]\nname = "\u672c"\ndataset',
            ["comparison names", "\u65e5", "files"],
        ),
        ("[models]", "[models", ["not valid TOML"]),
        ('"vit_digits" }', '"vit_digits", weights = "crad" }', ["weights", "card"]),
    ],
)
def test_a_wrong_suite_is_told_in_one_line(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load_suite(write(tmp_path, GOOD.replace(old, new)))
    message = str(caught.value)
    assert "\n" not in message and 'key ""' not in message
    for word in words:
        assert word in message


def test_a_comparison_overrides_its_recipes(tmp_path):
    suite = load_suite(
        write(tmp_path, GOOD + '[comparison.set]\n"budget.epochs" = 7\n"augment.flip" = false\n')
    )
    for key in ("a", "b"):
        recipe = suite.recipe_of(suite.comparison[0], key)
        assert recipe.budget.epochs == 7 and not recipe.augment.flip
    suite = load_suite(write(tmp_path, GOOD + '[comparison.set]\n"budget.epoch" = 7\n'))
    with pytest.raises(InputError, match='unknown key "budget.epoch"; did you mean "epochs"'):
        suite.recipe_of(suite.comparison[0], "a")


def test_a_table_changes_what_it_names_and_leaves_the_rest(tmp_path):
    """A key without quotes is a table to TOML."""
    base = load_recipe("tutorial")
    for own in ({"augment": {"flip": True}}, {"augment.flip": True}):
        changed = override(base, own, where="here")
        assert changed.augment.flip and not base.augment.flip
        assert changed == base.model_copy(update={"augment": changed.augment})
        assert changed.augment.model_copy(update={"flip": False}) == base.augment
    path = write(tmp_path, GOOD + "[comparison.set]\naugment.flip = false\n")
    suite = load_suite(path, ("models.a.set.augment.pad=1",))
    recipe, plain = suite.recipe_of(suite.comparison[0], "a"), load_recipe(suite.comparison[0].recipe)
    assert (recipe.augment.flip, recipe.augment.pad) == (False, 1)
    assert recipe.augment.model_copy(update={"flip": True, "pad": plain.augment.pad}) == plain.augment
    # Where there is no such table yet, it is a whole one.
    distill = {"teacher": "b", "kind": "soft", "by": "class"}
    assert override(load_recipe("scratch"), {"distill": distill}, where="here").distill.teacher == "b"


def test_every_recipe_and_trial_of_a_shipped_suite_can_be_counted():
    for name in suite_names():
        assert len(set(trials_of(load_suite(name)))) == len(trials_of(load_suite(name)))


def test_the_order_of_settings_makes_no_other_suite(tmp_path):
    path, settings = write(tmp_path, GOOD), ("recipe.budget.epochs=3", "delta=0.02")
    one, other = load_suite(path, settings), load_suite(path, settings[::-1])
    assert one.name == other.name and fingerprint(one) == fingerprint(other)
    assert fingerprint(load_suite(path, settings[:1])) != fingerprint(one)


def test_settings_make_a_variant_with_a_name_of_its_own(tmp_path):
    path = write(tmp_path, GOOD)
    one, same, other = (
        load_suite(path, (text,))
        for text in ("recipe.budget.epochs=3", "recipe.budget.epochs = 3", "recipe.budget.epochs=4")
    )
    assert one.name == same.name != other.name and one.name.startswith("mine+")
    assert one.recipe_of(one.comparison[0], "a").budget.epochs == 3
    assert load_suite(path).name == "mine"
    assert load_suite(path, ("comparison.precision=bf16",)).comparison[0].precision == "bf16"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("recipe.budget.epoch=3", '"recipe.budget.epochs"'),
        ("recipe.budget.epochs=three", "epochs"),
        ("recipe.title=Mine", 'key "title": belongs to the file of a recipe'),
        ("recipe.protocol=tuned", 'key "protocol": belongs to the file'),
        ("dleta=0.1", '"delta"'),
        ("delta", "key=value"),
        ("models.aa.model=resnet18", 'nothing compares "aa"'),
        ("recipe=finetune", "as in comparison.recipe=finetune"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path, setting, words):
    with pytest.raises(InputError, match=words):
        suite = load_suite(write(tmp_path, GOOD), (setting,))
        suite.recipe_of(suite.comparison[0], "a")


PROBE = 'recipe = "linear-probe"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[2,",
            '[2]\nset = { "optimizer.momentum" = 0.5 }\n# [',
            'comparison "c": set: "optimizer.momentum"',
        ),
        (
            'digits" }\nb',
            'digits", set = { "optimizer.momentum" = 0.5 } }\nb',
            'model "a": set: .*only .*sgd',
        ),
        ('digits" }\nb', f'digits", {PROBE}, set = {{ "label_smoothing" = 0.1 }} }}\nb', "trains no network"),
    ],
)
def test_a_setting_that_changes_nothing_is_told(tmp_path, old, new, words):
    assert old in GOOD
    assert trials_of(load_suite(write(tmp_path, GOOD)))
    with pytest.raises(InputError, match=words):
        trials_of(load_suite(write(tmp_path, GOOD.replace(old, new))))


def test_a_setting_of_all_is_kept_where_it_changes_one(tmp_path):
    load_suite(write(tmp_path, GOOD), ("recipe.schedule.warmup=0.2",)).check_recipes()
    with pytest.raises(InputError, match='--set recipe: "optimizer.momentum" changes nothing'):
        load_suite(write(tmp_path, GOOD), ("recipe.optimizer.momentum=0.5",)).check_recipes()
    sgd = GOOD.replace('digits" }\nb', 'digits", set = { "optimizer.name" = "sgd" } }\nb')
    for settings in ((), ("recipe.optimizer.momentum=0.5",)):
        load_suite(write(tmp_path, sgd), settings).check_recipes()
    smoothed = GOOD.replace('digits" }\nb', 'digits", set = { "label_smoothing" = 0.1 } }\nb')
    block = (
        GOOD[GOOD.index("[[comparison]]") :].replace('"c"', '"probed"').replace('"scratch"', '"linear-probe"')
    )
    load_suite(write(tmp_path, smoothed + block)).check_recipes()
    both = sgd.replace("[2,", '[2]\nset = { "optimizer.momentum" = 0.5 }\n# [')
    load_suite(write(tmp_path, both)).check_recipes()


def test_a_setting_changes_the_recipes_that_have_its_key(tmp_path):
    path = write(tmp_path, GOOD + '[models.p]\nmodel = "vit_digits"\nrecipe = "linear-probe"\n')
    suite = load_suite(path, ("recipe.budget.epochs=2",))
    comparison = suite.comparison[0]
    assert suite.recipe_of(comparison, "a").budget.epochs == 2
    assert suite.recipe_of(comparison, "p") == load_recipe("linear-probe")


def test_a_key_that_the_recipe_lacks_is_told(tmp_path):
    recipe = load_recipe("linear-probe")
    for key, words in (
        ("budget.epochs", r"has no \[budget\]"),
        ("probe.fold", 'did you mean "folds"'),
        ("?probe.folds", r'unknown key "\?probe"; did you mean "probe"'),
    ):
        with pytest.raises(InputError, match=f"here.*{words}"):
            override(recipe, {key: 2}, where="here")


def test_full_holds_both_suites_once():
    full, parts = load_suite("full"), [load_suite("flowers102"), load_suite("cifar100")]
    assert [c.name for c in full.comparison] == [c.name for part in parts for c in part.comparison]
    assert full.models == {**parts[0].models, **parts[1].models}


def test_unknown_names_offer_the_nearest():
    with pytest.raises(InputError, match='no suite "qick"; did you mean "quick"'):
        load_suite("qick")
    with pytest.raises(InputError, match='no recipe "fine-tune"; did you mean "finetune"'):
        load_recipe("fine-tune")


@pytest.mark.parametrize(
    ("budget", "images", "steps"),
    [
        (Budget(epochs=3, batch_size=32), 100, (9, 3)),
        (Budget(epochs=3, batch_size=32, min_steps=10), 100, (12, 3)),
        (Budget(epochs=2, batch_size=32, min_steps=5), 20, (5, 1)),
    ],
)
def test_budget_is_epochs_with_a_minimum_of_steps(budget, images, steps):
    assert budget.steps(images) == steps


def test_a_contestant_overrides_the_comparison_and_the_command_line_both(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        """
title = "own"
description = "for tests"
[models]
short = { model = "vit_digits" }
long = { model = "vit_digits", set = { "budget.epochs" = 50 } }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["short", "long"]
recipe = "scratch"
input_size = 16
[comparison.set]
"budget.epochs" = 10
"budget.batch_size" = 8
"""
    )
    budgets = {}
    for settings in ((), ("recipe.budget.epochs=1",)):
        suite = load_suite(str(path), settings)
        budgets[settings] = [suite.recipe_of(suite.comparison[0], key).budget for key in ("short", "long")]
    assert [budget.epochs for budget in budgets[()]] == [10, 50]
    assert {budget.batch_size for budget in budgets[()]} == {8}
    assert [budget.epochs for budget in budgets["recipe.budget.epochs=1",]] == [1, 1]
    path.write_text(path.read_text().replace('"budget.epochs" = 50', '"budget.epoch" = 50'))
    suite = load_suite(str(path))
    with pytest.raises(InputError, match='own: model "long": set.*budget.epoch"'):
        suite.recipe_of(suite.comparison[0], "long")


def test_replicates_are_a_number_or_as_many_as_decide(tmp_path):
    def comparison(replicates):
        text = GOOD.replace("input_size", f"replicates = {replicates}\ninput_size")
        return load_suite(write(tmp_path, text)).comparison[0]

    five = comparison(5)
    assert (five.replicates.start, five.replicates.looks) == (5, ()) and five.model_dump()["replicates"] == 5
    table = comparison('{ start = 3, until = "decided", max = 20 }')
    assert table.replicates.looks == (3, 5, 8, 12, 18, 20)
    assert table.model_dump()["replicates"] == {"start": 3, "until": "decided", "max": 20}
    assert comparison('{ until = "decided", max = 3 }') == comparison(3)


def test_the_suite_in_the_guide_is_one(tmp_path):
    guide = (Path(__file__).parents[2] / "docs/fair-comparison.md").read_text(encoding="utf-8")
    block = re.search(r"\n((?:    .*\n|\n)+)", guide[guide.index("## Tuned") :].partition("all of them:")[2])[
        1
    ]
    (tmp_path / "mine.toml").write_text('title = "t"\ndescription = "d"\n' + textwrap.dedent(block))
    suite = load_suite(str(tmp_path / "mine.toml"))
    trials = trials_of(suite)
    assert {trial.contestant for trial in trials} == {"vit", "deit", "resnet"}
    assert all(trial.tuned for trial in trials)
    assert next(trial for trial in trials if trial.contestant == "deit").teacher.contestant == "resnet"
