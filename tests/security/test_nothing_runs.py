"""Nothing that is read is run: no unpickling, no evaluating, no shell; and every page has its policy."""

import ast
import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from bench.inspection.contact_sheet import contact_sheet

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "vcbench").rglob("*.py")])
NEVER = {
    "eval",
    "exec",
    "compile",
    "pickle.load",
    "pickle.Unpickler",
    "yaml.load",
    "os.system",
    "marshal.loads",
}
NEVER |= {"joblib.load", "shelve.open", "torch.jit.load", "pd.read_pickle", "runpy.run_path", "dill.loads"}
# An error on its way between this package's own processes.
OWN = {("processes.py", "pickle.loads")}


def called(tree):
    """Each call: its name as it is written, and its keyword arguments as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}


def risks(text, file):
    """Calls that could run what they read."""
    for name, options in called(ast.parse(text)):
        risky = name in NEVER or (name == "pickle.loads" and (file, name) not in OWN)
        risky |= name == "torch.load" and options.get("weights_only") != "True"
        risky |= options.get("allow_pickle", "False") != "False" or options.get("shell", "False") != "False"
        risky |= options.get("trust_remote_code", "False") != "False"
        if risky:
            yield f"{file}: {name}"


def test_nothing_is_unpickled_or_evaluated():
    assert [one for path in SOURCES for one in risks(path.read_text(encoding="utf-8"), path.name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "pickle.loads(b)",
        "eval(x)",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=wanted)",
    ],
)
def test_what_could_run_is_noticed(text):
    assert list(risks(text, "x.py"))


def test_every_page_has_a_policy():
    """A page's own or that of the base it extends; blocks.html holds parts of pages."""
    templates = [path for path in (ROOT / "bench").rglob("*.html") if path.name != "blocks.html"]
    texts = {path: path.read_text(encoding="utf-8") for path in [*SOURCES, *templates]}
    whole = [path for path, text in texts.items() if "<!doctype" in text.lower()]
    assert {"base.html", "contact_sheet.py"} <= {path.name for path in whole}
    assert [path.name for path in whole if "{{ policy(" not in texts[path]] == []
    others = [path for path in templates if path not in whole]
    assert len(others) >= 4
    assert [path.name for path in others if not texts[path].startswith('{% extends "base.html" %}')] == []


def test_the_page_of_small_pictures_keeps_to_its_policy():
    page = contact_sheet("<b>", "<i>", [(np.zeros((4, 4, 3), np.uint8), ["<img>", "x"])])
    style = re.search("<style>(.*?)</style>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page and page.index("Content-Security") < page.index("<style>")
    assert not re.search("<b>|<i>|<img>|script-src", page)
