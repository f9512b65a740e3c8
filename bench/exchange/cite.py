"""A suite's results as sentences to cite: LaTeX, Markdown, or metadata of a model card."""

import hashlib
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.analysis.contrasts import Finding, primary_pairs
from bench.analysis.flags import Flag
from bench.errors import InputError, did_you_mean
from bench.exchange.sentences import largest_measured, statement, trained_how, trained_on
from bench.report.cells import Cell
from bench.report.citation import AUTHORS, HASH_DIGITS, RELEASED, TITLE, Citation, results_hash
from bench.report.evidence import Evidence, gather
from bench.report.manifest import read_manifest
from bench.report.measured import headline_rows, trusted
from bench.report.row_text import rate, row_notes
from bench.report.text import counted, percent, size_phrase
from bench.report.writers.escape import latex
from bench.report.writers.markdown import escape
from bench.spec.suite import suite_argument

if TYPE_CHECKING:
    from bench.store.run_store import RunStore


def citation(store: "RunStore", suite: str, report: Path | None = None) -> Citation:
    """What to cite of a suite.

    Args:
        report: the folder of a rendered report, whose hash is to be in the reference.

    Raises:
        InputError: the store does not know the suite, nothing of it was measured, or no report of it.
    """
    evidence = _measured(store, suite)
    sentences = list(_contrasts(evidence)) or list(_accuracies(evidence)) or list(_speeds(evidence))
    return Citation(
        suite, results_hash(evidence), tuple(sentences), report_hash(report, suite) if report else None
    )


def report_hash(folder: Path, suite: str) -> str:
    """The first digits of the SHA-256 of a report's MANIFEST.json, or of its page where it has none.

    Raises:
        InputError: there is no report, or it is another suite's.
    """
    manifest = folder / "MANIFEST.json"
    of = read_manifest(manifest).get("suite", suite) if manifest.is_file() else suite
    if of != suite:
        raise InputError(f"--report {folder}: is the report of {of}, not of {suite}")
    for name in ("MANIFEST.json", "index.html"):
        if (folder / name).is_file():
            return hashlib.sha256((folder / name).read_bytes()).hexdigest()[:HASH_DIGITS]
    raise InputError(
        f"--report {folder}: no report here; make one with: "
        f"vcbench report {shlex.quote(suite)} --out {shlex.quote(str(folder))}"
    )


def to_latex(cited: Citation) -> str:
    """A sentence a line, each with the citation of `to_bibtex`."""
    return "".join(
        f"{latex(sentence).removesuffix('.')}~\\cite{{{cited.key}}}.\n" for sentence in cited.sentences
    )


def to_markdown(cited: Citation) -> str:
    """The sentences, and the reference below them."""
    reference = f"{AUTHORS} ({RELEASED[:4]}). {TITLE}. {cited.note}."
    return "\n\n".join(map(escape, [*cited.sentences, reference])) + "\n"


def to_model_index(store: "RunStore", suite: str, model: str | None = None) -> str:
    """The `model-index` of the hub's model cards, as YAML for the head of a README.

    Args:
        model: one contestant; all of them otherwise.

    Raises:
        InputError: as `citation`, or the suite has no such contestant.
    """
    from huggingface_hub.repocard_data import eval_results_to_model_index
    from huggingface_hub.utils import yaml_dump

    evidence = _measured(store, suite)
    if not evidence.trains:
        raise InputError(f"--format model-index: {suite} trains nothing, and this form holds accuracies")
    contestants = evidence.suite.contestants
    if model is not None and model not in contestants:
        raise InputError(f'--model {model}: no model "{model}" in {suite}{did_you_mean(model, contestants)}')
    digest = results_hash(evidence)
    entries = []
    for key in contestants if model is None else [model]:
        results = [_eval_result(evidence, cell, digest) for cell in _done(evidence) if cell.contestant == key]
        if results:
            entries += eval_results_to_model_index(contestants[key].title, results)
    if not entries:
        raise InputError(f"--model {model}: nothing of it was measured in {suite}")
    return yaml_dump({"model-index": entries})


def _eval_result(evidence: Evidence, cell: Cell, digest: str) -> Any:
    """One cell. Results on one dataset share an entry, so that what tells them apart stands in the metric."""
    from huggingface_hub import EvalResult

    data = evidence.records[cell.runs[0]].data
    score = cell.scores["top1"]
    return EvalResult(
        task_type="image-classification",
        dataset_type=data.dataset,
        dataset_name=cell.split,
        dataset_config=data.split_id,
        dataset_split="test",
        metric_type="accuracy",
        metric_value=round(float(score.mean), 6),
        metric_name=f"top-1 accuracy, {_size(cell)}, recipe {cell.recipe}, "
        f"mean of {counted(score.n, 'replicate')}",
        metric_args={
            "shots": "all" if cell.shots is None else cell.shots,
            "comparison": cell.comparison,
            "recipe": cell.recipe,
            "protocol": cell.protocol,
            "replicates": score.n,
            "standard_deviation": round(float(score.sd), 6) if score.n > 1 else None,
            "notes": cell.notes_of_sentence,
            "vcbench": __version__,
            "results": digest,
        },
    )


def _contrasts(evidence: Evidence) -> Iterator[str]:
    """A sentence for each primary contrast, on the largest subset that was measured, as the answer has it."""
    for group in primary_pairs(evidence.findings):
        both = [finding for finding in group if len(_own_cells(evidence, finding)) == 2]
        if not both:
            continue
        start, head = trained_how(evidence.suite, both[0].pair.comparison), largest_measured(both)
        largest = max(both, key=lambda f: f.images_per_class)
        if head.images_per_class < largest.images_per_class or head.result is None:
            yield f"{start}, {_unpaired(evidence, largest)}."
            continue
        notes = [str(note) for note in head.flags if note.flag is not Flag.FEW_PAIRS]
        basis = [f"split {head.split_id}", counted(head.result.replicates, "replicate"), *notes]
        yield f"{start}, {statement(head)} ({'; '.join(basis)})."


def _own_cells(evidence: Evidence, finding: Finding) -> list[Cell]:
    """The cells of both models of a contrast, of those that have a run."""
    pair = finding.pair
    cells = {(cell.comparison, cell.contestant, cell.shots): cell for cell in _done(evidence)}
    both = [(pair.comparison, key, pair.shots) for key in (pair.a, pair.b)]
    return [cells[key] for key in both if key in cells]


def _unpaired(evidence: Evidence, finding: Finding) -> str:
    both = list(zip(_own_cells(evidence, finding), finding.titles, strict=True))
    a, b = (f"{title} reaches {percent(cell.scores['top1'].mean)} %" for cell, title in both)
    why = [f"{title} was not trained: {cell.untrained}" for cell, title in both if cell.untrained]
    notes = "; ".join(["not paired", "no interval, no verdict", *why])
    return f"trained on {trained_on(finding)}, {a} and {b} ({notes})"


def _accuracies(evidence: Evidence) -> Iterator[str]:
    """A sentence for each contestant, on the largest subset of each comparison it was measured on."""
    for cell in {(cell.comparison, cell.contestant): cell for cell in _done(evidence)}.values():
        mean, spread = cell.scores["top1"].as_percent()
        runs = counted(cell.scores["top1"].n, "replicate")
        shown = f"{mean} ± {spread} %" if spread else f"{mean} %"
        basis = f"mean and standard deviation of {runs}" if spread else runs
        notes = "; ".join([basis, *cell.notes_of_sentence])
        yield f"{_where(cell)}, {cell.title} reaches {shown} top-1 accuracy ({notes})."


def _speeds(evidence: Evidence) -> Iterator[str]:
    """A sentence for each model on each device: inference as trained, at the largest batch of the suite."""
    for platform, headline in product(evidence.platforms, evidence.headlines):
        if headline.mode != "infer":
            continue
        comparable = headline_rows(platform, "speed", headline, batch_sizes=[headline.batch_size])
        if comparable is None:
            continue
        for row in trusted(comparable.rows).to_dict("records"):
            title, images_per_s = evidence.titles[row["model"]], rate(row["images_per_s"])
            interval = f"{rate(row['images_per_s_low'])} to {rate(row['images_per_s_high'])}"
            notes = "; ".join([f"95 % interval {interval}", comparable.setting, *row_notes(row)])
            yield f"On the {platform.name}, {title} reaches {images_per_s} images/s ({notes})."


def _measured(store: "RunStore", suite: str) -> Evidence:
    evidence = gather(store, suite)
    if not (evidence.records if evidence.trains else evidence.profiles):
        raise InputError(
            f"{store.root}: nothing of {suite} was measured yet; run it: vcbench run {suite_argument(suite)}"
        )
    return evidence


def _done(evidence: Evidence) -> list[Cell]:
    return [cell for cell in evidence.cells if cell.runs]


def _where(cell: Cell) -> str:
    return f"In {cell.comparison} on {cell.split}, trained on {_size(cell)}"


def _size(cell: Cell) -> str:
    if cell.shots is None:
        return "all training images"
    return size_phrase(cell.shots)
