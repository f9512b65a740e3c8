"""Imports run one way: a package knows only those below it, and no module comes back to itself."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the bottom up.
ORDER = [
    "bench.escape",
    "bench.errors",
    "bench.files",
    "bench.frames",
    "bench.nvml",
    "bench.machine",
    "bench.runtimes",
    "bench.spec",
    "bench.metrics",
    "bench.store",
    "bench.networks",
    "bench.data",
    "bench.analysis",
    "bench.planning",
    "bench.training",
    "bench.profiling",
    "bench.running",
    "bench.tables",
    "bench.report",
    "bench.exchange",
    "bench.inspection",
    "bench.deploy",
    "bench.picking",
    "bench.cli",
    "bench.__main__",
    "vcbench",
]
# What imports from above all the same, and why.
EXCEPTIONS = {
    # The names that a suite may ask for are the kinds there are: a new kind is one file, with no edit here.
    ("bench.spec.profiles", "bench.profiling.kinds"),
}


def module_name(path: Path) -> str:
    """The dotted name of a file, of a package its own."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for name in ("bench", "vcbench") for path in (ROOT / name).rglob("*.py")}


def imports_of(path: Path, *, types: bool) -> Iterator[str]:
    """The modules of this project that a file imports, wherever in it: those for type checkers if `types`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for block in [] if types else [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            block.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for dotted in found:
            parent = dotted.rpartition(".")[0]
            if module := next((one for one in (dotted, parent) if one in MODULES), None):
                yield module


def level(module: str) -> int:
    """The place of a module's package in the order; the version stands below everything."""
    if module == "bench":
        return -1
    return next(place for place, top in enumerate(ORDER) if f"{module}.".startswith(f"{top}."))


def test_every_module_has_a_place():
    assert len(MODULES) > 100
    for module in MODULES:
        level(module)


def test_imports_never_go_up():
    """Neither those within functions, nor those for type checkers."""
    up = {
        (module, other)
        for module, path in MODULES.items()
        for other in imports_of(path, types=True)
        if level(other) > level(module)
    }
    assert up == EXCEPTIONS


def test_no_module_comes_back_to_itself():
    """Neither by imports within functions. Names for type checkers alone are exempt: what is handed an object
    that calls it back needs the name of its class."""
    imports = {module: set(imports_of(path, types=False)) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
