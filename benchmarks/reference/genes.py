"""Compare numbers of genes, and ways to choose them, by accuracy of labels on batches left out in turn.

    OMP_NUM_THREADS=1 python benchmarks/reference/genes.py FILE.h5ad --batch-key batch --labels-key cell_type

Every batch in turn is the query of a reference of the others (of all, where there are but two). Prints one row for each
number of genes and way of joining studies: accuracy and mean accuracy of labels over batches and seeds, the smallest
accuracy, and seconds of training.
"""

import argparse
import time
import warnings

import anndata
import numpy as np
import pandas as pd
import scvi

import scarches_plus as sp

warnings.simplefilter("ignore")


def choose(reference, args, n, join):
    if join == "all":
        return list(reference.var_names)
    if join == "random":
        return list(np.random.default_rng(n).choice(reference.var_names, n, replace=False))
    flavor = "seurat" if join == "union" else "seurat_v3"
    n_each = n // 2 if join == "union" else n
    selection = sp.pp.select_genes(reference, args.batch_key, n_each, join=join, flavor=flavor, inplace=False)
    return list(selection.genes)


def map_one(adata, batch, genes, args, seed):
    in_query = (adata.obs[args.batch_key] == batch).to_numpy()
    reference, query = adata[~in_query, genes].copy(), adata[in_query, genes].copy()
    scvi.settings.seed = seed
    begun = time.process_time()
    quiet = {"train_kwargs": {"enable_progress_bar": False}}
    model = sp.tl.build_reference(
        reference, args.batch_key, args.labels_key, recipe=args.recipe, max_epochs=args.epochs, **quiet
    )
    seconds = time.process_time() - begun
    sp.tl.map_query(query, model, max_epochs=args.epochs, **quiet)
    sp.tl.transfer_labels(query, reference, args.labels_key, unknown_above=1.0)
    known = query.obs[args.labels_key].isin(reference.obs[args.labels_key].unique()).to_numpy()
    truth = query.obs[args.labels_key].astype(str).to_numpy()[known]
    right = (query.obs[f"{args.labels_key}_pred"].astype(str).to_numpy()[known] == truth).astype(float)
    return {
        "accuracy": right.mean(),
        "mean_accuracy": pd.Series(right).groupby(truth).mean().mean(),
        "genes": len(genes),
        "cpu_seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--batch-key", default="batch")
    parser.add_argument("--labels-key", default="cell_type")
    parser.add_argument("--n", type=int, nargs="+", default=[250, 500, 1000, 2000, 4000])
    parser.add_argument("--joins", nargs="+", default=["rank", "studies", "union", "random", "all"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="those of the recipe by default")
    parser.add_argument("--recipe", default="scanvi")
    parser.add_argument("--cells", type=int, help="draw so many")
    args = parser.parse_args()
    adata = anndata.read_h5ad(args.file)
    labels = adata.obs[args.labels_key].astype(str)
    adata = adata[~labels.isin(["Unknown", "nan"])].copy()
    if args.cells and args.cells < adata.n_obs:
        adata = adata[np.sort(np.random.default_rng(0).choice(adata.n_obs, args.cells, replace=False))].copy()
    for join in args.joins:
        for n in args.n if join != "all" else [adata.n_vars]:
            rows = []
            for batch in adata.obs[args.batch_key].unique():
                reference = adata[adata.obs[args.batch_key] != batch].copy()
                genes = choose(reference, args, n, join)
                rows += [map_one(adata, batch, genes, args, seed) for seed in range(args.seeds)]
            table = pd.DataFrame(rows)
            means = table.mean()
            print(
                f"{join:8s} n={n:5d} genes {means['genes']:6.0f} accuracy {means['accuracy']:.3f} "
                f"(least {table['accuracy'].min():.3f}, sd {table['accuracy'].std():.3f}) "
                f"by type {means['mean_accuracy']:.3f} cpu {means['cpu_seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
