"""LaTeX tables and numbers: escaped, aligned, with every number; the manifest agrees with the files."""

import hashlib
import json
import re
import shutil
import subprocess

import pytest
from pypdf import PdfReader
from report.make_store import make_store, run_id, true_top1

from bench.report.blocks import Column, Field, Section, Table
from bench.report.document import Document, Header
from bench.report.render import render
from bench.report.writers.escape import latex as escape
from bench.report.writers.latex import latex_tables
from bench.store.run_store import RunStore

NASTY = "<script>alert(1)</script> 100%_of & $more$ \\input{x} #1 ~^ {} |"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("latex")
    store = RunStore(
        make_store(
            root / "store",
            shots=(5, None),
            missing=(("vit", 5, 0), ("vit", 5, 1), ("vit", 5, 2)),
            titles={"vit": NASTY},
        )
    )
    written = render(store, "tiny", root / "out", for_paper=True)
    return root, written


def written(table):
    """One table as LaTeX."""
    document = Document(Header("s", "S", "", ()), [Section("s", "S", (table,))], [], lambda ids: "")
    return latex_tables(document)[table.name]


def unescaped(text):
    """LaTeX's special signs that stand without a backslash, commands of this module aside."""
    text = re.sub(r"\\text\w+\{\}|\{\\char34\}|\\[&%$#_{}]|\$[-]\$|\$\\(?:pm|times|cdot)\$", "", text)
    return set(text) & set("\\&%$#_{}~^<>|")


def test_escape_leaves_no_special_sign():
    assert not unescaped(escape(NASTY + " ± × · \u2212 \n\x00 end"))
    assert escape("50 %\n& more") == r"50 \% \& more"
    assert escape("na\u00efve \u65e5 1\u202f024") == r"na\u00efve {[}U+65E5] 1\,024".replace(
        r"\u00ef", "\u00ef"
    )


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
def test_any_letter_and_any_first_letter_can_be_set(tmp_path):
    texts = ["[x]", "*x", "\u65e5", *(f"x{chr(code)}y" for code in range(0x21, 0x250))]
    rows = tuple((Field(text), Field(text)) for text in texts)
    table = written(Table("t", "t", (Column("A"), Column("B")), rows))
    body = re.search(r"\\begin\{tabular\}.*\\end\{tabular\}", table, re.DOTALL)[0]
    body = body.replace("tabular", "longtable")
    paper = (
        rf"\documentclass{{article}}\usepackage{{booktabs,longtable}}\begin{{document}}{body}\end{{document}}"
    )
    (tmp_path / "paper.tex").write_text(paper)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]


def test_a_table_with_numbers_spreads_and_gaps():
    columns = (Column("Model_x"), Column("Top-1 (%)", numeric=True), Column("n", numeric=True))
    rows = (
        (Field("A & B", notes=("1 of 3 diverged",)), Field("\u22129.5", spread="± 0.4"), Field("1\u202f024")),
        (Field("C"), Field("not measured"), Field("12")),
    )
    table = Table("t", "100% of it", columns, rows, frozenset({0, 1}))
    text = written(table)
    assert text.splitlines() == [
        r"% Needs \usepackage{array,booktabs,siunitx}.",
        r"\begin{table}",
        r"\centering\footnotesize",
        r"\caption{100\% of it}",
        r"\label{tab:t}",
        r"\begin{tabular}{lS[table-format=+1.1]@{\,}lS[table-format=4.0]}",
        r"\toprule",
        r"Model\_x & \multicolumn{2}{c}{Top-1 (\%)} & {n} \\",
        r"\midrule",
        r"A \& B\textsuperscript{a} & -9.5 & $\pm$ 0.4 & 1024 \\",
        r"\addlinespace",
        r"C & {not measured} &  & 12 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\raggedright",
        r"\textsuperscript{a}\,1 of 3 diverged.",
        r"\end{table}",
    ]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
def test_a_plus_before_a_difference_is_printed(tmp_path):
    columns = (Column("Model"), Column("Difference (points)", numeric=True))
    rows = ((Field("A"), Field("+12.5")), (Field("B"), Field("\u22123.4")))
    table = written(Table("t", "t", columns, rows))
    paper = (
        r"\documentclass{article}\usepackage{booktabs,siunitx}\begin{document}" + table + r"\end{document}"
    )
    (tmp_path / "paper.tex").write_text(paper)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    # Where a space begins in a PDF is a guess of whoever reads it, and differs by the version of pypdf.
    printed = PdfReader(tmp_path / "paper.pdf").pages[0].extract_text().replace(" ", "")
    assert "+12.5" in printed and re.search("[\u2212\u2013-]3.4", printed)


def test_every_row_of_every_table_has_the_columns_of_its_layout(report):
    root, _ = report
    files = sorted((root / "out" / "tables").glob("*.tex"))
    assert {"accuracy-from-scratch.tex", "contrasts-from-scratch.tex", "cost.tex"} <= {f.name for f in files}
    for path in files:
        text = path.read_text()
        layout = re.search(r"\\begin\{tabular\}\{(.*)\}", text)[1]
        width = len(re.findall(r"[lSrp]", re.sub(r"\[[^\]]*\]|[@>p]\{[^}]*\}(?<!mm\})", "", layout)))
        body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
        for line in body.splitlines():
            if line != r"\addlinespace":
                assert len(re.findall(r"(?<!\\)&", line)) == width - 1, path.name


def test_numbers_by_key(report):
    text = (report[0] / "out" / "numbers.tex").read_text()
    mean = sum(true_top1("deit", 5, r) for r in range(3)) / 3
    assert rf"\csname vcnum@from-scratch/deit/5/top1\endcsname{{{100 * mean:.1f}}}" in text
    assert "vcnum@from-scratch/vit/5/top1" not in text
    one = run_id("tiny", "deit", None, 0)
    assert f"% notes: FLOPs not measured\n% runs: {one}" in text
    runs = " ".join(run_id("tiny", "deit", 5, r) for r in range(3))
    assert f"% runs: {runs}\n" + r"\expandafter\def\csname vcnum@from-scratch/deit/5/top1" in text
    assert r"\csname vcnum@from-scratch/deit-resnet/all/verdict\endcsname{worse}" in text
    assert text.isascii()
    assert r"\csname vcnum@alpha\endcsname{0.05}" in text and r"\csname vcnum@m\endcsname{2}" in text
    assert r"\csname vcnum@from-scratch/deit/5/ece\endcsname{5.0}" in text
    assert "average-of" not in text and "crossover" not in text, "not measured, and none"


DOCUMENT = r"""\documentclass{article}
\usepackage[a4paper,margin=20mm]{geometry}
\usepackage{booktabs,siunitx}
\pdfcompresslevel=0
\input{numbers}
\begin{document}
DeiT-Ti/4 reaches \num{\vcnum{from-scratch/deit/5/top1}}\,\% with five images per class.

TABLES
\end{document}
"""


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not here")
def test_a_paper_takes_numbers_and_tables_as_they_are(report, tmp_path):
    folder = report[0] / "out"
    files = sorted(path.stem for path in (folder / "tables").glob("*.tex"))
    inputs = [rf"\input{{tables/{name}}}\clearpage" for name in files]
    (tmp_path / "paper.tex").write_text(DOCUMENT.replace("TABLES", "\n".join(inputs)))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={tmp_path}"]
        + [str(tmp_path / "paper.tex")],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-1500:]
    pages = [page.extract_text() for page in PdfReader(tmp_path / "paper.pdf").pages]
    assert len(pages) >= len(files)
    mean = sum(true_top1("deit", 5, r) for r in range(3)) / 3
    assert f"DeiT-Ti/4 reaches {100 * mean:.1f} %" in pages[0]
    accuracy = next(page for page in pages if "Top-1 (%)" in page and "NLL" in page)
    printed = accuracy.replace(" ", "").replace("\n", "")
    # The underscore is a rule that LaTeX draws, no letter to be read back.
    assert "<script>alert(1)</script>100%" in printed and "&$more$\\input{x}#1" in printed
    assert "notmeasured" in printed
    too_wide = re.findall(r"tables/([\w-]+)\.tex\)?\s*Overfull", done.stdout)
    assert "accuracy-from-scratch" not in too_wide


def test_the_manifest_has_the_hash_of_everything(report):
    root, written = report
    found = json.loads((root / "out" / "MANIFEST.json").read_text())
    files = {p.relative_to(root / "out").as_posix() for p in (root / "out").rglob("*") if p.is_file()}
    assert set(found["files"]) == files - {"MANIFEST.json"}
    assert files == {p.relative_to(root / "out").as_posix() for p in written}
    for name, digest in found["files"].items():
        assert hashlib.sha256((root / "out" / name).read_bytes()).hexdigest() == digest
    run = run_id("tiny", "deit", 5, 0)
    record = root / "store" / "runs" / run / "record.json"
    assert found["runs"][run] == hashlib.sha256(record.read_bytes()).hexdigest()
    assert len(found["runs"]) == 15 and len(found["profiles"]) == 2
