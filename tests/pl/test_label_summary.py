import numpy as np
import pandas as pd
import pytest

from scarches_plus.pl import label_summary


def test_bars_are_shares():
    summary = pd.DataFrame(
        {"n_cells": [8, 2], "accepted": [6, 0], "uncertain": [1, 1], "novel": [1, 1]}, index=["T", "B"]
    )
    ax = label_summary(summary)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["B (2)", "T (8)"]
    widths = np.array([[bar.get_width() for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(widths, [[0, 0.75], [0.5, 0.125], [0.5, 0.125]])
    starts = np.array([[bar.get_x() for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(starts, np.vstack([[0, 0], widths.cumsum(axis=0)[:-1]]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["accepted", "uncertain", "novel"]
    with pytest.raises(ValueError, match="lacks"):
        label_summary(summary.drop(columns="novel"))
    with pytest.raises(ValueError, match="no label"):
        label_summary(summary.iloc[:0])
