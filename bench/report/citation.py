"""How a suite's results are cited: version, a hash of all its numbers, and the entry of a bibliography."""

import hashlib
from dataclasses import dataclass

from bench import __version__
from bench.files import canonical, slug
from bench.report.evidence import Evidence
from bench.report.writers.escape import latex

# As in CITATION.cff, which is not part of an installed package; a test holds them together.
TITLE = "VCBench: evidence for choosing between Vision Transformers and CNNs"
AUTHORS = "The VCBench developers"
RELEASED = "2026-11-25"

HASH_DIGITS = 16


@dataclass(frozen=True)
class Citation:
    """A suite's results as they are cited: a hash of all its numbers, and what they say in sentences."""

    suite: str
    results_hash: str
    sentences: tuple[str, ...]
    report_hash: str | None = None

    @property
    def key(self) -> str:
        """The entry's name in a bibliography."""
        return f"vcbench-{slug(self.suite)}-{__version__}"

    @property
    def note(self) -> str:
        """Version, suite and hash as a sentence."""
        report = f", report {self.report_hash}" if self.report_hash else ""
        return f"Version {__version__}, suite {self.suite}, results {self.results_hash}{report}"


def results_hash(evidence: Evidence) -> str:
    """The first digits of a SHA-256 over every run of the suite: its id, outcome and metrics.

    Of a suite that trains nothing, over the records of all its profiles.
    """
    if evidence.trains:
        runs = [
            {"id": run, "outcome": record.outcome, "metrics": record.metrics.content()}
            for run, record in sorted(evidence.records.items())
        ]
    else:
        runs = [one.content() for one in sorted(evidence.profiles, key=lambda one: one.id)]
    return hashlib.sha256(canonical([evidence.name, runs]).encode()).hexdigest()[:HASH_DIGITS]


def to_bibtex(cited: Citation) -> str:
    """One entry, for BibTeX and biblatex alike."""
    fields = {
        "author": f"{{{latex(AUTHORS)}}}",
        "title": f"{{{latex(TITLE)}}}",
        "year": RELEASED[:4],
        "version": latex(__version__),
        "note": latex(cited.note),
    }
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{cited.key},\n{body}\n}}\n"


def bibliography(evidence: Evidence) -> str:
    """The report's own cite.bib: what `vcbench cite SUITE --format bibtex` prints."""
    return to_bibtex(Citation(evidence.name, results_hash(evidence), ()))
