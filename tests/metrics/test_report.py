import re

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


def test_what_random_labels_score_perfectly_counts_for_no_embedding(report):
    more = pd.DataFrame(
        [
            ("z", "conservation", "connectivity", 1.0, 1.0, 10, 0.1),
            ("<other>", "conservation", "connectivity", 0.99, 0.2, 10, 0.1),
        ],
        columns=SCORES.columns,
    )
    with_more = Report(pd.concat([SCORES, more], ignore_index=True), report.per_label).table()
    for name in ("conservation", "total"):
        assert with_more["summary", name].to_dict() == report.table()["summary", name].to_dict()
    assert with_more["conservation", "connectivity"].to_dict() == {"z": 1.0, "<other>": 0.99}
    nearly = more.assign(chance=[1 - 1e-6, 0.2])
    counted = Report(pd.concat([SCORES, nearly], ignore_index=True), report.per_label).table()
    assert counted.loc["<other>", ("summary", "conservation")] == pytest.approx((0 + 0.79 / 0.8) / 2)


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
    assert "<td>numpy 2</td>" in page
    assert not re.findall(r"<script|(?:src|href)=", page)
    assert 'name="viewport"' in page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def made(rows, per_label=None):
    scores = pd.DataFrame([(*row, 0.0, 10, 0.1) for row in rows], columns=SCORES.columns)
    return Report(scores, pd.DataFrame() if per_label is None else per_label, {})


def text_of(report, path):
    report.to_html(path)
    return path.read_text(encoding="utf-8")


def test_page_leads_with_a_verdict_and_a_picture(report, tmp_path):
    page = text_of(report, tmp_path / "report.html")
    total = 0.3**0.4 * 0.5**0.6
    sentence = (
        f"z is the best of 2, with a total of {total:.2f} (1 is best): mixing of batches 0.30, conservation of biology "
        "0.50. Next is &lt;other&gt;, 0.00."
    )
    assert sentence in page
    assert page.index(sentence) < page.index("<svg") < page.index("entropy of batch mixing (EBM)")
    assert "Mixing is the lower of the two." in page
    assert "MMD(weight=1, anchors=True)" in page
    assert len(re.findall("<circle", page)) == 4  # two points, and two in the legend
    assert "How evenly batches share the neighbours of a cell" in page
    assert "not defined" in page


def test_page_names_the_types_to_look_at(tmp_path):
    rows = [("z", "mixing", "EBM", 0.8), ("z", "conservation", "purity", 0.3)]
    per_label = pd.DataFrame(
        {
            "embedding": "z",
            "label": ["even", "uneven", "alone", "crossing"],
            "expected": ["mixed", "mixed", "apart", "apart"],
            "entropy": [0.8, 0.2, 0.0, 0.6],
            "attainable": [0.9, 0.8, 0.0, 0.0],
        }
    )
    page = text_of(made(rows, per_label), tmp_path / "report.html")
    assert "z has a total of" in page
    assert "Conservation is the lower of the two." in page
    assert "mix least, as a share of what even mixing gives: uneven (0.25)." in page
    assert "mix with other batches, by entropy: crossing (0.60)." in page


@pytest.mark.parametrize("n", [1, 30])
def test_page_without_labels(tmp_path, n):
    page = text_of(made([(f"z{i}", "mixing", "EBM", 0.5) for i in range(n)]), tmp_path / "report.html")
    assert "Batches mix at 0.50 of 1 in z0; whether biology is kept was not scored." in page
    assert "<svg" not in page
