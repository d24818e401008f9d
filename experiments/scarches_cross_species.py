"""scArches, Fig. 3j, k: mouse cells (MCA) onto a human reference (HCL), through one-to-one orthologs.

    python experiments/scarches_cross_species.py --small
    python experiments/scarches_cross_species.py --data hcl.h5ad --mouse mca.h5ad

"we do not expect all cell types to overlap across species. Yet, we find that specifically similar immune cell types,
such as neutrophils and macrophages, were clustered together across species while species-specific cell types were
placed separately."

Small: simulated cells under the names of real genes, those of the query in mouse, with a batch effect as strong as the
types; one type is in mouse only, one in human only. The genes of the mouse go through ``sp.pp.map_orthologs``, whose
table comes with the package. The identity leaves the cells as they are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _experiment import (
    IDENTITY,
    Claim,
    as_they_are,
    labels_of,
    main,
    mapped,
    most_variable,
    read,
    reference,
    with_embedding,
)

import scarches_plus as sp

ARGUMENTS = {"--mouse": {"help": "an h5ad file of mouse cells, beside --data of human ones"}}


def cells(options):
    """Return human and mouse cells, each with the gene names of its species."""
    if options.data:
        return read(options.data, None), read(options.mouse, None)
    genes = sp.datasets.pbmc68k().var_names
    as_human, _ = sp.pp.map_orthologs(sp.pp.map_orthologs(sp.datasets.pbmc68k(), "human")[0], "mouse")
    genes = [gene for gene in genes if gene in set(as_human.var_names)][:300]  # those with one partner in mouse
    missing = {"batch0": ["type7"], "batch1": ["type7"], "batch2": ["type0"]}
    adata = sp.datasets.simulate(
        [500, 500, 500], len(genes), 8, n_batches=3, branching=8, type_effect=0.6, batch_effect=[0.3, 0.3, 0.6],
        missing_types=missing, rng=options.seed,
    )  # fmt: skip
    adata.var_names = genes
    of_mouse = (adata.obs["batch"] == "batch2").to_numpy()
    del adata.varm
    mouse, _ = sp.pp.map_orthologs(adata[of_mouse].copy(), "human")
    return adata[~of_mouse].copy(), mouse


def on_shared_genes(human, mouse, n_genes=2000):
    """Return both on the genes with one partner, those that vary most among human cells; and the share with one."""
    as_human, _ = sp.pp.map_orthologs(mouse, "mouse")
    partners = set(as_human.var_names)
    human = human[:, [gene for gene in human.var_names if gene in partners]]
    genes = most_variable(human, n_genes)
    return human[:, genes].copy(), as_human[:, genes].copy(), human.n_vars / mouse.n_vars


def run(options):
    human, query, share = on_shared_genes(*cells(options))
    if options.method == IDENTITY:
        parts = as_they_are(human, query)
    else:
        model = reference(human, seed=options.seed, epochs=options.epochs or 60)
        mapped(query, model, seed=options.seed, epochs=options.epochs or 150)
        parts = [human.obsm["X_scarches"], query.obsm["X_scarches"]]
    z = np.concatenate(parts)
    species = np.repeat(["human", "mouse"], [human.n_obs, query.n_obs])
    types = np.concatenate([labels_of(human), labels_of(query)])
    entropy = pd.Series(sp.metrics.batch_entropy(z, species, k=15, normalize=True)).groupby(types).mean()
    common = sorted(set(labels_of(human)) & set(labels_of(query)))
    own = sorted(set(types) - set(common))
    ours, theirs = with_embedding(query, parts[1]), with_embedding(human, parts[0])
    sp.tl.transfer_labels(ours, theirs, "cell_type", use_rep="X", unknown_above=None)
    right = labels_of(ours, "cell_type_pred") == labels_of(query)
    accuracy = right[np.isin(labels_of(query), common)].mean()
    table = entropy.rename("EBM of species").rename_axis("cell type").reset_index()
    table["in"] = ["both" if one in common else "one species" for one in table["cell type"]]
    return table, [
        Claim("genes of the mouse find their partners (share)", share, 0.8),
        Claim("types of both species lie together (EBM)", entropy[common].mean(), 0.05),
        Claim("types of one species lie apart (EBM, difference)", entropy[common].mean() - entropy[own].mean(), 0.05),
        Claim("types of both are recognised across species (accuracy)", accuracy, 0.8),
    ]


if __name__ == "__main__":
    main(run, __doc__, ARGUMENTS)
