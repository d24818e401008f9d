import pandas as pd
import pytest

from scarches_plus.metrics import Report

NAN = float("nan")
SCORES = pd.DataFrame(
    [
        ("z", "mixing", "EBM", 0.5, NAN, 10, 0.1),
        ("z", "mixing", "kBET", 0.1, NAN, 10, 0.1),
        ("z", "conservation", "purity", 0.8, 0.6, 10, 0.1),
        ("<other>", "mixing", "EBM", 0.2, NAN, 10, 0.1),
        ("<other>", "mixing", "kBET", NAN, NAN, 10, 0.1),
        ("<other>", "conservation", "purity", 0.6, 0.8, 10, 0.1),
    ],
    columns=["embedding", "kind", "score", "value", "chance", "n_cells", "seconds"],
)


@pytest.fixture
def report():
    per_label = pd.DataFrame({"embedding": ["z"], "label": ["<b>"], "entropy": [0.25]})
    return Report(SCORES, per_label, {"n_cells": 10, "n_batches": 2, "versions": {"numpy": "2"}})


def test_table(report):
    table = report.table()
    assert list(table.index) == ["z", "<other>"]
    assert table.loc["z", ("summary", "mixing")] == pytest.approx(0.3)
    assert table.loc["<other>", ("summary", "mixing")] == pytest.approx(0.2)  # of what is defined
    assert table.loc["z", ("summary", "conservation")] == pytest.approx(0.5)  # half way from chance to 1
    assert table.loc["z", ("summary", "total")] == pytest.approx(0.3**0.4 * 0.5**0.6)
    assert table.loc["z", ("summary", "scib total")] == pytest.approx(0.4 * 0.3 + 0.6 * 0.8)
    assert table.loc["<other>", ("summary", "conservation")] == 0  # worse than chance
    assert table.loc["<other>", ("summary", "total")] == 0
    assert table.loc["<other>", ("mixing", "EBM")] == 0.2


def test_prints_what_it_holds(report):
    assert "10 cells, 2 batches" in repr(report)
    assert "0.600" in repr(report)


def test_page_is_whole_and_escaped(report, tmp_path):
    path = tmp_path / "report.html"
    report.to_html(path)
    page = path.read_text(encoding="utf-8")
    assert "&lt;other&gt;" in page
    assert "<other>" not in page
    assert "<b>" not in page
    assert "0.250" in page
    assert "numpy" in page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
