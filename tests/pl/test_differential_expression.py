import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from scarches_plus.pl import differential_expression

HIGHER, LOWER = "#d55e00", "#0072b2"


def made(comparison="B vs Rest", n=100, n_called=6, prefix=""):
    """As ``mode="change"``: fold changes from -2 to 2; the outer genes are called."""
    lfc = np.linspace(-2, 2, n)
    called = np.abs(lfc) >= np.sort(np.abs(lfc))[n - n_called]
    genes = [f"{prefix}gene{i}" for i in range(n)]
    values = {"bayes_factor": 4 * np.abs(lfc) - 2, "lfc_mean": lfc, "is_de_fdr_0.05": called, "comparison": comparison}
    return pd.DataFrame(values, index=genes)


def dots(ax):
    return {one.get_label(): one for one in ax.collections}


def named(ax):
    return {text.get_text() for text in ax.texts}


def test_volcano():
    table = made()
    ax = differential_expression(table)
    assert set(dots(ax)) == {"higher (3)", "lower (3)", "not called (94)"}
    for name, color, rows in (("higher (3)", HIGHER, slice(-3, None)), ("lower (3)", LOWER, slice(3))):
        expected = table[["lfc_mean", "bayes_factor"]].to_numpy()[rows]
        np.testing.assert_allclose(dots(ax)[name].get_offsets(), expected)
        assert to_hex(dots(ax)[name].get_facecolor()[0])[:7] == color
    assert named(ax) == {f"gene{i}" for i in (0, 1, 2, 97, 98, 99)}
    assert ax.get_title() == "B vs Rest"
    assert named(differential_expression(table, n_genes=2)) == {"gene0", "gene99"}
    assert named(differential_expression(table, n_genes=0)) == set()


def test_names_overlap_neither_each_other_nor_their_points():
    table = made(n=2000, n_called=40)
    table["lfc_mean"] = np.where(table["lfc_mean"] > 0, 1, -1) * (1 + 0.001 * np.arange(2000))
    ax = differential_expression(table, n_genes=40)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 40
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    points = ax.transData.transform(table.loc[list(named(ax)), ["lfc_mean", "bayes_factor"]])
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_without_a_verdict_the_bayes_factor_calls():
    table = pd.DataFrame(
        {"bayes_factor": [4.0, -5, 2, np.nan], "scale1": [4e-4, 1e-4, 3e-4, 1e-4], "scale2": [1e-4, 4e-4, 1e-4, 1e-4]},
        index=["up", "down", "none", "broken"],
    )
    ax = differential_expression(table)
    np.testing.assert_allclose(dots(ax)["higher (1)"].get_offsets(), [[2, 4]])
    np.testing.assert_allclose(dots(ax)["lower (1)"].get_offsets(), [[-2, 5]])
    np.testing.assert_allclose(dots(ax)["not called (1)"].get_offsets(), [[np.log2(3), 2]])
    table["is_de_bf_3"] = [False, True, False, False]
    assert set(dots(differential_expression(table))) == {"higher (0)", "lower (1)", "not called (2)"}


def test_words_and_infinite_factors():
    """A table read from a file says in words what is called; the surest genes stay in the picture."""
    table = made()
    expected = set(dots(differential_expression(table)))
    column = next(name for name in table if name.startswith("is_de_"))
    assert set(dots(differential_expression(table.assign(**{column: table[column].astype(str)})))) == expected
    called = int(table[column].sum())
    infinite = table.assign(bayes_factor=table["bayes_factor"].where(~table[column].astype(bool), np.inf))
    shown = [int(name.split("(")[1].rstrip(")")) for name in dots(differential_expression(infinite))]
    assert sum(shown) == len(table)
    assert sum(shown[:2]) == called
    with pytest.raises(ValueError, match="not \\['maybe'\\]"):
        differential_expression(table.assign(**{column: "maybe"}))


def test_several_comparisons_have_a_row_each():
    table = pd.concat([made("B vs Rest", n_called=8, prefix="b"), made("T vs Rest", prefix="t"), made("x")])
    table.loc[table["comparison"] == "x", "is_de_fdr_0.05"] = False
    ax = differential_expression(table)
    rows = {text.get_text(): place for text, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    assert list(rows) == ["B vs Rest", "T vs Rest", "x"]
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in ax.containers}
    assert widths == {"higher in the first group": [4, 3, 0], "lower in the first group": [-4, -3, 0]}
    of_b = {text.get_text() for text in ax.texts if text.xy[1] == rows["B vs Rest"]}
    assert of_b == {"bgene99, bgene98, bgene97", "bgene0, bgene1, bgene2"}
    assert "none" in named(ax)
    assert differential_expression(table, "T vs Rest").get_title() == "T vs Rest"


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"lacks \['bayes_factor', 'scale1', 'scale2'\]: pass what model"):
        differential_expression(pd.DataFrame({"pvals": [0.1]}))
    with pytest.raises(ValueError, match=r"'T vs Rest' is not in the table, which has \['B vs Rest'\]"):
        differential_expression(made(), "T vs Rest")
    with pytest.raises(ValueError, match="no gene"):
        differential_expression(made().iloc[:0])
