"""Record every case of what comes from outside, and print them as a table: `make test-border`."""

import ctypes
import re
import textwrap
from collections import Counter

import pytest
from border_rows import Border

_ROWS = []
#: How many rows each kind has at least, and how many of the body of one test are counted: the first ones, as they are
#: written.
KINDS = [f"A{i}" for i in range(1, 7)] + [f"B{i}" for i in range(1, 12)] + [f"C{i}" for i in range(1, 6)] + ["D", "S"]
FEWEST = dict.fromkeys(KINDS, 8) | {f"C3/{row}": 1 for row in range(1, 49)}
MOST_OF_A_BODY = 15


def pytest_addoption(parser):
    """Add the option of whoever runs the whole table."""
    parser.addoption("--whole-border", action="store_true", help="fail if the table lacks rows of a kind")


@pytest.fixture
def border(request):
    """Run a case, require its right outcome and record it as a row of the table."""
    body = request.node.nodeid.partition("[")[0]
    return Border(_ROWS, request.node.name, body, request.session.items.index(request.node))


@pytest.fixture
def seeds(border, tmp_path):
    """Read a file by the command seeds, and return the cells it wrote."""
    import anndata
    from cell_files import MARKERS

    def run(file, case, *options, says="wrote", status=0, kind="D", markers=MARKERS):
        (tmp_path / "markers.json").write_text(markers)
        out = tmp_path / "out" / "seeds.h5ad"
        words = ["seeds", file, "--markers", tmp_path / "markers.json", "--n-seeds", 3, "--out", out, *options]
        border.command(words, says, kind=kind, case=case, status=status)
        return anndata.read_h5ad(out) if status == 0 else None

    return run


def pytest_sessionfinish(session):
    """Hand the rows of a worker to the process that prints; end with status 1 if the table is not as it should be."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["border_rows"] = _ROWS
    elif session.config.getoption("whole_border", False) and list(_shortcomings()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Collect the rows of a worker."""
    _ROWS.extend(getattr(node, "workeroutput", {}).get("border_rows", ()))


def pytest_terminal_summary(terminalreporter, config):
    """Print the table (kind, case, call, outcome and message), what is not counted apart, and how many rows each kind
    has.
    """
    if not _ROWS:
        return
    rows, further = _counted()
    _print(terminalreporter, "the border", rows)
    if further:
        _print(terminalreporter, f"run but not counted: beyond {MOST_OF_A_BODY} rows of the body of one test", further)
    terminalreporter.section("rows by kind")
    counts, not_counted = (Counter(row["kind"] for row in some) for some in (rows, further))
    for kind in sorted({*KINDS, *counts}, key=_in_order):
        if "/" not in kind:
            beyond = f" (and {not_counted[kind]} not counted)" if not_counted[kind] else ""
            terminalreporter.write_line(f"{kind:<3} {counts[kind]:>4} of at least {FEWEST.get(kind, 0)}{beyond}")
    catalogue = [kind for kind in FEWEST if "/" in kind]
    there = sum(counts[kind] > 0 for kind in catalogue)
    terminalreporter.write_line(f"C3/ {there:>3} of the {len(catalogue)} rows of the catalogue of cells")
    terminalreporter.write_line(f"{len(_ROWS)} rows were run, {len(rows)} of them are counted")
    if config.getoption("whole_border", False):
        for line in _shortcomings():
            terminalreporter.write_line(f"FAILED: {line}", red=True)


def _print(terminalreporter, title, rows):
    terminalreporter.section(title)
    for row in sorted(rows, key=lambda one: (_in_order(one["kind"]), one["case"])):
        message = textwrap.shorten(" ".join(row["message"].split()), 400)
        terminalreporter.write_line(f"{row['kind']:<5} {row['case']} | {row['call']} | {row['outcome']} | {message}")


def _counted():
    """Return the rows that are counted, and those that are not, whichever worker ran them first."""
    seen, counted, further = Counter(), [], []
    for row in sorted(_ROWS, key=lambda one: one["place"]):
        seen[row["body"]] += 1
        (further if seen[row["body"]] > MOST_OF_A_BODY else counted).append(row)
    return counted, further


def _shortcomings():
    """Yield what the table lacks."""
    counts = Counter(row["kind"] for row in _counted()[0])
    for kind in sorted(FEWEST, key=_in_order):
        if counts[kind] < FEWEST[kind]:
            yield f"kind {kind} has {counts[kind]} rows, and at least {FEWEST[kind]} are asked for"
    for kind in sorted(counts.keys() - FEWEST.keys()):
        yield f"there is no kind {kind!r}"


def _in_order(kind):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", kind)]


@pytest.fixture(params=["one exchange", "three renames"])
def protocol(request):
    """How a folder takes the place of another."""
    if request.param == "three renames":
        request.getfixturevalue("no_exchange")
    elif not any(hasattr(ctypes.CDLL(None), name) for name in ("renameat2", "renamex_np")):
        pytest.skip("this system exchanges no folders")
    return request.param
