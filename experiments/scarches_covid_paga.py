"""scArches, Fig. 4 and Suppl. Fig. 9: cells of COVID-19 patients onto a healthy reference; macrophages by PAGA.

    python experiments/scarches_covid_paga.py --small

"(1) preservation of biological variation of healthy cell states; (2) integration of matching cell types between healthy
reference and disease query; and (3) preservation of distinct disease variation ... MoMs were placed in closer proximity
to monocytes than TRAMs in our embedding, reflecting their ontological relationship (PAGA)." Activated CD8+ T cells
separate from those of the reference.

Small: three healthy studies and a query of control, moderate and severe patients, simulated. Macrophages that derive
from monocytes (MoM) lie on a trajectory from monocytes to their end, in patients only, severe ones above all; CD8+ T
cells of patients express 20 genes three times as much. The model is the recipe ``cvae``, as in the paper. The identity
leaves the cells as they are. Public cells: GSE145926 (bronchoalveolar lavage); the paper's reference is of seven
studies, which nobody has published as one file, so that this script has no mode for real cells."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from _experiment import IDENTITY, Claim, as_they_are, labels_of, main, mapped, reference, with_embedding

import scarches_plus as sp

NAMES = {"type0": "CD8 T", "type1": "B", "type2": "monocyte", "type3": "MoM", "type4": "TRAM", "type5": "epithelial"}
HEALTHY = ["batch0", "batch1", "batch2"]
CONTROL, MODERATE, SEVERE = "batch3", "batch4", "batch5"


def cells(seed):
    rng = np.random.default_rng(seed)
    adata = sp.datasets.simulate(
        [300, 300, 300, 200, 200, 250], 300, 6, n_batches=6, type_effect=0.5, batch_effect=0.3,
        missing_types={batch: ["type3"] for batch in [*HEALTHY, CONTROL]},
        trajectories={("type2", "type3"): 0.2}, rng=seed,
    )  # fmt: skip
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).map(NAMES)
    patients = adata.obs["batch"].isin([MODERATE, SEVERE]).to_numpy()
    activated = patients & (labels_of(adata) == "CD8 T")
    signature = rng.choice(adata.n_vars, 20, replace=False)
    counts = adata.X.toarray()
    counts[np.ix_(activated, signature)] += rng.poisson(2 * counts.mean(axis=0)[signature], (activated.sum(), 20))
    adata.X = type(adata.X)(counts)
    adata.obs["state"] = np.where(activated, "activated CD8 T", labels_of(adata))
    few = (labels_of(adata) == "MoM") & (adata.obs["batch"] == MODERATE).to_numpy()
    adata = adata[~few | (rng.random(adata.n_obs) < 0.4)].copy()
    healthy = adata.obs["batch"].isin(HEALTHY).to_numpy()
    return adata[healthy].copy(), adata[~healthy].copy()


def connectivity(z, states):
    """Return PAGA's connectivities between states."""
    joint = anndata.AnnData(obs=pd.DataFrame({"state": pd.Categorical(states)}), obsm={"X": z})
    sc.pp.neighbors(joint, use_rep="X", n_neighbors=15, random_state=0)
    sc.tl.paga(joint, groups="state")
    names = joint.obs["state"].cat.categories
    return pd.DataFrame(joint.uns["paga"]["connectivities"].toarray(), names, names)


def run(options):
    healthy, query = cells(options.seed)
    if options.method == IDENTITY:
        parts = as_they_are(healthy, query)
    else:
        model = reference(healthy, seed=options.seed, epochs=options.epochs or 60, recipe="cvae")
        mapped(query, model, seed=options.seed, epochs=options.epochs or 100)
        parts = [healthy.obsm["X_scarches"], query.obsm["X_scarches"]]
    z, states = np.concatenate(parts), np.concatenate([labels_of(healthy, "state"), labels_of(query, "state")])
    in_query = np.repeat([False, True], [healthy.n_obs, query.n_obs])
    paga = connectivity(z, states)
    ours, theirs = with_embedding(query, parts[1]), with_embedding(healthy, parts[0])
    sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X", unknown_above=None)
    control = labels_of(query, "batch") == CONTROL
    accuracy = (labels_of(ours, "cell_type_pred") == labels_of(query))[control].mean()
    mixing = pd.Series(sp.metrics.batch_entropy(z, in_query.astype(str), k=15, normalize=True)).groupby(states).mean()
    purity = sp.metrics.label_purity(z, states, k=15)
    matching = ["B", "TRAM", "epithelial"]
    cd8 = np.isin(states, ["CD8 T", "activated CD8 T"])
    within = sp.metrics.label_purity(z[cd8], states[cd8], k=15)["activated CD8 T"]
    chance = (states[cd8] == "activated CD8 T").mean()
    table = pd.DataFrame({"purity": purity, "EBM, reference and query": mixing, "PAGA to MoM": paga["MoM"]})
    return table.rename_axis("state").reset_index(), [
        Claim("healthy states of the query keep their labels (accuracy)", accuracy, 0.85),
        Claim("matching types of reference and query integrate (EBM)", mixing[matching].mean(), 0.4),
        Claim("MoMs, unseen in the reference, are a cluster of their own (purity)", purity["MoM"], 0.35),
        Claim("MoMs lie closer to monocytes than TRAMs do (PAGA)",
              paga.loc["monocyte", "MoM"] - paga.loc["monocyte", "TRAM"], 0.1),
        Claim("MoMs lie closer to monocytes than to TRAMs (PAGA)",
              paga.loc["monocyte", "MoM"] - paga.loc["TRAM", "MoM"], 0.0, asserted=False),
        Claim("activated CD8 T cells part from the others (purity above chance)", within - chance, 0.1),
    ]  # fmt: skip


if __name__ == "__main__":
    main(run, __doc__, takes_data=False)
