"""What a bundle costs and keeps: size, time to open, and latent representations before and after.

    python benchmarks/hub_bundles.py

Models are those that come with the package, and an SCVI of usual size. Each is saved, opened and mapped by every
strategy, beside the model that was saved. docs/guide/hub.md shows the output.
"""

import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scvi

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from golden_cells import answers  # noqa: E402
from golden_references import N_GOLDEN, cells_of  # noqa: E402
from round_trips import deviations  # noqa: E402

import scarches_plus as sp  # noqa: E402

GOLDEN = ROOT / "tests" / "hub" / "golden"
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
            found = dict(deviations(model, sp.hub.load_bundle(Path(folder) / name), cells_of(name)))
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
