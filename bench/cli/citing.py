"""vcbench cite: a suite's results for papers and model cards."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DEFAULT_RESULTS, Results, SuiteName, existing_store, suite_stem
from bench.errors import InputError, did_you_mean

FORMATS = ("bibtex", "latex", "markdown", "model-index")


def cite(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    form: Annotated[
        str, typer.Option("--format", help="bibtex, latex, markdown or model-index.")
    ] = "markdown",
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="A rendered report, whose hash joins the reference."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="model-index: of this model of the suite only."),
    ] = None,
) -> None:
    """Print how to cite a suite's results: this version, a hash of the numbers, and what they say.

    bibtex is the entry; latex are sentences that cite it; markdown has both; model-index is the YAML for the
    head of a model card on the Hugging Face hub. The sentences are the primary contrasts, each on the
    largest subset that was measured.

    Example: vcbench cite quick --format bibtex >> paper.bib
    """
    from bench.exchange.cite import citation, to_latex, to_markdown, to_model_index
    from bench.report.citation import to_bibtex
    from bench.store.run_store import RunStore

    if form not in FORMATS:
        raise InputError(f"--format {form}: should be {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
    if model is not None and form != "model-index":
        raise InputError(f"--model {model}: only --format model-index is of one model")
    store = RunStore(existing_store(results))
    name = suite_stem(suite)
    if form == "model-index":
        print(to_model_index(store, name, model), end="")
        return
    write = {"bibtex": to_bibtex, "latex": to_latex, "markdown": to_markdown}[form]
    print(write(citation(store, name, report)), end="")
