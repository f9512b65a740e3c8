"""The guides: their links lead somewhere, their commands exist, and their example computes what it says."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

from bench.analysis.statistics import ends, parts
from bench.cli.verbs import app
from bench.spec.claim import load_claims

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_that_are_shown(page):
    """Blocks and text alike: each `vcbench VERB --option`."""
    verbs = typer.main.get_command(app).commands
    for line in re.findall(r"\bvcbench ([a-z][^`\n#&;)]*)", page.read_text(encoding="utf-8")):
        verb, *words = shlex.split(line)
        command = verbs[verb]
        if hasattr(command, "commands"):
            command = command.commands[words[0]]
        known = {name for option in command.params for name in option.opts} | {"--help", "--json"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line


def test_the_example_of_the_statistics():
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)
    assert (names["low"], names["high"]) == pytest.approx(np.array(ends(parts(names["difference"]))))


def test_the_guide_to_claims_says_what_their_files_say():
    text = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    for part, claim in zip(parts, load_claims(), strict=True):
        assert part.startswith(f"{claim.number}. {claim.sentence}\n") and f"`{claim.name}`" in part
        said = (claim.source, claim.estimand, claim.control, claim.missing)
        assert [words for words in said if words not in part] == []
        rows = [f"| {one.name} | {one.expect} than {one.than:g} |" for one in claim.evidence]
        assert [line for line in part.splitlines() if " than " in line and line[0] == "|"] == rows
