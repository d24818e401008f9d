"""Open models of every release of scvi-tools, and compare them with what that release gave.

    python benchmarks/layouts.py                            the golden folders of the tests
    python benchmarks/layouts.py --data-dir shared/data     and models that others published (models/ in there)

Columns: does it open; largest difference of latent means, and of predicted probabilities, from those of the release
("no truth" where nobody kept them); does a query map without moving the reference; does a bundle of it, opened by a
fresh process without the original, give the same latent means and the same mapped query. The exit status is 1 if
anything fails or is further away than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import scarches_plus as sp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).parents[1] / "tests" / "golden_models"
FARTHEST = 1e-4
STEPS = ("open", "latent", "predict", "map", "bundle")
NO_TRUTH = "no truth"


@dataclass(frozen=True)
class Case:
    """A model on disk, and what is known about it.

    Attributes
    ----------
    name
        For the table.
    folder
        Where it lies.
    reference, query
        Make the cells it was trained on, and cells to map; ``None`` where nobody kept them.
    latent, soft
        What its release gave: shape ``(n_cells, n_latent)`` and ``(n_cells, n_labels)``.
    """

    name: str
    folder: Path
    reference: Callable[[], Any] | None = None
    query: Callable[[], Any] | None = None
    latent: Path | None = None
    soft: Path | None = None


def golden_cases() -> Iterator[Case]:
    """Return the golden folders."""
    sys.path.insert(0, str(GOLDEN.parent))
    from golden_models import cells

    for name, known in json.loads((GOLDEN / "golden.json").read_text())["folders"].items():
        make = cells.mdata if known["setup"] == "mudata" else cells.adata
        truth = {part: GOLDEN / name / f"{part}.npy" for part in ("latent", "soft")}
        yield Case(
            name, GOLDEN / name / "model", lambda make=make: make("reference"), lambda make=make: make("query"),
            **{part: path if path.exists() else None for part, path in truth.items()},
        )  # fmt: skip


def published_cases(folder: Path) -> Iterator[Case]:
    """Return models as others wrote them, with a query of their own cells under a new batch."""
    import anndata

    def of_file(path: Path) -> Callable[[], Any] | None:
        return (lambda: anndata.read_h5ad(path)) if path.exists() else None

    for release, cells, names in (
        ("v0_8_1", "v081_cells.h5ad", ("v081_scvi", "v081_scanvi")),
        ("v0_20_3", "v0_20_3_cells.h5ad", ("v0_20_3_scvi", "v0_20_3_totalvi")),
    ):
        for name in names:
            reference = of_file(folder / release / cells)
            latent, soft = (folder / release / f"{name}_{part}" for part in ("latent.npy", "soft.csv"))
            yield Case(
                name, folder / release / name, reference, reference, latent if latent.exists() else None,
                soft if soft.exists() else None,
            )  # fmt: skip
    for name in ("scvi_tools_pre_logits_fix_scanvi", "scvi_tools_exp_activation_totalvi"):
        reference = of_file(folder / name / "adata.h5ad")
        yield Case(name, folder / name, reference, reference)
    for name in ("archmap_scanvi_pancreas", "archmap_scvi_pancreas"):
        yield Case(name, folder / name)


def query_of(case: Case, model: Any) -> Any:
    """Return cells of a new batch: the case's own, or simulated ones with the model's genes."""
    spec = model.spec
    if case.query is None:
        query = sp.datasets.simulate(60, len(spec.var_names), 2, n_batches=1, mean_depth=800.0, rng=0)
        query.var_names = list(spec.var_names)
    else:
        query = case.query()
    for part in getattr(query, "mod", {"": query}).values():
        for key, values in spec.categorical_covariates.items():
            part.obs[key] = part.obs[key] if key in part.obs else values[0]
    tables = [query.obs, *(part.obs for part in getattr(query, "mod", {}).values())]
    for table in tables if spec.batch_key else ():
        if spec.batch_key in table or table is tables[0]:
            table[spec.batch_key] = "new batch"
    return query


def results_of(model: Any, reference: Any, query: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the latent means of a model's own cells, and of a query that is mapped from one seed."""
    import scvi

    latent = None if reference is None else model.embed(reference)
    scvi.settings.seed = 0
    strategy = "condition" if model.spec.batch_key else "input_layers"  # without batches there is no column to train
    mapped = sp.tl.map_query(query, model, max_epochs=2, key_added="mapped", strategy=strategy)
    drift = mapped.state.lineage[-1]["drift"]["weights"]
    if drift and strategy == "condition":
        message = f"the reference moved by {drift}"
        raise ValueError(message)
    return latent, np.asarray(query.obsm["mapped"])


def probabilities(model: Any, reference: Any) -> Any:
    """Return the probabilities of a scANVI model's labels, for cells as their release had them."""
    model.take_cells(reference)
    return model.predict(soft=True)


def run(case: Case) -> dict[str, str]:
    """Return what each step gives."""
    row = dict.fromkeys(STEPS, "-")
    step = "open"
    try:
        model = sp.load(case.folder)
        row[step] = f"{type(model).__name__}, {model.state.origin.removeprefix('scvi-tools ')}"
        reference = None if case.reference is None else case.reference()
        step = "latent"
        row[step] = NO_TRUTH
        if case.latent is not None:
            row[step] = _difference(model.embed(reference), np.load(case.latent))
        step = "predict"
        if type(model).__name__ == "SCANVI":
            row[step] = NO_TRUTH
            if case.soft is not None:
                found = probabilities(sp.load(case.folder), reference)
                row[step] = _difference(found[sorted(found)].to_numpy(), _table(case.soft))
        step = "map"
        query = query_of(case, model)
        latent, mapped = results_of(model, reference, query)
        row[step] = "reference as it was" if model.spec.batch_key else "by input layers"
        step = "bundle"
        with tempfile.TemporaryDirectory() as place:
            made = sp.hub.save_bundle(model, Path(place) / "bundle", summary=False)
            _fresh(case, made, Path(place) / "found.npz")
            found = np.load(Path(place) / "found.npz")
            row[step] = _difference(found["mapped"], mapped)
            if latent is not None:
                row[step] = max(row[step], _difference(found["latent"], latent), key=float)
    except Exception as error:  # noqa: BLE001 (which the table shows)
        row[step] = f"FAILED: {type(error).__name__}: {error}"
    return row


def _fresh(case: Case, bundle: Path, found: Path) -> None:
    """Open a bundle in another process, which never sees the original."""
    command = [sys.executable, __file__, "--bundle", str(bundle), "--of", case.name, "--found", str(found)]
    done = subprocess.run([*command, *sys.argv[1:]], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def _in_fresh_process(case: Case, bundle: Path, found: Path) -> None:
    model = sp.load(bundle)
    reference = None if case.reference is None else case.reference()
    latent, mapped = results_of(model, reference, query_of(case, model))
    np.savez(found, mapped=mapped, **({} if latent is None else {"latent": latent}))


def _table(path: Path) -> np.ndarray:
    """Return probabilities, labels in the order of their names."""
    if path.suffix == ".npy":
        return np.load(path)
    import pandas as pd

    table = pd.read_csv(path, index_col=0)
    return table[sorted(table)].to_numpy()


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    return f"{np.abs(found - expected).max():.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with models/ as others published them")
    parser.add_argument("--only", default="", help="part of the names of cases")
    for hidden in ("--bundle", "--of", "--found"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [*golden_cases(), *(published_cases(asked.data_dir / "models") if asked.data_dir else ())]
    if asked.bundle:
        _in_fresh_process(next(case for case in cases if case.name == asked.of), Path(asked.bundle), Path(asked.found))
        return
    bad, n_cases, untrue = 0, 0, {"latent": 0, "predict": 0}
    print(f"{'model':<36}{'class, release':<24}{'latent':<10}{'predict':<10}{'map':<22}bundle")
    for case in cases:
        if asked.only in case.name:
            row = run(case)
            print(
                f"{case.name:<36}{row['open']:<24}{row['latent']:<10}{row['predict']:<10}{row['map']:<22}{row['bundle']}",
                flush=True,
            )
            n_cases += 1
            for step in untrue:
                untrue[step] += row[step] == NO_TRUTH
            numbers = [row[step] for step in ("latent", "predict", "bundle") if row[step] not in {"-", NO_TRUTH}]
            bad += any("FAILED" in value for value in row.values()) or any(float(one) > FARTHEST for one in numbers)
    print(
        f"{n_cases} models, {untrue['latent']} without true latent means, {untrue['predict']} without true predictions"
    )
    print(f"{bad} of the models fail, or are further away than {FARTHEST}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
