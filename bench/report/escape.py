"""Text from outside, so that LaTeX and BibTeX print it as it stands."""

LATEX = {
    "\\": r"\textbackslash{}",
    # Braces by name: BibTeX counts even escaped ones.
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "\u00b1": r"$\pm$",
    "\u2212": r"$-$",
    "\u202f": r"\,",
}


def latex(text: str) -> str:
    """Text for LaTeX or a field of BibTeX, on one line."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
