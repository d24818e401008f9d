"""The page on new labels, as far as scanpy draws the markers of novel clusters."""

import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc

import scarches_plus as sp

PAGE = (Path(__file__).parent.parent.parent / "docs" / "guide" / "new_labels.md").read_text()


def block(containing):
    return next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if containing in code)


def test_the_dot_plots_are_of_log_normalised_counts(monkeypatch):
    plt.switch_backend("agg")
    query = sp.datasets.simulate(300, 60, 3, rng=0)
    counts = query.X.copy()
    types = query.obs["cell_type"].astype(str)
    query.obs["novel_cluster"] = pd.Categorical(np.where(types == "type0", None, types))
    query.obs["novel_named"] = pd.Categorical(types)
    drawn = []
    draw = sc.pl.DotPlot.make_figure
    monkeypatch.setattr(sc.pl.DotPlot, "make_figure", lambda plot: drawn.append(plot) or draw(plot))
    markers = block("rank_genes(query").split("sp.tl.rank_genes")[1].split("\n\n")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for code in ("sp.tl.rank_genes" + markers, block('groupby="novel_named"')):
            exec(code, {"query": query, "sc": sc, "sp": sp})  # noqa: S102 (the page's own code)
    plt.close("all")
    assert [list(plot.dot_color_df.index) for plot in drawn] == [["type1", "type2"], ["type0", "type1", "type2"]]
    logged = sc.pp.log1p(sc.pp.normalize_total(query, inplace=False)["X"])
    expected = pd.DataFrame(logged.toarray() if hasattr(logged, "toarray") else logged, columns=query.var_names)
    means = expected.groupby(types.to_numpy()).mean()
    for plot in drawn:
        shown = plot.dot_color_df
        np.testing.assert_allclose(shown, means.loc[shown.index, shown.columns], rtol=1e-4)
    assert (counts != query.X).sum() == 0
