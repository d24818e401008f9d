"""Record every case of what comes from outside, and print them as a table: `make test-border`."""

import textwrap

import pytest
from border_rows import Border

_ROWS = []


@pytest.fixture
def border(request):
    """Run a case, require its right outcome and record it as a row of the table."""
    return Border(_ROWS, request.node.name)


def pytest_sessionfinish(session):
    """Hand the rows of a worker to the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["border_rows"] = _ROWS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Collect the rows of a worker."""
    _ROWS.extend(getattr(node, "workeroutput", {}).get("border_rows", ()))


def pytest_terminal_summary(terminalreporter):
    """Print the table: kind, case, call, outcome and message."""
    if not _ROWS:
        return
    terminalreporter.section("the border")
    for row in sorted(_ROWS, key=lambda one: (one["kind"], one["case"])):
        message = textwrap.shorten(" ".join(row["message"].split()), 400)
        terminalreporter.write_line(f"{row['kind']:<4} {row['case']} | {row['call']} | {row['outcome']} | {message}")
    kinds = sorted({row["kind"] for row in _ROWS})
    counts = ", ".join(f"{kind} {sum(row['kind'] == kind for row in _ROWS)}" for kind in kinds)
    terminalreporter.write_line(f"{len(_ROWS)} rows: {counts}")
