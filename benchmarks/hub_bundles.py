"""What a bundle costs and keeps: size, time to open, and latent representations before and after.

    python benchmarks/hub_bundles.py

Models are those that come with the package, and an SCVI of usual size. Each is saved, opened and mapped by every strategy, beside the model
that was saved. docs/guide/hub.md shows the output.
"""

import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scvi
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from golden_cells import answers  # noqa: E402
from golden_references import N_GOLDEN, cells_of  # noqa: E402

import scarches_plus as sp  # noqa: E402

GOLDEN = ROOT / "tests" / "hub" / "golden"
STRATEGIES = ("condition", "input_layers", "all", "clcvae")
SILENT = {"enable_progress_bar": False}
REFERENCES = Path(sp.__file__).parent / "hub" / "references"


def seconds(opens):
    start = time.perf_counter()
    opens()
    return time.perf_counter() - start


def sizes(model, folder):
    """Bytes of parameters, and of a bundle without importance."""
    parameters = sum(one.numel() * one.element_size() for one in model.module.state_dict().values())
    bundle = sp.hub.save_bundle(model, folder, importance=False)
    return parameters, sum(file.stat().st_size for file in bundle.iterdir())


def mapped(query, model, strategy):
    scvi.settings.seed = 0
    query = query.copy()
    sp.tl.map_query(query, model, strategy=strategy, max_epochs=2, train_kwargs=SILENT)
    return query.obsm["X_scarches"]


def deviations(name, model, again):
    """Largest differences between two models: of cells of the reference, and of a query by each strategy."""
    cells = cells_of(name)
    yield "embedded", np.abs(model.embed(cells) - again.embed(cells)).max()
    for one in (model, again):
        one.remember(importance=importance_of(one))
    query = cells.copy()
    query.obs["batch"] = "new"
    strategies = STRATEGIES[1:] if name == "simulated-bascvi" else STRATEGIES  # its encoder has no columns of batches
    for strategy in strategies:
        yield strategy, np.abs(mapped(query, model, strategy) - mapped(query, again, strategy)).max()


def importance_of(model):
    """As if every weight were of equal importance: only that it is the same for both models matters here."""
    weights = {name: one.detach().clone() for name, one in model.module.named_parameters()}
    return sp.train.Importance({name: torch.ones_like(one) for name, one in weights.items()}, weights, 1, "hooks")


def usual():
    """SCVI of 2,000 genes as sp.model.RECIPES["scvi"] has it, trained for a moment."""
    adata = sp.datasets.simulate(600, 2000, 5, n_batches=3, rng=0)
    return sp.tl.build_reference(adata, "batch", recipe="scvi", max_epochs=1, train_kwargs=SILENT)


def main():
    warnings.simplefilter("ignore")
    logging.disable()
    names = sorted(folder.name for folder in REFERENCES.iterdir() if folder.is_dir())
    first = seconds(lambda: sp.hub.load_bundle(REFERENCES / names[0]))
    print(f"scvi-tools {scvi.__version__}; the first bundle opened in {first:.2f} s, beside the import of scvi-tools\n")
    print(
        "| model | parameters, kB | bundle, kB | ratio | opened in, s | since it was built | saved and opened | by strategy |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with np.load(GOLDEN / "references.npz") as golden, tempfile.TemporaryDirectory() as folder:
        for name in names:
            model = sp.hub.load_bundle(REFERENCES / name)
            opened = min(seconds(lambda: sp.hub.load_bundle(REFERENCES / name)) for _ in range(3))  # noqa: B023
            drift = np.abs(model.embed(cells_of(name)[:N_GOLDEN]) - golden[name]).max()
            parameters, bundle = sizes(model, Path(folder) / name)
            found = dict(deviations(name, model, sp.hub.load_bundle(Path(folder) / name)))
            kept = found.pop("embedded")
            print(
                f"| {name} | {parameters / 1e3:.0f} | {bundle / 1e3:.0f} | {bundle / parameters:.3f} | {opened:.2f} | {drift:.1g} "
                f"| {kept:.1g} | {max(found.values()):.1g} ({', '.join(found)}) |"
            )
        parameters, bundle = sizes(usual(), Path(folder) / "usual")
        print(
            f"| SCVI, 2,000 genes | {parameters / 1e3:.0f} | {bundle / 1e3:.0f} | {bundle / parameters:.3f} | | | | |"
        )
    print()
    for folder in sorted(GOLDEN.glob("scvi-tools-*")):
        with np.load(folder / "answers.npz") as expected:
            worst = max(np.abs(one - expected[name]).max() for name, one in answers(folder).items())
        print(f"{folder.name} -> {scvi.__version__}: {worst:.1g}")


if __name__ == "__main__":
    main()
