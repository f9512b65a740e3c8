"""From the run store to the files of a report."""

from pathlib import Path

import bench
from bench.errors import InputError
from bench.files import staged, write_bytes, write_json, write_text
from bench.frames import for_csv
from bench.report.blocks import Figure
from bench.report.citation import bibliography
from bench.report.commands import RerunCommands
from bench.report.document import APPENDIX, Document, Header
from bench.report.evidence import Evidence, gather
from bench.report.examples import Pictures, with_examples
from bench.report.index import summary
from bench.report.manifest import listed_files, manifest
from bench.report.sections import sections_of
from bench.report.sections.measured_cost import measured_on
from bench.report.style import house_style
from bench.report.text import NOT_MEASURED, count, listed, span, split_label
from bench.report.writers.csv import to_csv
from bench.report.writers.html import to_html
from bench.report.writers.latex import latex_tables
from bench.report.writers.macros import latex_macros
from bench.report.writers.markdown import to_markdown
from bench.store.run_store import RunStore


def render(
    store: RunStore,
    suite_name: str,
    out_dir: Path,
    pictures: Pictures | None = None,
    *,
    for_paper: bool = False,
) -> list[Path]:
    """Write the report on one suite; returns the files.

    index.html with appendix.html, and report.md with appendix.md, for readers; figures/ as SVG with the
    numbers behind each as CSV; tables/ as CSV; cite.bib, and MANIFEST.json with what it says in short, and
    the hashes of all files and of the records they were made from. What an earlier rendering left in the
    folder, by its manifest, and this one does not have is removed.

    Args:
        pictures: reads test images, of which examples are to be shown; none are without it.
        for_paper: also write figures as PDF and PNG, tables for LaTeX, and numbers.tex with macros.

    Raises:
        InputError: the store does not know the suite; the folder's MANIFEST.json or index.html is not of a
            report.
        StoreError: the store cannot be read or the folder not written.
    """
    out_dir = Path(out_dir)
    _refuse_other_page(out_dir / "index.html")
    evidence, earlier = gather(store, suite_name), listed_files(out_dir)
    with house_style():
        page, appendix = sections_of(evidence)
        if pictures:
            appendix = with_examples(evidence, appendix, pictures)
    document = Document(header_of(evidence), page, appendix, RerunCommands(evidence).commands)
    written = [
        path
        for figure in document.figures
        for path in _write_figure(figure, out_dir / "figures", for_paper=for_paper)
    ]
    texts = {
        "index.html": to_html(document),
        "appendix.html": to_html(document, APPENDIX),
        "report.md": to_markdown(document),
        "appendix.md": to_markdown(document, APPENDIX),
        **{f"tables/{table.name}.csv": to_csv(table) for table in document.tables},
        "cite.bib": bibliography(evidence),
    }
    if for_paper:
        texts |= {f"tables/{name}.tex": text for name, text in latex_tables(document).items()}
        texts["numbers.tex"] = latex_macros(evidence, document.header)
    for name, text in texts.items():
        write_text(out_dir / name, text)
        written.append(out_dir / name)
    about = {"summary": summary(evidence, document)}
    write_json(out_dir / "MANIFEST.json", manifest(evidence, out_dir, written) | about)
    for stale in earlier - set(written):
        stale.unlink(missing_ok=True)
    return [*written, out_dir / "MANIFEST.json"]


def _refuse_other_page(path: Path) -> None:
    """Refuse to write over a page that is none of ours.

    Raises:
        InputError: there is one.
    """
    if path.is_file() and b"VCBench" not in path.read_bytes():
        raise InputError(f"{path}: is there already, and is no page of a report; choose another folder")


def header_of(evidence: Evidence) -> Header:
    """Title, description and the facts that a reader needs first."""
    suite, done = evidence.suite, evidence.done.drop_duplicates("run")
    planned = suite.planned
    diverged = int((done["outcome"] == "diverged").sum())
    trials = f"{count(len(done))} of {count(planned)} done"
    missing = planned - len(done)
    trials += f", {count(missing)} missing" if missing else ", none missing"
    trials += f", {count(diverged)} diverged" if diverged else ", none diverged"
    titles = [suite.contestants[key].title for key in evidence.styles]
    models = dict.fromkeys(titles or (evidence.titles[model] for model in evidence.model_styles))
    data = dict.fromkeys(split_label(c.dataset, c.split_id) for c in suite.comparisons)
    compared = [one for one in evidence.platforms if measured_on(evidence, one)] or evidence.platforms
    rows = [done, *(table for platform in compared for table in platform.tables.values())]
    machines, torch, ran = (
        sorted({value for table in rows for value in table[column].dropna()})
        for column in ("machine", "torch", "finished")
    )
    ran = ran or [one.finished for one in evidence.profiles if one.finished]
    facts = (
        ("Models", listed(list(models))),
        ("Data", listed(list(data)) or "none"),
        ("Trials", trials if evidence.trains else "none: this suite trains nothing"),
        ("Cost profiles", count(len(evidence.cost)) if len(evidence.cost) else NOT_MEASURED),
        ("Machines", listed(machines) or NOT_MEASURED),
        ("Dates", span(day[:10] for day in ran)),
        ("Versions", f"VCBench {bench.__version__}" + (f", torch {listed(torch)}" if torch else "")),
    )
    return Header(evidence.name, suite.title, suite.description, facts)


def _write_figure(figure: Figure, folder: Path, *, for_paper: bool) -> list[Path]:
    paths = [folder / f"{figure.name}{suffix}" for suffix in (".svg", ".csv")]
    write_text(paths[0], figure.svg)
    with staged(paths[1]) as part:
        for_csv(figure.data).to_csv(part, index=False, lineterminator="\n")
    if for_paper:
        for suffix, content in ((".png", figure.png), (".pdf", figure.pdf)):
            paths.append(folder / f"{figure.name}{suffix}")
            write_bytes(paths[-1], content)
    return paths
