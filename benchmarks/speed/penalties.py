"""What a penalty adds to a step of training, beside the same model without it.

    python benchmarks/speed/penalties.py [--penalty mmd adversary ewc] [--repeats 5]

5,000 cells x 2,000 genes, minibatches of 128, the network of recipe "scvi", NB. Two models train in turns of one epoch
within one process; a turn's preparation is not counted. MMD with 3, 30 and 100 batches, on the decoder's first layer;
EWC beside the fine-tuning of all weights; the adversary with two discriminators. CPU seconds on one thread, in this
package's loop; ``--engine scvi`` measures steps of lightning's.
"""

import argparse
from statistics import median

import scvi
from _common import quiet, write_row
from reference_training import seconds_per_epoch

import scarches_plus as sp
from scarches_plus.model import RECIPES, SCVI
from scarches_plus.train import EWC, MMD, BatchAdversary, estimate_importance

NETWORK = {**RECIPES["scvi"].model_kwargs, "gene_likelihood": "nb"}


def reference(n_batches):
    adata = sp.datasets.simulate(5000, 2000, 8, n_batches=n_batches, mean_depth=600.0, rng=0)
    SCVI.setup_anndata(adata, batch_key="batch")
    scvi.settings.seed = 0
    return SCVI(adata, **NETWORK)


def query():
    adata = sp.datasets.simulate([2000, 5000], 2000, 8, n_batches=2, mean_depth=600.0, rng=0)
    first = (adata.obs["batch"] == "batch0").to_numpy()
    ref = adata[first].copy()
    SCVI.setup_anndata(ref, batch_key="batch")
    model = SCVI(ref, **NETWORK)
    model.train(3, enable_progress_bar=False)
    estimate_importance(model, n_cells=500)
    return SCVI.load_query_data(adata[~first].copy(), model, strategy="all")


CASES = {
    "mmd": [(f"MMD, {n} batches", lambda n=n: reference(n), MMD(on="decoder")) for n in (3, 30, 100)]
    + [("MMD on z, 3 batches", lambda: reference(3), MMD())],
    "adversary": [
        ("adversary, 3 batches", lambda: reference(3), BatchAdversary()),
        ("adversary, 30 batches", lambda: reference(30), BatchAdversary()),
    ],
    "ewc": [("EWC, all weights", query, EWC())],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--penalty", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", choices=["auto", "scvi"], default="auto")
    options = parser.parse_args()
    quiet(options.threads)
    for kind in options.penalty:
        for name, build, penalty in CASES[kind]:
            model = build()
            pairs = [
                tuple(
                    seconds_per_epoch(model, penalties=penalties, engine=options.engine)
                    for penalties in ([], [penalty])
                )
                for _ in range(options.repeats)
            ]
            ratios = [with_it / without for without, with_it in pairs]
            row = {
                "case": name,
                "engine": options.engine,
                "plain_s_per_epoch": f"{median(pair[0] for pair in pairs):.3f}",
                "with_penalty_s": f"{median(pair[1] for pair in pairs):.3f}",
                "ratio": f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            }
            write_row("penalties", row)


if __name__ == "__main__":
    main()
