import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scarches_plus as sp
from scarches_plus.metrics import Report

COLUMNS = ["embedding", "kind", "score", "value", "chance", "n_cells", "seconds"]


def made(rows):
    return Report(
        pd.DataFrame([(*row, 0.0 if row[1] == "conservation" else np.nan, 10, 0.1) for row in rows], columns=COLUMNS),
        pd.DataFrame(),
        {},
    )


@pytest.fixture
def report():
    return made([
        ("poor", "mixing", "EBM", 0.9), ("poor", "conservation", "purity", 0.1),
        ("good", "mixing", "EBM", 0.6), ("good", "conservation", "purity", 0.95),
        ("good", "agreement", "KNI", np.nan), ("poor", "agreement", "KNI", 0.2),
    ])  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_best_first_with_every_number(report):
    table, _ = sp.pl.report(report)
    assert [label.get_text() for label in table.get_yticklabels()] == ["good", "poor"]
    texts = [text.get_text() for text in table.texts]
    assert {"0.90", "0.10", "0.60", "0.95", "0.20", "-"} <= set(texts)
    assert {"mixing", "conservation", "agreement", "summary"} <= set(texts)
    assert [label.get_text() for label in table.get_xticklabels()] == [
        "EBM", "purity", "KNI", "mixing", "conservation", "total", "scib total",
    ]  # fmt: skip
    by_place = {(round(t.get_position()[0], 1), t.get_position()[1]): t.get_text() for t in table.texts}
    assert by_place[0.0, 0] == "0.60"
    assert by_place[0.0, 1] == "0.90"


def test_scatter_is_mixing_against_conservation(report):
    _, scatter = sp.pl.report(report)
    points = {dots.get_label(): dots.get_offsets()[0].tolist() for dots in scatter.collections}
    assert points["good"] == pytest.approx([0.6, 0.95])
    assert points["poor"] == pytest.approx([0.9, 0.1])


@pytest.mark.filterwarnings("error")
def test_names_are_drawn_as_they_are():
    names = ["$\\foo$", "a$b_c$d", "_X"]
    rows = [
        (name, kind, score, 0.5) for name in names for kind, score in (("mixing", "EBM"), ("conservation", "purity"))
    ]
    table, scatter = sp.pl.report(made(rows))
    table.figure.draw_without_rendering()
    assert [text.get_text() for text in scatter.get_legend().get_texts()] == names
    assert [text.get_text() for text in table.get_yticklabels()] == names
    widths = [text.get_window_extent().width for text in table.get_yticklabels()]
    plain = table.text(0, 0, "a$b_c$d", fontsize=table.get_yticklabels()[0].get_fontsize(), parse_math=False)
    assert widths[1] == plain.get_window_extent().width  # mathematics would be narrower


def test_draws_into_given_axes_and_without_labels():
    _, axes = plt.subplots(1, 2)
    table, scatter = sp.pl.report(made([("z", "mixing", "EBM", 0.5)]), axes=axes)
    assert table is axes[0]
    assert not scatter.axison


def test_what_cannot_be_drawn_is_said(report):
    with pytest.raises(ValueError, match="no scores"):
        sp.pl.report(Report(pd.DataFrame(columns=COLUMNS), pd.DataFrame(), {}))
    with pytest.raises(ValueError, match="two"):
        sp.pl.report(report, axes=plt.subplots(1, 3)[1])
