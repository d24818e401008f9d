"""What stands in several files says the same in all of them."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import scarches_plus

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
EXTRAS = [Requirement(line) for lines in PYPROJECT["project"]["optional-dependencies"].values() for line in lines]
GROUPS = [
    Requirement(line)
    for group in PYPROJECT["dependency-groups"].values()
    for line in group
    if isinstance(line, str)  # the others include a group
]
PYTHONS = [
    line.rsplit(" ", 1)[1]
    for line in PYPROJECT["project"]["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def pins(name, python):
    """Version of every package that a constraints file pins for a Python."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            assert canonicalize_name(requirement.name) not in found, f"{requirement.name} is pinned twice"
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


# --- Versions ---


def test_versions_agree():
    version = PYPROJECT["project"]["version"]
    assert scarches_plus.__version__ == version, "install again: make test"
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_ends_in_this_version_or_an_earlier_one():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = [Version(heading) for heading in headings[1:]]
    assert released == sorted(released, reverse=True)
    assert all(version <= Version(PYPROJECT["project"]["version"]) for version in released)


def test_supported_pythons_agree():
    assert min(map(Version, PYTHONS)) == Version(PYPROJECT["project"]["requires-python"].removeprefix(">="))
    (matrix,) = PYPROJECT["tool"]["hatch"]["envs"]["hatch-test"]["matrix"]
    assert matrix["python"] == PYTHONS
    tested = (ROOT / ".github" / "workflows" / "test.yaml").read_text()
    assert re.findall(r"name: Python (3\.\d+),", tested) == PYTHONS


# --- Dependencies ---


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_what_pyproject_asks_for(python):
    pinned = pins("constraints.txt", python)
    wrong = [
        f"{requirement} against {pinned.get(canonicalize_name(requirement.name))}"
        for requirement in DEPENDENCIES + GROUPS
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=str)
def test_constraints_lowest_are_the_lower_bounds(requirement):
    lowest = pins("constraints-lowest.txt", PYTHONS[0])
    bound = SpecifierSet(f">={lowest[canonicalize_name(requirement.name)]}")
    assert requirement.specifier == bound


def test_constraints_lowest_hold_back_nothing_else():
    assert set(pins("constraints-lowest.txt", PYTHONS[0])) == {canonicalize_name(r.name) for r in DEPENDENCIES}


def test_every_import_is_a_declared_dependency():
    distributions = packages_distributions()
    imported = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    declared = {canonicalize_name(requirement.name) for requirement in DEPENDENCIES + EXTRAS}
    undeclared = {
        name
        for name in imported - sys.stdlib_module_names - {"scarches_plus"}
        if not declared & {canonicalize_name(owner) for owner in distributions.get(name, [name])}
    }
    assert undeclared == set()


def test_hooks_use_the_same_ruff():
    hooks = re.findall(r"ruff==([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks
    assert set(hooks) == {pins("constraints.txt", PYTHONS[0])["ruff"]}


# --- Files ---


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/install.md"])
def test_commands_in_the_text_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert named <= targets
    if page == "README.md":
        assert {"demo", "test"} <= named


def test_continuous_integration_runs_the_command_of_the_readme():
    assert re.search(r"^step .* make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_cannot_write(workflow):
    text = workflow.read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert [action for action in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action)] == []
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "\nconcurrency:\n" in text


def test_no_large_files():
    """A repository is cloned whole: figures and notebooks stay small, data are downloaded."""
    made = {"_build", "__pycache__", "generated", "results", ".ipynb_checkpoints"}
    folders = ("src", "tests", "docs", "tutorials", "benchmarks", ".github", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    large = [
        str(file.relative_to(ROOT))
        for file in files
        if not made & set(file.parts) and file.suffix != ".h5ad" and file.stat().st_size > 1_000_000
    ]
    assert large == []


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda page: page.name
)
def test_pages_have_no_gaps(page):
    text = page.read_text()
    assert not re.findall(r"\{\{[^}]*\}\}", text)
    assert "TODO" not in text
