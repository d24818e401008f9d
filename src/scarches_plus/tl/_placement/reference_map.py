"""Fix a picture of a reference, for new cells to be placed in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._logging import logger
from scarches_plus._reference_map import ReferenceMap
from scarches_plus.tl._provenance._embedding_record import embedding_of, embedding_space
from scarches_plus.tl._votes._reference_labels import reference_labels
from scarches_plus.tl._votes._voters import n_cells_of

from ._fuzzy_graph import umap_of
from ._train_encoder import EncoderTraining

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

_FEWEST = 10
_UMAP = "X_umap"


def reference_map(
    reference: AnnData | MuData,
    *,
    basis: str = _UMAP,
    use_rep: str = _keys.EMBEDDING,
    labels_key: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    parametric: bool = False,
    rng: int | np.random.Generator | None = 0,
) -> ReferenceMap:
    """Fix a picture of a reference, in which :func:`place` puts new cells without moving a point.

    Parameters
    ----------
    reference
        Cells with an embedding, or prototypes (:func:`reference_prototypes`). They are not changed.
    basis
        ``obsm`` slot of the picture, shape ``(n_cells, 2)``: a UMAP, a t-SNE or any other. If there is no ``"X_umap"``,
        a UMAP is made of the embedding, as ``sc.pp.neighbors`` and ``sc.tl.umap`` make it.
    use_rep
        ``obsm`` slot of the embedding.
    labels_key
        ``obs`` column of labels that figures and tables name; ``None`` for none. Cells without a label have none in the
        map.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    parametric
        Train an encoder from the latent space to this picture, too (parametric UMAP), for
        ``place(..., method="parametric")``. It minimises UMAP's cross-entropy on the fuzzy graph of the reference
        together with the distance from where the picture has its cells, until neither gets better. Ctrl-C ends it, and
        leaves the map with the encoder as it was then in ``sys.last_value.reference_map``.
    rng
        Seed or generator, for the UMAP and for the training.

    Returns
    -------
    ReferenceMap

    Raises
    ------
    KeyError
        If the embedding, the picture or the column is missing.
    ValueError
        If embedding or picture are no tables of finite numbers, the picture has not two dimensions, or there are fewer
        than 10 cells.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    McInnes, Healy and Melville 2018 (UMAP); Sainburg, McInnes and Gentner 2021 (parametric UMAP); BA-scVI (Díaz-Mejía
    et al. 2025), Methods: new cells of ScREF in the reference's parametric UMAP.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(1000, n_types=3)
    >>> model = sp.tl.build_reference(adata, "batch", recipe="scvi")
    >>> picture = sp.tl.reference_map(adata, labels_key="cell_type")
    >>> sp.tl.place(adata, picture)
    >>> ax = sp.pl.reference_map(picture, adata)
    """
    check.cells("reference", reference, mudata=True)
    check.texts(basis=basis, use_rep=use_rep, unknown_category=unknown_category)
    check.texts_or_none(labels_key=labels_key)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.flags(parametric=parametric)
    check.seed("rng", rng)
    latent = np.array(embedding_of(reference, use_rep, "reference"), dtype=np.float32)
    if len(latent) < _FEWEST:
        message = f"a map needs {_FEWEST} cells of the reference at least, and there are {len(latent)}"
        raise ValueError(message)
    of_label: NDArray[Any] = np.full(len(latent), -1, dtype=np.int32)
    labels: tuple[str, ...] = ()
    if labels_key is not None:
        named = reference_labels(reference, labels_key, unknown_category, unlabelled)
        of_label, labels = named.codes.astype(np.int32), tuple(named.categories)
    generator = np.random.default_rng(rng)
    picture = ReferenceMap(
        points=_picture(reference, basis, latent, generator),
        latent=latent,
        n_cells=n_cells_of(reference).astype(np.int32),
        of_label=of_label,
        labels=labels,
        space=embedding_space(reference, use_rep),
        basis=basis,
    )
    return _with_encoder(picture, generator) if parametric else picture


def _with_encoder(picture: ReferenceMap, rng: np.random.Generator) -> ReferenceMap:
    training = EncoderTraining(picture.latent, picture.points, rng)
    try:
        training.run()
    except KeyboardInterrupt as stop:
        if len(training.losses):
            so_far = replace(picture, encoder=training.encoder(), losses=training.losses)
            stop.reference_map = so_far  # type: ignore[attr-defined]
            stop.add_note("The map, with the encoder as it was then, is sys.last_value.reference_map.")
        raise
    return replace(picture, encoder=training.encoder(), losses=training.losses)


def _picture(reference: AnnData | MuData, basis: str, latent: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    if basis not in reference.obsm and basis == _UMAP:
        logger.info("obsm has no %r: a UMAP of the embedding is made", _UMAP)
        return umap_of(latent, int(rng.integers(2**31)))
    points = np.array(embedding_of(reference, basis, "reference"), dtype=np.float32)
    if points.shape[1] != 2:
        message = f"obsm[{basis!r}] of the reference has {points.shape[1]} dimensions; a picture has two: pass basis="
        raise ValueError(message)
    return points
