"""What several commands do, between files and verbs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from scarches_plus import _keys
from scarches_plus._cells._columns import column_not_found
from scarches_plus._cells._names import names_of

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from scarches_plus._label_tree import LabelTree
    from scarches_plus.model import SCANVI, SCVI

console = Console(soft_wrap=True)


def split_cells(
    adata: AnnData, batch_key: str, labels_key: str, reference_batches: tuple[str, ...], withhold: tuple[str, ...]
) -> tuple[AnnData, AnnData]:
    """Return the cells of the reference and of the query."""
    import pandas as pd

    for key in (batch_key, labels_key):
        if key not in adata.obs:
            stop(column_not_found(adata.obs, key, "the file's obs"))
    batches, labels = (
        pd.Series(names_of(adata.obs[key]), adata.obs_names).fillna("nan") for key in (batch_key, labels_key)
    )
    for names, known, what in ((reference_batches, batches, "batches"), (withhold, labels, "labels")):
        unknown = sorted(set(names) - set(known))
        if unknown:
            stop(f"there are no {what} {unknown}; the file has {sorted(known.unique())}")
    in_reference = batches.isin(reference_batches)
    if in_reference.all():
        stop("every batch is in the reference; leave at least one for the query")
    return adata[in_reference & ~labels.isin(withhold)].copy(), adata[~in_reference].copy()


def build_model(
    adata: AnnData, batch_key: str, labels_key: str | None, *, seed: int, **options: object
) -> SCVI | SCANVI:
    """Build a reference from a seed."""
    from scarches_plus import tl
    from scarches_plus.model._defaults import set_seed

    set_seed(seed)
    return tl.build_reference(adata, batch_key, labels_key, **options)  # type: ignore[arg-type]


def read_hierarchy(file: Path | None) -> LabelTree | None:
    """Read a hierarchy of labels, if a file is given."""
    if file is None:
        return None
    if not file.is_file():
        stop(f"{file} is no file")
    from scarches_plus.pp import label_tree

    return label_tree(file)


def map_cells(adata: AnnData, model: SCVI | SCANVI | Path, *, seed: int, **options: object) -> SCVI | SCANVI:
    """Map a query from a seed, and say what trained."""
    from scarches_plus import tl
    from scarches_plus.model._defaults import set_seed

    set_seed(seed)
    mapped = tl.map_query(adata, model, **options)  # type: ignore[arg-type]
    surgery = mapped.surgery
    if surgery is not None:
        console.print(f"trained {surgery.n_trainable:,} of {surgery.n_total:,} parameters ({surgery.strategy})")
    return mapped


def transfer_and_report(query: AnnData, reference: AnnData, labels_key: str, out: Path, title: str) -> None:
    """Transfer labels, write the query and its report."""
    from scarches_plus import tl

    from ._files import write_h5ad

    tl.transfer_labels(query, reference, labels_key)
    write_h5ad(query, out / "mapped.h5ad")
    write_report(query, reference, labels_key, out, title)
    console.print(f"wrote {out / 'mapped.h5ad'}")


def write_report(query: AnnData, reference: AnnData, labels_key: str, out: Path, title: str) -> None:
    """Score and draw a mapped query."""
    import matplotlib as mpl

    mpl.use("Agg")
    from ._files import write_whole
    from ._report import mapping_report, text_of

    result = mapping_report(reference, query, labels_key)
    console.print(text_of(result.scores))
    umap = result.figures["Reference and query"]
    write_whole(out / "umap.png", lambda file: umap.savefig(file, dpi=150, bbox_inches="tight"))
    result.write_html(out / "report.html", title)
    console.print(f"wrote {out / 'umap.png'} and {out / 'report.html'}")


def without_counts(adata: AnnData) -> AnnData:
    """Return embeddings and labels only."""
    from anndata import AnnData as AnnDataClass

    uns = {key: value for key, value in adata.uns.items() if key == _keys.UNS or key.endswith(_keys.colors(""))}
    return AnnDataClass(obs=adata.obs, obsm={key: adata.obsm[key] for key in adata.obsm}, uns=uns)


def stop(message: str) -> None:
    """End with a message and status 2."""
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
