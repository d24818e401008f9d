"""How far the reference moves under surgery with weight decay: not at all, against scvi-tools and scarches' default.

python benchmarks/surgery/drift.py --data islets.h5ad --query inDrop_Baron
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from _common import QUIET, quiet, split

import scarches_plus as sp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--query", nargs="+", required=True)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--weight-decay", nargs="+", type=float, default=[0.0, 1e-6, 0.04])
    arguments = parser.parse_args()
    quiet()

    rows = []
    for model_name, recipe in (("SCVI", "scvi"), ("SCANVI", "scanvi")):
        reference, query = split(arguments.data, arguments.query)
        scvi.settings.seed = 0
        model = sp.tl.build_reference(
            reference, "batch", "cell_type", recipe=recipe, max_epochs=arguments.epochs, train_kwargs=QUIET
        )
        before = reference.obsm["X_scarches"]
        for weight_decay in arguments.weight_decay:
            plan = {"weight_decay": weight_decay}
            mapped = sp.tl.map_query(query, model, max_epochs=arguments.epochs, plan_kwargs=plan, train_kwargs=QUIET)
            theirs = getattr(scvi.model, model_name)
            cells = split(arguments.data, arguments.query)[1]
            cells.obs["cell_type"] = "Unknown"
            plain = theirs.load_query_data(cells, model)
            plain.train(arguments.epochs, plan_kwargs=plan, **QUIET)
            again = split(arguments.data, arguments.query)[0]
            rows.append(
                {
                    "model": model_name,
                    "weight decay": f"{weight_decay:g}",
                    "scarches_plus": float(np.abs(mapped.embed(reference) - before).max()),
                    f"scvi-tools {scvi.__version__}": float(
                        np.abs(plain.get_latent_representation(again) - before).max()
                    ),
                }
            )
    table = pd.DataFrame(rows).set_index(["model", "weight decay"])
    print(f"largest change of a latent coordinate of a reference cell, {arguments.epochs} epochs")
    print(table.to_string(float_format=repr))


if __name__ == "__main__":
    main()
