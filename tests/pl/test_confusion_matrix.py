import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.axes import Axes

from scarches_plus.pl import confusion_matrix


def rows(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def columns(ax):
    return [text.get_text() for text in ax.get_xticklabels()]


def table(ax):
    return pd.DataFrame(np.asarray(ax.images[0].get_array()), rows(ax), columns(ax))


def small():
    obs = pd.DataFrame(
        {
            "label": ["A", "A", "A", "A", "B", "B", "Z", "Z", None, "Unknown"],
            "label_pred": ["A", "A", "B", "Unknown", "B", "B", "C", "Unknown", "A", "A"],
        },
        index=[f"c{i}" for i in range(10)],
    )
    return AnnData(obs=obs.astype("category"))


def test_draws_the_shares(assert_unchanged):
    adata = small()
    assert_unchanged(adata)
    ax = confusion_matrix(adata, "label")
    assert_unchanged(adata)
    assert isinstance(ax, Axes)
    expected = pd.DataFrame(
        [[0.5, 0.25, 0, 0.25], [0, 1, 0, 0], [0, 0, 0.5, 0.5]],
        ["A (4)", "B (2)", "Z (2)"],
        ["A", "B", "C", "Unknown"],
    )
    pd.testing.assert_frame_equal(table(ax), expected)
    notes = {text.get_position(): text.get_text() for text in ax.texts}
    assert notes == {
        (0, 0): "0.50", (1, 0): "0.25", (3, 0): "0.25", (1, 1): "1.00", (2, 2): "0.50", (3, 2): "0.50"
    }  # fmt: skip
    assert ax.images[0].get_clim() == (0, 1)


def test_draws_the_counts():
    ax = confusion_matrix(small(), "label", normalize=False)
    np.testing.assert_array_equal(table(ax), [[2, 1, 0, 1], [0, 2, 0, 0], [0, 0, 1, 1]])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "1", "1", "1", "2", "2"]


def test_types_on_the_diagonal_and_unknown_last(query):
    ax = confusion_matrix(query, "cell_type")
    assert [row.split(" (")[0] for row in rows(ax)] == ["alpha", "beta", "ductal", "delta"]
    assert columns(ax) == ["alpha", "beta", "ductal", "Unknown"]
    counts = pd.crosstab(query.obs["cell_type"], query.obs["cell_type_pred"], normalize="index")
    np.testing.assert_allclose(table(ax), counts.loc[["alpha", "beta", "ductal", "delta"], columns(ax)])


def test_order_of_the_categories():
    adata = small()
    adata.obs["label"] = adata.obs["label"].cat.reorder_categories(["Unknown", "Z", "B", "A"])
    ax = confusion_matrix(adata, "label")
    assert rows(ax) == ["B (2)", "A (4)", "Z (2)"]
    assert columns(ax) == ["B", "A", "C", "Unknown"]


def test_other_columns_and_names():
    adata = small()
    adata.obs["other"] = ["A"] * 7 + ["nope"] * 3
    ax = confusion_matrix(adata, "label", "other", unknown_category="nope")
    assert columns(ax) == ["A", "nope"]
    adata.obs["number"] = [1, 1, 2, 2, 1, 2, 1, 2, 1, 2]
    assert rows(confusion_matrix(adata, "number", "number")) == ["1 (5)", "2 (5)"]


def test_axes_are_called_as_the_columns_are():
    adata = small()
    adata.obs["author_label"] = adata.obs["label"]
    ax = confusion_matrix(adata, "author_label", "label_pred")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("label_pred", "author_label (cells)")
    adata.obs["a$b$"] = adata.obs["label"]
    assert confusion_matrix(adata, "a$b$", "label_pred").get_ylabel() == "a$b$ (cells)"
    assert not ax.yaxis.label.get_parse_math()


def test_text_is_readable():
    ax = confusion_matrix(small(), "label")
    assert {text.get_text(): text.get_color() for text in ax.texts} == {
        "0.25": "black",
        "0.50": "black",
        "1.00": "white",
    }


def test_ax():
    figure, ax = plt.subplots()
    assert confusion_matrix(small(), "label", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


def test_errors():
    adata = small()
    with pytest.raises(KeyError, match="column 'type' not found"):
        confusion_matrix(adata, "type")
    del adata.obs["label_pred"]
    with pytest.raises(
        KeyError, match=r"column 'label_pred' not found.*; run sp.tl.transfer_labels\(query, reference, 'label'\)"
    ):
        confusion_matrix(adata, "label")
    adata.obs["label_pred"] = np.nan
    with pytest.raises(ValueError, match="no cell has a label in both"):
        confusion_matrix(adata, "label")
