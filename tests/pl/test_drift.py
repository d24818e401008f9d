import matplotlib.pyplot as plt
import numpy as np
import pytest

import scarches_plus as sp

MOVED = "cells moved (spread of the cells = 1)"


def record(rmsd, batches=(), **more):
    drift = {"weights": 0.1, "relative_rmsd": rmsd, "neighbor_preservation": 1 - rmsd, **more}
    return {"new_batches": list(batches), "drift": drift}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_row_for_each_query():
    lineage = [
        record(0.1, ["a"], total_relative_rmsd=0.1),
        {"drift": {"weights": 0.2}, "new_batches": [*"abc"]},
        {"new_labels": {"delta": 3}},
        record(0.3, total_relative_rmsd=0.35),
    ]
    ax = sp.pl.drift(lineage, ax=plt.figure().gca())
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert rows == ["query 1 (a)", "query 2", "query 3"]
    assert list(ax.get_yticks()) == [2, 1, 0]
    bars = {one.get_label(): [bar.get_width() for bar in one] for one in ax.containers}
    assert list(bars) == [MOVED, "neighbours kept"]
    np.testing.assert_array_equal(bars[MOVED], [0.1, np.nan, 0.3])
    np.testing.assert_array_equal(bars["neighbours kept"], [0.9, np.nan, 0.7])
    diamonds = np.ma.filled(np.ma.concatenate([one.get_offsets() for one in ax.collections]), np.nan)
    assert diamonds[np.isfinite(diamonds).all(axis=1), 0].tolist() == [0.35]
    assert legend(ax) == [MOVED, "neighbours kept", "since the first reference (in brackets)"]
    texts = {text.get_text() for text in ax.texts}
    assert texts == {"0.10", "0.90", "0.30 (0.35)", "0.70", "cells were not at hand"}


@pytest.mark.parametrize("moved", [0.0, 1.0, 2.5])
def test_one_query_has_no_total_and_every_number_is_legible(moved):
    total = {"total_relative_rmsd": moved, "total_neighbor_preservation": 1.0}
    ax = sp.pl.drift([record(moved, neighbor_preservation=1.0, label_agreement=1.0, **total)])
    assert legend(ax) == [MOVED, "neighbours kept", "labels of neighbours kept"]
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(box.x1 < ax.get_legend().get_window_extent().x0 for box in boxes)


@pytest.mark.parametrize("lineage", [[], [{"drift": {"weights": 0.0}}]])
def test_nothing_to_draw_is_said(lineage):
    with pytest.raises(ValueError, match="drift_cells"):
        sp.pl.drift(lineage)
