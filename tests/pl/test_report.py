from itertools import pairwise

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


def names_of(table):
    """Names of scores and their kinds, whatever lines they are on."""
    return [" ".join(label.get_text().split()) for label in table.get_yticklabels()]


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
    assert [label.get_text() for label in table.get_xticklabels()] == ["good", "poor"]
    texts = [text.get_text() for text in table.texts]
    assert {"0.90", "0.10", "0.60", "0.95", "0.20", "-"} <= set(texts)
    assert names_of(table) == [
        "Mixing of batches", "entropy of batch mixing (EBM)",
        "Conservation of biology", "purity",
        "Both in one score", "labels known from other batches (KNI)",
        "Summary", "mixing", "conservation", "total", "total of scib",
    ]  # fmt: skip
    by_place = {t.get_position(): t.get_text() for t in table.texts}
    assert [by_place[x, 1] for x in (0, 1)] == ["0.60", "0.90"]
    assert [by_place[x, 5] for x in (0, 1)] == ["-", "0.20"]


def test_acronyms_are_explained():
    acronyms = {
        "mixing": ["EBM", "iLISI", "kBET", "BRAS", "PCR"],
        "conservation": ["cLISI", "NMI k-means", "ARI k-means"],
        "agreement": ["KNI", "RbNI"],
    }
    table, _ = sp.pl.report(made([("z", kind, score, 0.5) for kind, scores in acronyms.items() for score in scores]))
    names = names_of(table)
    for score in [score for scores in acronyms.values() for score in scores]:
        assert score not in names
        acronym, *clusters = score.split()
        (name,) = [name for name in names if f"({acronym}" in name and all(word in name for word in clusters)]
        assert len(name.split()) > 2


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
    assert [text.get_text() for text in table.get_xticklabels()] == names
    widths = [text.get_window_extent().width for text in table.get_xticklabels()]
    plain = table.text(
        0, 0, "a$b_c$d", rotation=40, fontsize=table.get_xticklabels()[0].get_fontsize(), parse_math=False
    )
    assert widths[1] == pytest.approx(plain.get_window_extent().width)  # mathematics would be narrower


def test_three_embeddings_fit_on_a_page():
    """With the longest names: none is cut off, and none runs into the next."""
    long = [("mixing", "kBET per label"), ("mixing", "kBET"), ("conservation", "isolated labels (silhouette)"),
            ("conservation", "graph connectivity"), ("conservation", "NMI k-means"), ("agreement", "KNI")]  # fmt: skip
    table, _ = sp.pl.report(made([(name, *one, 0.5) for name in ("X_pca", "X_scarches", "X_bascvi") for one in long]))
    figure = table.figure
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= 8.5
    boxes = [label.get_window_extent() for label in table.get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))


@pytest.mark.parametrize("n", [1, 2, 30])
def test_there_is_no_empty_strip(n):
    kinds = (("mixing", "EBM"), ("conservation", "purity"))
    table, scatter = sp.pl.report(made([(f"z{i}", *kind, i / n) for i in range(n) for kind in kinds]))
    table.figure.draw_without_rendering()
    drawn = [ax.get_tightbbox().width for ax in (table, scatter)]
    assert sum(drawn) > 0.8 * table.figure.bbox.width
    alone, nothing = sp.pl.report(made([("z", "mixing", "EBM", 0.5)]))
    assert not nothing.axison
    alone.figure.draw_without_rendering()
    assert alone.get_tightbbox().width > 0.7 * alone.figure.bbox.width


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
