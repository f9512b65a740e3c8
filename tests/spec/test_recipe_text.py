"""A recipe as a file: what is written is read back as the same."""

import tomllib

import pytest

from bench.errors import InputError
from bench.spec.overrides import override
from bench.spec.recipe import load_recipe, recipe_names
from bench.spec.recipe_text import recipe_toml

OTHERWISE = {
    "val_times": 3,
    "keep": "best-val",
    "head_outputs": 1000,
    "drop_path": 0.2,
    "label_smoothing": 0.0,
}


@pytest.mark.parametrize("name", recipe_names())
def test_the_written_file_is_the_recipe(name, tmp_path):
    recipe = load_recipe(name).model_copy(update={"expected": 'with "quotes", ± and #'})
    path = tmp_path / f"{name}.toml"
    path.write_text(recipe_toml(recipe), encoding="utf-8")
    again = load_recipe(str(path))
    assert again.identity() == recipe.identity()
    assert (again.title, again.protocol, again.expected) == (recipe.title, recipe.protocol, recipe.expected)


def test_what_differs_from_the_recipe_that_comes_with_vcbench_says_so(tmp_path):
    base = load_recipe("scratch")
    own = override(base, {"budget.epochs": 3, "augment.randaugment": {"ops": 1}}, where="here")
    text = recipe_toml(own, base)
    changed = [line for line in text.splitlines() if "  # scratch: " in line]
    assert len(changed) == 2 and "epochs = 3  # scratch: 100" in changed
    path = tmp_path / "own.toml"
    path.write_text(recipe_toml(override(own, OTHERWISE, where="here"), base))
    again = load_recipe(str(path)).model_dump(mode="json")
    assert {key: again[key] for key in OTHERWISE} == OTHERWISE
    assert tomllib.loads(text)["augment"]["randaugment"]["ops"] == 1
    assert "  # " not in recipe_toml(base, base)


def test_parts_of_a_batch_are_no_larger_than_it_and_no_news_without():
    base = load_recipe("scratch")
    assert "micro_batch" not in base.identity()["budget"]
    parts = override(base, {"budget.micro_batch": 16}, where="here")
    assert parts.identity() != base.identity() and parts.identity()["budget"]["micro_batch"] == 16
    with pytest.raises(InputError, match="micro_batch should be at most batch_size, 8, not 16"):
        override(base, {"budget.micro_batch": 16, "budget.batch_size": 8}, where="here")
