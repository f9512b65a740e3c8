"""The table of claims on a page: each verdict leads to its figure, each count to its numbers."""

import re
from pathlib import Path

import pytest
from make_store import make_store

from bench.report.evidence import gather
from bench.report.render import render
from bench.report.sections.claims import claim_numbers, claims
from bench.spec.claim import load_claims
from bench.store.run_store import RunStore

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(make_store(tmp_path_factory.mktemp("claims") / "store", replicates=5))


def test_the_table_has_what_was_decided_and_a_line_has_the_rest(store):
    evidence = gather(store, "tiny")
    section, numbers = claims(evidence), claim_numbers(evidence)
    measured = [one for one in evidence.claims if one.estimates]
    table, undecided, absent = section.blocks
    assert len(numbers.blocks) == len(measured) > len(table.rows) > 0
    inner = {
        one.claim.number: details.blocks[-1] for one, details in zip(measured, numbers.blocks, strict=True)
    }
    decided = {one.claim.number: one for one in measured if one.verdict != "undecided"}
    for (number, one), row in zip(decided.items(), table.rows, strict=True):
        assert row[0].text.startswith(f"{number}. ") and row[1].link == one.claim.section
        assert row[3].link == f"table-{inner[number].name}"
    for one in measured:
        table = inner[one.claim.number]
        assert len(table.rows) == len(one.estimates)
        assert all(", from scratch, " in row[1].text for row in table.rows if " per class" in row[1].text)
        assert not any("1 images" in row[1].text.split(", ") for row in table.rows)
        assert set(table.runs) == {run for estimate in one.estimates for run in estimate.runs}
    told = [int(number) for text in (undecided, absent) for number in re.findall(r"\d+", text.text)]
    assert sorted([*told, *decided]) == list(range(1, 15))


def test_links_lead_somewhere(store, tmp_path):
    render(store, "tiny", tmp_path)
    pages = {name: (tmp_path / name).read_text() for name in ("index.html", "appendix.html")}
    rows = re.search(r'id="table-claims".*?</table>', pages["index.html"], re.DOTALL)[0]
    links = re.findall(r'<td[^>]*><a href="([^"]*)#([^"]+)">', rows)
    assert len(links) >= 2
    for file, anchor in links:
        assert f'id="{anchor}"' in pages[file or "index.html"]
    assert re.search(
        r"\[[^]]* numbers?[^]]*\]\(appendix\.md#table-claim-", (tmp_path / "report.md").read_text()
    )


def test_nothing_measured_no_table(tmp_path):
    every = tuple((name, shots, r) for name in ("vit", "deit", "resnet") for shots in (5,) for r in range(3))
    store = RunStore(make_store(tmp_path / "store", shots=(5,), missing=every, profiles=False))
    evidence = gather(store, "tiny")
    assert claims(evidence).blocks == () and claim_numbers(evidence) is None


def test_sections_of_claims_exist():
    """The anchors that claims lead to are those of sections."""
    texts = [path.read_text() for path in (ROOT / "bench/report/sections").glob("*.py")]
    anchors = {
        name for text in texts for name in re.findall(r'Section\.(?:of|measured)\(\s*"([a-z-]+)"', text)
    }
    assert {claim.section for claim in load_claims()} <= anchors
