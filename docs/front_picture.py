"""Draw the picture of the front page: a reference, a query labelled by it, and cells that the reference lacks.

python docs/front_picture.py    # writes docs/_static/front.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import scanpy as sc
import scvi

import scarches_plus as sp

LANES = [f"lane{i}" for i in range(1, 6)]
#: Column, title and legend of each panel; the first two share a legend.
PANELS = {
    "cell_type": ("true types; the reference has no B cells", "right margin"),
    "cell_type_pred": ("transferred labels; grey: unknown", None),
    "novelty": ("novelty", "right margin"),
}
OUT = Path(__file__).parent / "_static" / "front.png"


def mapped():
    """Map three lanes of PBMC onto five without B cells; return both, with labels and novelty."""
    cells = sp.datasets.pbmc68k()
    of_reference = cells.obs["batch"].isin(LANES) & (cells.obs["cell_type"] != "CD19+ B")
    reference, query = cells[of_reference].copy(), cells[~cells.obs["batch"].isin(LANES)].copy()
    scvi.settings.seed = 0
    model = sp.tl.build_reference(reference, "batch", "cell_type", recipe="scanvi")
    sp.tl.map_query(query, model)
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    sp.tl.transfer_labels(query, reference, "cell_type", novel_key="novel")
    query.obs["novelty"] = query.obs["novel"].map({True: "novel", False: "known"}).astype("category")
    return sp.tl.joint_embedding(reference, query)


def main():
    joint = mapped()
    sc.pp.neighbors(joint, use_rep="X_scarches", random_state=0)
    sc.tl.umap(joint, random_state=0)
    query = joint.obs[joint.obs["mapping_role"] == "query"]
    is_b = query["cell_type"] == "CD19+ B"
    novel, unknown = query["novelty"] == "novel", query["cell_type_pred"] == "Unknown"
    print(f"B cells: {novel[is_b].mean():.0%} novel, {unknown[is_b].mean():.0%} unknown")
    print(f"others: {novel[~is_b].mean():.0%} novel, {unknown[~is_b].mean():.0%} unknown")
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    for ax, (key, (title, legend)) in zip(axes, PANELS.items(), strict=True):
        sp.pl.joint_umap(joint, color=key, ax=ax, title=title, legend_loc=legend)
    figure.savefig(OUT, dpi=150, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    main()
