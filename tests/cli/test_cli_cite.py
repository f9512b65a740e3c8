"""vcbench cite: the numbers, the version, and text from outside in every format."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from console import told, vcbench
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from small_store import run_id, write_store

import bench
from bench.analysis.decisions import PairedScores, judge
from bench.report.citation import AUTHORS, RELEASED, TITLE

ROOT = Path(__file__).parents[2]
AWKWARD = {"vit": r"<script>alert(1)</script> {x} \dag \\", "resnet": '100%_of & more: #1 ~^$ "q" |'}


def rows(share, replicates=3, seed=0):
    return np.random.default_rng(seed).random((replicates, 400)) < share


@pytest.fixture
def right():
    """The answers of both models on 5 images per class and on all."""
    return {
        ("vit", 5): rows(0.6),
        ("resnet", 5): rows(0.7, seed=1),
        ("vit", None): rows(0.8, seed=2),
        ("resnet", None): rows(0.95, seed=3),
    }


def read_yaml(text, folder):
    """As the hub reads the head of a model card."""
    (folder / "README.md").write_text(f"---\n{text}---\n")
    return metadata_load(folder / "README.md")


def cited(store, *arguments):
    ran = vcbench("cite", "small", "--results", store, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_this_package_and_its_citation_file_agree(tmp_path):
    citation = read_yaml((ROOT / "CITATION.cff").read_text(), tmp_path)
    assert citation["title"] == TITLE and citation["version"] == bench.__version__
    assert str(citation["date-released"]) == RELEASED
    assert [author["name"] for author in citation["authors"]] == [AUTHORS]


def test_a_sentence_has_the_numbers_of_its_contrast(tmp_path, right):
    text = cited(write_store(tmp_path / "s", right))
    cells = [PairedScores((right["vit", n], right["resnet", n]), "main") for n in (5, None)]
    found = judge(cells, delta=0.01)[1]
    numbers = [f"{100 * value:.1f}".replace("-", "\u2212") for value in (found.low, found.high)]
    assert f"(95 % interval {numbers[0]} to {numbers[1]}); ResNet-18 is better" in text
    assert f"ViT-Ti/4 reaches {100 * right['vit', None].mean():.1f} % and ResNet-18 " in text
    assert "split frozen; 3 replicates" in text
    assert f"Version {bench.__version__}, suite small, results " in text


def test_the_reference_changes_with_the_numbers_only(tmp_path, right):
    one, other = (write_store(tmp_path / name, right) for name in "ab")
    assert cited(one, "--format", "bibtex") == cited(other, "--format", "bibtex")
    right["vit", 5][0, 0] ^= True
    changed = write_store(tmp_path / "c", right)
    assert cited(one, "--format", "bibtex") != cited(changed, "--format", "bibtex")


def test_the_hash_of_a_report(tmp_path, right):
    store = write_store(tmp_path / "s", right)
    told(
        vcbench("cite", "small", "--results", store, "--report", tmp_path), "--report", "vcbench report small"
    )
    (tmp_path / "index.html").write_text("page")
    of_page = cited(store, "--report", tmp_path)
    (tmp_path / "MANIFEST.json").write_text("{}")
    of_manifest = cited(store, "--report", tmp_path)
    assert "report 44136fa355b3678a" in of_manifest and of_page != of_manifest
    (tmp_path / "MANIFEST.json").write_text('{"suite": "quick"}')
    told(
        vcbench("cite", "small", "--results", store, "--report", tmp_path),
        f"--report {tmp_path}", "report of quick, not of small",
    )  # fmt: skip


def test_too_few_replicates_claim_nothing(tmp_path, right):
    few = {key: table[:2] for key, table in right.items()}
    text = cited(write_store(tmp_path / "s", few))
    assert "too few for an interval or a verdict" in text and "95 %" not in text


def test_a_diverged_run_stands_beside_the_number(tmp_path, right):
    text = cited(write_store(tmp_path / "s", right, diverged=(run_id("vit", None, 0),)))
    assert "1 of 3 runs of ViT-Ti/4 diverged, at chance" in text
    expected = (right["vit", None][1:].mean() * 2 + 0.1) / 3
    assert f"ViT-Ti/4 reaches {100 * expected:.1f} %" in text


def test_runs_on_other_images_are_not_paired(tmp_path, right):
    store = write_store(tmp_path / "s", right)
    write_store(tmp_path / "o", {("resnet", None): right["resnet", None][:, :300]}, fingerprint="e" * 64)
    for replicate in range(3):
        run = f"runs/{run_id('resnet', None, replicate)}"
        shutil.copytree(tmp_path / "o" / run, store / run, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "o" / "labels", store / "labels", dirs_exist_ok=True)
    assert "not paired; no interval, no verdict" in cited(store)


def test_a_sentence_says_where_it_holds_and_what_is_not_matched(tmp_path, right):
    store = write_store(tmp_path / "s", right)
    cost = store / "profiles" / f"c{0:015d}" / "record.json"
    cost.write_text(json.dumps(json.loads(cost.read_text()) | {"flops": 6_000_000_000}))
    text = cited(store)
    assert text.startswith("On digits, from random weights, trained on all training images (50 per class), ")
    assert "ViT-Ti/4 costs 3.0 times the FLOPs" in text


def test_a_difference_that_rounds_to_nothing_has_no_sign(tmp_path):
    half = np.tile(np.arange(6000) < 3000, (3, 1))
    worse = half.copy()
    worse[0, 0] = False
    text = cited(write_store(tmp_path / "s", {("vit", 5): worse, ("resnet", 5): half}))
    assert ": 0.0 points (95 % interval " in text


def test_an_interval_ends_where_differences_do(tmp_path):
    most = np.tile(np.arange(400) >= 2, (3, 1))
    text = cited(write_store(tmp_path / "s", {("vit", 5): most, ("resnet", 5): ~most}))
    # 99.5 % and 0.5 %: no difference is larger than that one of them stays and the other is 0 or 1.
    assert "to +99.5); nothing follows" in text  # as 0.5 % is below chance


@pytest.mark.parametrize("form", ["bibtex", "latex"])
def test_latex_is_escaped(tmp_path, right, form):
    text = cited(write_store(tmp_path / "s", right, titles=AWKWARD), "--format", form)
    plain = re.sub(r"\\[%&#_$,]|\\text[a-z]+\{\}|\{\\char34\}|\$\\pm\$|\$-\$|~?\\cite\{[^}]*\}", "", text)
    if form == "latex":
        assert not set(plain) & set("\\{}$&#_%~^<>|"), plain
        assert r"100\%\_of \& more" in text and r"\textless{}script\textgreater{}" in text
    assert text.count("{") == text.count("}")


def test_bibtex_has_one_entry_whose_key_latex_cites(tmp_path, right):
    store = write_store(tmp_path / "s", right)
    (key,) = re.findall(r"@misc\{([^,]+),", cited(store, "--format", "bibtex"))
    assert f"\\cite{{{key}}}" in cited(store, "--format", "latex")


def test_markdown_is_escaped(tmp_path, right):
    text = cited(write_store(tmp_path / "s", right, titles=AWKWARD))
    assert "<script>" not in text and "&lt;script&gt;" in text and r"100%\_of &amp; more" in text


def test_model_index_as_the_hub_reads_it(tmp_path, right):
    store = write_store(tmp_path / "s", right, titles=AWKWARD)
    text = cited(store, "--format", "model-index", "--model", "vit")
    name, results = model_index_to_eval_results(read_yaml(text, tmp_path)["model-index"])
    assert name == AWKWARD["vit"] and len(results) == 2
    for result, shots in zip(results, (5, None), strict=True):
        assert result.metric_value == pytest.approx(right["vit", shots].mean(), abs=1e-6)
        sd = right["vit", shots].mean(1).std(ddof=1)
        assert result.metric_args["standard_deviation"] == pytest.approx(sd, abs=1e-6)
        assert (result.dataset_type, result.dataset_config, result.dataset_split) == (
            "digits", "frozen", "test",
        )  # fmt: skip
        assert result.metric_args["shots"] == (shots or "all") and result.metric_args["replicates"] == 3
    card = ModelCard(f"---\n{text}---\n\n# A model\n")
    assert len(card.data.eval_results) == 2
    whole = read_yaml(cited(store, "--format", "model-index"), tmp_path)["model-index"]
    assert [entry["name"] for entry in whole] == list(AWKWARD.values())


def test_what_is_asked_for_wrongly(tmp_path, right):
    store = write_store(tmp_path / "s", right)
    told(vcbench("cite", "smal", "--results", store), '"small"')
    told(vcbench("cite", "small", "--results", store, "--format", "bibtx"), '"bibtex"')
    told(vcbench("cite", "small", "--results", store, "--model", "vit"), "model-index")
    told(vcbench("cite", "small", "--results", store, "--format", "model-index", "--model", "vitt"), '"vit"')
    told(vcbench("cite", "small", "--results", tmp_path), "no run store")
