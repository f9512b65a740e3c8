"""What is shipped, declared and pinned agrees with what is there."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bench

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Extras that constraints.txt does not hold: the trackers admit older versions alone of what else is used.
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(line.partition("==")[::2] for line in CONSTRAINTS)

# What the project never names: hosts of package registries, folders of one machine, data beside the clone.
HOSTS = re.compile(r"\b(?:pypi|pythonhosted|debian|npmjs|conda)\.org\b")
PRIVATE = re.compile(r"(?<![\w.~-])/(?:root|home|work|tmp)/")
BESIDE = re.compile(r"\.\.[/]shared")


def requirements(*extras: str) -> list[Requirement]:
    lines = PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    return [Requirement(line) for line in lines]


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def own_files() -> list[Path]:
    """The files of the project itself: no data, no environments, no results but the published ones."""
    folders = ("bench", "models", "vcbench", "tests", ".ci", "results/published", "reports/published")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    files = [path for path in files if path.is_file() and path.name != ".git"]  # as in a worktree
    return [path for path in files if "__pycache__" not in path.parts]


def texts() -> dict[str, str]:
    """The text of each of these files."""
    binary = {".npy", ".parquet", ".png"}
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in own_files()
        if path.suffix not in binary
    }


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)\ndate-released: (\S+)$", citation, re.MULTILINE)
    newest = re.search(r"^## (\d\S*) \((\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE)
    assert cited.groups() == newest.groups()
    assert cited[1] == bench.__version__
    installed = {found.version for found in metadata.distributions(name="vcbench")}
    assert installed <= {bench.__version__}, "reinstall the project: its version has changed"


def test_constraints_are_plain_pins():
    assert [
        line for line in CONSTRAINTS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==\d[0-9a-z.]*", line)
    ] == []
    assert [line.partition("==")[0] for line in CONSTRAINTS] == sorted(PINS)


@pytest.mark.parametrize("requirement", requirements(*sorted(EXTRAS.keys() - TRACKERS)), ids=str)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement):
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("bench", "vcbench"), ("huggingface", "labels", "onnx", "openvino", "ray", *TRACKERS)),
        (("tests",), ("test", "notebook", "perf", "browser", *TRACKERS)),
    ],
    ids=["packages", "tests"],
)
def test_every_import_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]):
    declared = {canonicalize_name(requirement.name) for requirement in requirements(*extras)}
    providers = metadata.packages_distributions()
    own = {"bench", "vcbench", "noxfile"} | {path.stem for path in (ROOT / "tests").rglob("*")}
    undeclared = {}
    for path in sources(*folders):
        for name in imported(path) - sys.stdlib_module_names - own:
            distributions = {canonicalize_name(found) for found in providers.get(name, [name])}
            if not distributions & declared:
                undeclared[name] = path.relative_to(ROOT).as_posix()
    assert undeclared == {}


def imported(path: Path) -> set[str]:
    """The top-level names of all absolute imports of a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(built) as wheel:
        shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entry_points,) = (wheel.read(name) for name in wheel.namelist() if name.endswith("entry_points.txt"))
    expected = {
        re.sub("^models/", "bench/cards/", path.relative_to(ROOT).as_posix())
        for path in own_files()
        if path.relative_to(ROOT).parts[0] in ("bench", "models", "vcbench")
    }
    assert shipped == expected
    assert {name.partition("/")[0] for name in shipped} == {"bench", "vcbench"}
    assert {"bench/py.typed", "vcbench/py.typed"} <= shipped
    assert "vcbench = bench.__main__:main" in entry_points.decode()


def test_pre_commit_uses_the_pinned_ruff():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==([\w.]+)", text)) == {PINS["ruff"]}


def test_nothing_names_a_registry_or_a_folder_of_one_machine():
    found = [
        f"{name}: {line.strip()[:120]}"
        for name, text in texts().items()
        for line in text.splitlines()
        if PRIVATE.search(line) or HOSTS.search(line)
    ]
    assert found == []


def test_only_the_checks_know_of_data_beside_the_clone():
    assert [name for name, text in texts().items() if BESIDE.search(text)] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.fixture
def commands(monkeypatch):
    """Runs one of nox's functions without nox's environment; returns what it would install and run."""
    monkeypatch.syspath_prepend(ROOT)
    import noxfile

    class Recorder:
        def __init__(self, posargs: list[str], venv_backend: str, answer: dict | None) -> None:
            self.posargs, self.venv_backend, self.answer = posargs, venv_backend, answer
            self.installed, self.ran, self.warned = [], [], []

        def install(self, *arguments: str, **_: object) -> None:
            self.installed.append(" ".join(arguments))

        def run(self, *arguments: str, **_: object) -> None:
            self.ran.append(" ".join(arguments))
            if arguments[0] == "pip-audit" and self.answer:
                Path(arguments[arguments.index("--output") + 1]).write_text(json.dumps(self.answer))

        def warn(self, line: str) -> None:
            self.warned.append(line)

        def error(self, line: str) -> None:
            raise AssertionError(line)

    def call(name: str, posargs: str = "", venv_backend: str = "uv", answer: dict | None = None) -> Recorder:
        recorder = Recorder(posargs.split(), venv_backend, answer)
        getattr(noxfile, name).func(recorder)
        return recorder

    return call


@pytest.mark.parametrize(
    ("given", "run", "tables", "report"),
    [
        ("", "run quick", "tables", "report quick"),
        ("--budget 30m", "run quick --budget 30m", "tables", "report quick"),
        ("flowers102 --budget 30m", "run flowers102 --budget 30m", "tables", "report flowers102"),
        (
            "own.toml --results r",
            "run own.toml --results r",
            "tables --results r",
            "report own.toml --results r",
        ),
        (
            "cpu --set a=1 --set b=2",
            "run cpu --set a=1 --set b=2",
            "tables",
            "report cpu --set a=1 --set b=2",
        ),
        ("cpu --results=r", "run cpu --results=r", "tables --results=r", "report cpu --results=r"),
    ],
)
def test_nox_bench_runs_tabulates_and_reports_one_store(commands, given, run, tables, report):
    done = commands("bench", given)
    assert done.installed == ["-c constraints.txt -e ."]
    assert done.ran == [f"python -m bench {verb}" for verb in (run, tables, report)]


def test_nox_report_takes_the_folders_of_store_and_report(commands):
    ran = commands("report", "cpu --results r --out o").ran
    assert ran == ["python -m bench tables --results r", "python -m bench report cpu --results r --out o"]


@pytest.mark.parametrize(
    "name", ["bench", "report", "tests", "lowest", "lint", "perf", "trackers", "docs", "audit"]
)
def test_nox_without_an_environment_installs_nothing(commands, name):
    done = commands(name, venv_backend="none")
    assert done.ran and not done.installed


@pytest.fixture
def pins(tmp_path, monkeypatch):
    """A folder with what is audited."""
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)


def test_nox_audit_fails_on_a_known_vulnerability(commands, pins):
    clean = {"name": "pillow", "version": "1.0", "vulns": []}
    known = clean | {"vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
    skipped = {"name": "torch", "skip_reason": "not found"}
    done = commands("audit", "--ignore-vuln PYSEC-2", answer={"dependencies": [clean, skipped]})
    assert not done.warned and done.ran[-1].endswith("--ignore-vuln PYSEC-2")
    with pytest.raises(AssertionError, match="1 known vulnerabilities in 1 pins"):
        commands("audit", answer={"dependencies": [known, skipped]})


def test_nox_audit_says_that_nothing_was_looked_up(commands, pins):
    assert commands("audit").warned == ["pip-audit: its database does not answer; nothing was looked up"]
    assert not commands("audit", venv_backend="none").installed
    with pytest.raises(AssertionError, match="0 known vulnerabilities in 0 pins"):
        commands("audit", "--strict")


WITHOUT_POSIX = """
import importlib, pkgutil, signal, sys
import fvcore.nn, matplotlib.pyplot, pandas, psutil, pyarrow.parquet, scipy.stats, sklearn.model_selection
import timm, torchvision, typer
import bench
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # importing it is an ImportError from now on
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask", "setitimer"):
    delattr(signal, name)
for module in pkgutil.walk_packages(bench.__path__, "bench."):
    if not module.name.endswith("__main__") and not module.name.startswith("bench.exchange.trackers."):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_every_module_is_imported_where_a_system_is_not_posix():
    """What libraries import is theirs: they are imported before."""
    ran = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert {"bench.store.run_store", "bench.profiling.worker", "bench.cli.verbs"} <= set(ran.stdout.split())
