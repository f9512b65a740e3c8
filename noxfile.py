"""The project's commands: `nox -s bench`, `tests`, `report`, `lint`, `browser`, `perf`, `simulate`, `faults`,
`scale`, `regret`, `lowest`, `trackers`, `audit`, `docs`.

Each has an environment of its own under `.nox/`, made once and kept. uv links the files of one download into
all of them, so that PyTorch is on the disk once. `--no-venv` runs a command in the environment you are in, as
it is, and installs nothing. Arguments for the command itself follow `--`.
"""

import json
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["bench"]

# Tests run one file a process: most compute on one thread. More processes would need too much memory.
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")
# After Ctrl-C a run finishes its step and writes a checkpoint before it is ended by force.
PATIENCE_S = 60


@nox.session
def bench(session: nox.Session) -> None:
    """Run a suite (quick if none is named), make its tables and report: nox -s bench -- SUITE [OPTIONS]."""
    install(session, "-e", ".")
    arguments = with_suite(session.posargs)
    store = options(arguments, "--results")
    vcbench(session, "run", *arguments)
    vcbench(session, "tables", *store)
    vcbench(session, "report", arguments[0], *store, *options(arguments, "--set"))


@nox.session
def report(session: nox.Session) -> None:
    """Make the tables and report again: nox -s report -- SUITE [--results DIR] [--out DIR]."""
    install(session, "-e", ".")
    arguments = with_suite(session.posargs)
    vcbench(session, "tables", *options(arguments, "--results"))
    vcbench(session, "report", *arguments)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, and the notebook: nox -s tests -- [OPTIONS of pytest, without the notebook]."""
    install(session, "-e", ".[test,notebook]")
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, *session.posargs)
    if not session.posargs:
        session.run("python", "-m", "pytest", "tests/test_notebook.py", "-m", "slow")


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that the project admits."""
    if session.venv_backend != "none":
        session.install("--resolution=lowest-direct", "-e", ".[test]", silent=False)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def perf(session: nox.Session) -> None:
    """Time the harness itself, save it and compare with the last save: nox -s perf -- [OPTIONS of pytest]."""
    install(session, "-e", ".[perf]")
    saved = ("--benchmark-autosave", "--benchmark-compare")
    session.run("python", "-m", "pytest", "tests/perf", "-m", "perf", *saved, *session.posargs)


@nox.session
def trackers(session: nox.Session) -> None:
    """Write for TensorBoard, Weights & Biases, MLflow and Trackio, and read it with their own libraries."""
    if session.venv_backend != "none":
        session.install("-e", ".[test,tensorboard,wandb,mlflow,trackio]", silent=False)
    own = ("tests/exchange/test_trackers.py", "-rs", "-m", "not perf")
    session.run("python", "-m", "pytest", *own, *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Print how often claims are wrong in 2,000 suites a scenario: nox -s simulate -- [--out CSV]."""
    install(session, "-e", ".")
    session.run("python", "-m", "bench.analysis.simulation.study", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, cut the power, fill the disk; figures go to docs/faults.md: nox -s faults -- [--times N]."""
    install(session, "-e", ".[test]")
    session.run("python", "-m", "tests.faults", "--out", "docs/faults.md", *session.posargs)


@nox.session
def scale(session: nox.Session) -> None:
    """Time every step of a suite of 100,000 simulated jobs: nox -s scale -- [--jobs N]."""
    install(session, "-e", ".[test]")
    session.run("python", "tests/scale/run.py", *session.posargs)


@nox.session
def regret(session: nox.Session) -> None:
    """Measure what picking a backbone costs in accuracy, for docs/regret.md: nox -s regret -- [--tasks N]."""
    install(session, "-e", ".[test]")
    session.run("python", "-m", "tests.regret", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Open a report in headless Chromium and use it: nox -s browser -- [OPTIONS of pytest]."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        session.error("the browser tests need Chromium: apt-get install chromium")
    install(session, "-e", ".[browser]")
    session.run("python", "-m", "pytest", "tests/browser", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Write the bill of materials build/sbom.cdx.json, and look the pins up among known vulnerabilities.

    One that is known is an error, but for those of nox -s audit -- --ignore-vuln ID; with --strict, so is a
    database that does not answer.
    """
    install(session, *nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["audit"])
    pins, first, bill = Path("constraints.txt"), Path("build/first.txt"), Path("build/sbom.cdx.json")
    bill.parent.mkdir(exist_ok=True)
    described = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", str(bill))
    quiet = {"PYTHONWARNINGS": "ignore"}  # what depends on what is not in a list of pins
    session.run("cyclonedx-py", "requirements", *described, str(pins), env=quiet)
    # One pin by itself tells in a second whether the database answers.
    first.write_text(pins.read_text(encoding="utf-8").partition("\n")[0], encoding="utf-8")
    known = looked_up(session, pins) if looked_up(session, first) else []
    lines = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {found['fix_versions'] or 'none'}"
        for one in known
        for found in one["vulns"]
    ]
    for line in lines if known else ["pip-audit: its database does not answer; nothing was looked up"]:
        session.warn(line)
    if lines or (not known and "--strict" in session.posargs):
        session.error(f"{len(lines)} known vulnerabilities in {len(known)} pins that were looked up")


@nox.session
def docs(session: nox.Session) -> None:
    """Make the site of the guides in .nox/site; a broken link or a wrong reference is an error."""
    # The reference is made from the text of the code, which need not be installed for it.
    install(session, *nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["docs"])
    session.run("mkdocs", "build", "--strict", "--quiet", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff, and types with mypy, which reads those of the libraries."""
    install(session, "-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


def looked_up(session: nox.Session, pins: Path) -> list[dict]:
    """What pip-audit's database knows of the pins in a file; those that it does not have are left out."""
    answer = Path("build/audit.json")
    answer.unlink(missing_ok=True)
    plain = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json")
    command = ("pip-audit", "--requirement", str(pins), *plain, "--output", str(answer))
    ignored = options(session.posargs, "--ignore-vuln")
    session.run(*command, *ignored, success_codes=[0, 1], silent=True)
    if not answer.exists():
        return []
    every = json.loads(answer.read_text(encoding="utf-8"))["dependencies"]
    return [one for one in every if "skip_reason" not in one]


def install(session: nox.Session, *what: str) -> None:
    """Install into the environment of the session, with its progress shown; with --no-venv do nothing."""
    if session.venv_backend != "none":
        session.install("-c", "constraints.txt", *what, silent=False)


def vcbench(session: nox.Session, *arguments: str) -> None:
    """Run a verb of the command line from this folder."""
    session.run("python", "-m", "bench", *arguments, interrupt_timeout=PATIENCE_S)


def with_suite(arguments: list[str]) -> list[str]:
    """The arguments with the suite as their first; options alone mean the suite `quick`."""
    return list(arguments) if arguments and not arguments[0].startswith("-") else ["quick", *arguments]


def options(arguments: list[str], name: str) -> list[str]:
    """Every `--name VALUE` and `--name=VALUE` among the arguments."""
    found = []
    for place, argument in enumerate(arguments):
        if argument == name:
            found += arguments[place : place + 2]
        elif argument.startswith(f"{name}="):
            found.append(argument)
    return found
