"""Run the steps that several commands share, such as building, mapping and reporting."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from scarches_plus import _keys, _visit, tl
from scarches_plus._arguments import nearest
from scarches_plus._cells import is_mudata, names_of
from scarches_plus._files import write_file, write_folder
from scarches_plus._logging import logger
from scarches_plus._visit import REFERENCE

from ._console import console
from ._files._outputs import write_cells
from ._files._report import ON_THE_MAP, mapping_report, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mudata import MuData

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def split_cells(
    adata: AnnData, batch_key: str, labels_key: str, reference_batches: tuple[str, ...], withhold: tuple[str, ...]
) -> tuple[AnnData, AnnData]:
    """Return the cells of the reference and of the query."""
    batches, labels = (
        pd.Series(names_of(adata.obs[key]), adata.obs_names).fillna("nan") for key in (batch_key, labels_key)
    )
    for names, known, what in ((reference_batches, batches, "batches"), (withhold, labels, "labels")):
        unknown = sorted(set(names) - set(known))
        if unknown:
            there = sorted(known.unique())
            message = f"there are no {what} {unknown}; the file has {there}{nearest(unknown[0], there)}"
            raise ValueError(message)
    in_reference = batches.isin(reference_batches)
    if in_reference.all():
        message = "every batch is in the reference; leave at least one for the query"
        raise ValueError(message)
    return adata[in_reference & ~labels.isin(withhold)].copy(), adata[~in_reference].copy()


def build_model(
    adata: AnnData | MuData, batch_key: str, labels_key: str | None, *, seed: int, **options: object
) -> SCVI | SCANVI | TOTALVI:
    """Build a reference from a seed."""
    _visit.set_seed(seed)
    return tl.build_reference(adata, batch_key, labels_key, **options)  # type: ignore[arg-type]


def check_arguments(recipe: str, **arguments: Any) -> None:
    """Refuse arguments of a model or a training that nothing knows, before any cell is read."""
    from scarches_plus.model import RECIPES, ReferenceTraining

    ReferenceTraining(RECIPES[recipe], **arguments)


@contextmanager
def trained_model_kept(out: Path | None) -> Iterator[None]:
    """Save the model beside ``out`` if Ctrl-C or an error stops a training, or what comes after it.

    A model at ``out`` itself means a finished one.
    """
    try:
        yield
    except BaseException as stop:
        model = getattr(stop, "model", None)
        if out is not None and getattr(model, "is_trained", False):
            kept = out.with_name(f"{out.name}-{secrets.token_hex(4)}")
            model.save(kept)  # type: ignore[union-attr]
            logger.info("the model, with the weights of its last step, is kept as %s", kept)
        else:
            logger.info("nothing was written")
        raise


def map_cells(
    adata: AnnData | MuData, model: SCVI | SCANVI | TOTALVI, *, seed: int, **options: object
) -> SCVI | SCANVI | TOTALVI:
    """Map a query from a seed."""
    return _visit.map_cells(adata, model, seed=seed, **options)


def transfer_and_report(
    query: AnnData, reference: AnnData, labels_key: str, out: Path, title: str, *, unlabelled: tuple[str, ...] | None
) -> None:
    """Transfer labels, write the query and its report."""
    tl.transfer_labels(query, reference, labels_key, unlabelled=unlabelled)
    write_cells(query, out / "mapped.h5ad")
    write_report(query, reference, labels_key, out, title, unlabelled=unlabelled)
    console.wrote(out / "mapped.h5ad")


def write_report(
    query: AnnData,
    reference: AnnData | ReferenceMap,
    labels_key: str,
    out: Path,
    title: str,
    *,
    unlabelled: tuple[str, ...] | None,
    picture: ReferenceMap | None = None,
) -> None:
    """Score and draw a mapped query, beside the reference's cells or on their map alone."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    result = mapping_report(reference, query, labels_key, unlabelled, picture)
    console.result("verdict", result.verdict._asdict(), result.verdict)
    console.result("scores", dict(result.scores), text_of(result.scores))
    umap = result.figures.get("Reference and query", result.figures[ON_THE_MAP])
    write_file(out / "umap.png", lambda file: umap.savefig(file, dpi=150, bbox_inches="tight"))
    result.write_html(out / "report.html", title)
    for figure in result.figures.values():
        plt.close(figure)
    console.wrote(out / "umap.png", out / "report.html")


def save_with_cells(model: SCVI | SCANVI | TOTALVI, cells: AnnData, out: Path, *, overwrite: bool) -> None:
    """Save a model and the reference's cells as one folder, which is replaced in one step."""
    own = ("model.pt", "adata.h5ad", "mdata.h5mu", REFERENCE)

    def fill(folder: Path) -> None:
        model.save(folder, overwrite=True)
        cells.write_h5ad(folder / REFERENCE, compression="gzip")

    write_folder(out, fill, overwrite=overwrite, replaced=own.__contains__)


def without_counts(adata: AnnData | MuData, spec: ReferenceSpec) -> AnnData:
    """Return embeddings and labels only, of MuData those of the whole and of its genes."""
    obs = adata.obs
    if is_mudata(adata):
        own = obs[[name for name in obs if ":" not in str(name)]]  # the others are copies from modalities
        genes = adata.mod[spec.modalities["genes"]].obs
        obs = own.join(genes[[name for name in genes if name not in own]])
    left_out = {*spec.modalities.values(), *getattr(adata, "mod", ())}
    uns = {key: value for key, value in adata.uns.items() if key == _keys.UNS or key.endswith(_keys.colors(""))}
    return AnnData(obs=obs, obsm={key: adata.obsm[key] for key in adata.obsm if key not in left_out}, uns=uns)
