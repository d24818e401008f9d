"""The commands of ``scarches-plus`` that find seeds and compare compositions."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)

from ._app import app
from ._steps import console


@app.command
def seeds(
    cells: Path,
    *,
    markers: Path,
    n_seeds: int = 50,
    layer: str | None = None,
    key_added: str = "seed_label",
    out: Path,
) -> None:
    """Label the cells that markers single out, for training with recipe scanvi.

    Writes the cells with a column of seeds: labels of the best cells, and Unknown for all others.

    Parameters
    ----------
    cells
        An .h5ad file with raw counts of all measured genes.
    markers
        A JSON file: label to a list of genes, or to {"positive": [...], "negative": [...]}.
    n_seeds
        Seeds of each label at most.
    layer
        Layer with raw counts; X by default.
    key_added
        Column to write.
    out
        The .h5ad file to write.
    """
    import json

    from scarches_plus import pp

    from ._files import read_h5ad, write_h5ad

    given = json.loads(markers.read_text(encoding="utf-8"))
    if not isinstance(given, dict):
        message = f"{markers} holds no labels with their markers, but a {type(given).__name__}"
        raise TypeError(message)
    adata = read_h5ad(cells)
    pp.seed_labels(adata, given, n_seeds, layer=layer, key_added=key_added)
    write_h5ad(adata, out)
    console.print(adata.obs[key_added].value_counts(sort=False).to_string())
    console.print(f"wrote {out}")
