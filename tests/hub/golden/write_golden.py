"""Write bundles as this version of scvi-tools makes them, and what they make of cells. Run once for each release:

PYTHONPATH=src:tests python tests/hub/golden/write_golden.py

What is there already stays: later versions must read it for ever.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import scvi
from golden_cells import MAPPINGS, answers
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, reference, split, train

import scarches_plus as sp

SMALL = {"n_hidden": 8, "n_latent": 3}
FOLDER = Path(__file__).parent / f"scvi-tools-{version('scvi-tools')}"


def main():
    adata = cells(n_cells=180)
    adata.obs["donor"] = [f"donor{i % 2}" for i in range(adata.n_obs)]
    adata.obs["age"] = np.linspace(0, 1, adata.n_obs)
    ref, query = split(adata, "batch2")
    models = {
        "scvi": reference(SCVI, ref.copy(), **SMALL),
        "scanvi": reference(SCANVI, ref.copy(), **SMALL),
        "totalvi": reference(TOTALVI, as_taken(TOTALVI, ref), **SMALL),
        "covariates": reference(
            SCVI, ref.copy(), setup_kwargs={"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]},
            dispersion="gene-batch", **SMALL,
        ),
    }  # fmt: skip
    sp.train.store_anchors(models["scvi"], n_cells=20)
    sp.train.estimate_importance(models["scvi"])
    models["mapped"] = train(SCANVI.load_query_data(query[:, 4:].copy(), models["scanvi"]))
    cells_kept = ref.copy()
    sp.tl.embed(cells_kept, models["scvi"])
    for name, model in models.items():
        extra = {"reference": cells_kept, "include": ["latent", "labels", "counts"]} if name == "scvi" else {}
        labels_key = "cell_type" if name in {"scvi", "scanvi"} else ()
        sp.hub.save_bundle(model, FOLDER / name, anchors=name == "scvi", labels_key=labels_key, **extra)
    for name in ("scvi", "scanvi", "totalvi"):
        sp.hub.export_model(models[name], FOLDER / "exported" / name)
    counts = {part: one.X.toarray().astype(np.uint16) for part, one in (("reference", ref), ("query", query))}
    arrays = {f"{part}/counts": values for part, values in counts.items()}
    np.savez_compressed(FOLDER / "cells.npz", **arrays)
    np.savez_compressed(FOLDER / "answers.npz", **answers(FOLDER))
    print(FOLDER, sorted(MAPPINGS), scvi.__version__)  # noqa: T201


if __name__ == "__main__":
    main()
