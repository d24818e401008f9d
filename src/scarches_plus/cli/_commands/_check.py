"""Define the command that checks a query: check."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)

from scarches_plus import pp
from scarches_plus.cli._app import AS_IT_IS, Reading, Words
from scarches_plus.cli._console import console
from scarches_plus.cli._files._inputs import read_cells
from scarches_plus.cli._files._models import open_model


def check_(
    cells: Path,
    *,
    model: str | None = None,
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Words = (),
    reading: Reading = AS_IT_IS,
) -> None:
    """Say what is wrong with cells and how to mend it, before anything is trained.

    What values that are not raw counts probably are, names of genes, batches and cells without counts. The exit status
    is 2 if the cells cannot be used as they are.

    Parameters
    ----------
    cells
        A file of cells with raw counts.
    model
        What names the reference that the cells are to be mapped onto: a model's folder or file, a bundle, a name of hub
        list, a DOI. Without it, what is wrong with any model is found.
    layer
        Layer with raw counts, if not the reference's; X by default.
    batch_key
        Column of batches, if not the reference's.
    shared_batches
        Batches of the cells that are the reference's own.
    """
    reference = None if model is None else open_model(model)
    adata = read_cells(cells, reading, keep_modalities=reference is not None and bool(reference.spec.modalities))
    report = pp.check_query(adata, reference, layer=layer, batch_key=batch_key, shared_batches=shared_batches)
    console.result("report", report, report)
    if not report.ok:
        message = f"{cells} cannot be used as it is: see the report"
        raise ValueError(message)
