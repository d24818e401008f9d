"""Every figure is legible at one label and at thirty, and draws without a warning."""

from itertools import pairwise

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scarches_plus as sp
from scarches_plus.metrics import Report

# scanpy 1.11 with matplotlib 3.11; pandas 3 of scanpy
WARNINGS = ("error", "ignore:The set_bad function:PendingDeprecationWarning", "ignore:The inplace keyword")


def cells(n):
    """Reference and query of `n` types, all of them known."""
    rng = np.random.default_rng(0)
    names = [f"a cell type of the body {place:02}" for place in range(n)]
    types = pd.Categorical.from_codes(np.arange(600) % n, categories=names)
    is_query = np.arange(600) // n % 2 == 1
    obs = pd.DataFrame(
        {
            "mapping_role": pd.Categorical(np.where(is_query, "query", "reference")),
            "cell_type": types,
            "cell_type_pred": types.add_categories("Unknown"),
            "cell_type_uncertainty": rng.random(600),
            "novel": rng.random(600) < 0.2,
            "novel_score": rng.random(600),
            "novel_label": types,
        },
        index=[f"cell {place}" for place in range(600)],
    )
    points = 10 * rng.normal(size=(n, 2))[types.codes] + rng.normal(size=(600, 2))
    record = {"novel": {"novel": {"threshold": 0.5, "judged": True}}}
    return ad.AnnData(obs=obs, obsm={"X_umap": points, "X_map": points}, uns={"scarches_plus": record})


def picture(joint):
    return sp.tl.ReferenceMap(
        np.asarray(joint.obsm["X_umap"]), np.asarray(joint.obsm["X_umap"]), np.ones(600, int),
        joint.obs["cell_type"].cat.codes.to_numpy(), tuple(joint.obs["cell_type"].cat.categories), None, "X_umap",
    )  # fmt: skip


def explained(n):
    names = [f"a cell type of the body {place:02}" for place in range(n)]
    return pd.DataFrame({"n_cells": 20, "accepted": 12, "uncertain": 5, "novel": 3}, index=names)


def compared(n):
    ratio = np.linspace(-1, 1, n) if n > 1 else np.array([0.5])
    ends = {"log2_ratio": ratio, "log2_ratio_low": ratio - 0.3, "log2_ratio_high": ratio + 0.3}
    return pd.DataFrame(
        {**ends, "n_cells1": 20, "n_cells2": 30, "group1": "a", "group2": "b"}, index=explained(n).index
    )


def called(n):
    lfc = np.linspace(-2, 2, 200)
    one = {"lfc_mean": lfc, "bayes_factor": np.abs(lfc), "is_de_fdr_0.05": np.abs(lfc) > 1.5}
    genes = [f"gene{place}" for place in range(200)]
    return pd.concat([pd.DataFrame({**one, "comparison": f"{name} vs Rest"}, genes) for name in explained(n).index])


def mapped(n):
    drift = {"relative_rmsd": 0.2, "neighbor_preservation": 0.9, "label_agreement": 1.0, "total_relative_rmsd": 0.3}
    return [{"new_batches": [f"batch{place}"], "drift": drift} for place in range(n)]


def scored(n):
    kinds = {"EBM": "mixing", "cLISI": "conservation", "KNI": "agreement"}
    rows = [
        {"embedding": f"X_{place}", "kind": kind, "score": score, "value": place / n, "chance": 0.0, "n_cells": 10,
         "seconds": 0.1}
        for place in range(n) for score, kind in kinds.items()
    ]  # fmt: skip
    return Report(pd.DataFrame(rows), pd.DataFrame())


def curves(n):
    table = pd.DataFrame({"confidence": [0.2, 0.9], "accuracy": [0.3, 0.8], "n_cells": [10, 90]})
    return {f"model {place}": table for place in range(n)}


#: What draws each figure of so many labels, or of so many queries, embeddings or models.
FIGURES = {
    "abundance": lambda n: sp.pl.abundance(compared(n)),
    "confusion_matrix": lambda n: sp.pl.confusion_matrix(cells(n), "cell_type"),
    "differential_expression": lambda n: sp.pl.differential_expression(called(n)),
    "drift": lambda n: sp.pl.drift(mapped(n)),
    "joint_umap": lambda n: sp.pl.joint_umap(cells(n), color="cell_type_pred"),
    "label_summary": lambda n: sp.pl.label_summary(explained(n)),
    "novelty": lambda n: sp.pl.novelty(cells(n)),
    "reference_map": lambda n: sp.pl.reference_map(picture(cells(n)), cells(n), color="cell_type", novel_key="novel"),
    "reliability": lambda n: sp.pl.reliability(curves(n)),
    "report": lambda n: sp.pl.report(scored(n))[0],
    "uncertainty_by_type": lambda n: sp.pl.uncertainty_by_type(cells(n), "cell_type"),
}


def test_no_figure_is_left_out():
    assert set(FIGURES) == set(sp.pl.__all__)


@pytest.mark.filterwarnings(*WARNINGS)
@pytest.mark.parametrize("n", [1, 30])
@pytest.mark.parametrize("name", FIGURES)
def test_one_label_and_thirty(name, n):
    ax = FIGURES[name](n)
    figure = ax.get_figure()
    figure.canvas.draw()
    assert ax in figure.axes
    labels = [text for text in ax.get_yticklabels() if text.get_text()]
    boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: box.y0)
    overlaps = [(one, other) for one, other in pairwise(boxes) if one.y1 > other.y0 + 1]
    assert not overlaps, "names of rows lie over each other"
    for one in figure.axes:
        box = one.get_tightbbox()
        assert figure.bbox.x0 - 2 <= box.x0, "something is cut off"
        assert box.x1 <= figure.bbox.x1 + 2, "something is cut off"
        assert figure.bbox.y0 - 2 <= box.y0, "something is cut off"
        assert box.y1 <= figure.bbox.y1 + 2, "something is cut off"
    plt.close(figure)
