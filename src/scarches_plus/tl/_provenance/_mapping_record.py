"""Record how a query was mapped, as its cells and its model keep it."""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING, Any

from scarches_plus._logging import logger

if TYPE_CHECKING:
    from scarches_plus.model import SCANVI, SCVI, TOTALVI
    from scarches_plus.pp import QueryReport


def mapping_record(
    mapped: SCVI | SCANVI | TOTALVI,
    reference: SCVI | SCANVI | TOTALVI,
    report: QueryReport,
    name: str,
    max_epochs: int,
    *,
    layer: str | None,
    batch_key: str | None,
) -> dict[str, Any]:
    """Return what was done to map a query; only values that h5ad can hold.

    Parameters
    ----------
    mapped, reference
        Trained query model, and the model that it was mapped onto.
    report
        What was found out about the query.
    name
        Name of the way of mapping: a strategy, or a paper's recipe.
    max_epochs
        Epochs that were asked for.
    layer, batch_key
        Where the query keeps counts and batches, if not where the reference does.
    """
    from scarches_plus.model import current_seed

    surgery: Any = mapped.surgery
    record: dict[str, Any] = {
        "strategy": surgery.strategy,
        "recipe": name if name != surgery.strategy else "",
        "penalties": dumps(mapped.state.penalties),  # h5ad files take no lists of dicts
        "train_reference_columns": surgery.train_reference_columns,
        "trained_parameters": surgery.n_trainable,
        "total_parameters": surgery.n_total,
        "max_epochs": max_epochs,
        "epochs": int(mapped.history["elbo_train"].index[-1]) + 1,
        "engine": mapped.state.engine,
        "seed": current_seed(),
        "layer": layer or reference.spec.layer or "X",
        "batch_key": batch_key or reference.spec.batch_key or "",
        "new_batches": list(report.new_batches),
        "shared_batches": list(report.shared_batches),
        "genes_found": report.n_genes_found,
        "reference_genes": report.n_reference_genes,
        "reference_hash": surgery.reference_hash,
    }
    logger.info(
        "mapped by counts in %s on %d of the reference's %d genes, batches in obs[%r], %d epochs",
        record["layer"], report.n_genes_found, report.n_reference_genes, record["batch_key"], record["epochs"],
    )  # fmt: skip
    return record
