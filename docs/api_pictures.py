"""Draw the pictures of the API's pages of figures, on real PBMC, into docs/_static/pl.

python docs/api_pictures.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import scanpy as sc
import scvi

import scarches_plus as sp

OUT = Path(__file__).parent / "_static" / "pl"


def visit():
    """Map three lanes onto five that lack B cells; return reference, query, both, and the models."""
    adata = sp.datasets.pbmc68k()
    of_reference = adata.obs["batch"].isin([f"lane{one}" for one in range(1, 6)])
    is_b = adata.obs["cell_type"] == "CD19+ B"
    reference, query = adata[of_reference & ~is_b].copy(), adata[~of_reference].copy()
    model = sp.tl.build_reference(reference, "batch", "cell_type", recipe="scanvi")
    mapped = sp.tl.map_query(query, model)
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    sp.tl.transfer_labels(query, reference, "cell_type", probabilities=True)
    joint = sp.tl.joint_embedding(reference, query)
    sc.pp.neighbors(joint, use_rep="X_scarches")
    sc.tl.umap(joint)
    return reference, query, joint, mapped


def curve(reference, query):
    cells = sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=None, copy=True)
    known = query.obs["cell_type"].isin(set(reference.obs["cell_type"])).to_numpy()
    right = (cells.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).to_numpy()
    return sp.metrics.reliability_curve(1 - cells.obs["cell_type_uncertainty"][known], right[known], n_bins=8)


def pictures(reference, query, joint, mapped):
    """Return what draws each public figure."""
    picture = sp.tl.reference_map(reference, labels_key="cell_type")
    sp.tl.place(query, picture)
    why = sp.tl.explain_labels(query, reference, "cell_type", batch_key="batch", novel_key="novel")
    shares = sp.tl.differential_abundance(query, "cell_type_pred", "batch", groups=["lane6", "lane7"])
    genes = mapped.differential_expression(
        query, groupby="cell_type_pred", group1="CD14+ Monocyte", group2="Dendritic", silent=True
    )
    report = sp.metrics.evaluate(joint, "X_scarches", "batch", labels_key="cell_type", progress=False)
    return {
        "abundance": lambda: sp.pl.abundance(shares),
        "confusion_matrix": lambda: sp.pl.confusion_matrix(query, "cell_type"),
        "differential_expression": lambda: sp.pl.differential_expression(genes),
        "drift": lambda: sp.pl.drift(mapped.state.lineage),
        "joint_umap": lambda: sp.pl.joint_umap(joint, color="cell_type_pred"),
        "label_summary": lambda: sp.pl.label_summary(sp.tl.label_summary(why)),
        "novelty": lambda: sp.pl.novelty(query),
        "reference_map": lambda: sp.pl.reference_map(picture, query, color="cell_type_pred", novel_key="novel"),
        "reliability": lambda: sp.pl.reliability(curve(reference, query)),
        "report": lambda: sp.pl.report(report),
        "uncertainty_by_type": lambda: sp.pl.uncertainty_by_type(query, "cell_type"),
    }


def main():
    mpl.use("agg")
    sp.settings.verbosity = "quiet"
    scvi.settings.seed = 0
    OUT.mkdir(exist_ok=True)
    drawn = pictures(*visit())
    if missing := set(sp.pl.__all__) - set(drawn):
        message = f"no picture of {sorted(missing)}"
        raise SystemExit(message)
    for name, draw in drawn.items():
        draw()
        plt.gcf().savefig(OUT / f"{name}.png", dpi=75, bbox_inches="tight")
        plt.close("all")
        print(f"wrote {name}.png", flush=True)


if __name__ == "__main__":
    main()
