"""Reference and query in one AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _keys

from ._provenance import require_same_space, space_of

if TYPE_CHECKING:
    from anndata import AnnData


def joint_embedding(reference: AnnData, query: AnnData, *, use_rep: str = _keys.EMBEDDING) -> AnnData:
    """Join reference and query, ready for ``sc.pp.neighbors(joint, use_rep="X_scarches")`` and a UMAP.

    Parameters
    ----------
    reference, query
        Cells with embeddings in the same latent space.
    use_rep
        ``obsm`` slot of the embedding.

    Returns
    -------
    AnnData
        Reference cells, then query cells: all ``obs`` columns of both, ``X`` on the genes they share, the embedding, and
        ``obs["mapping_role"]`` (``"reference"`` or ``"query"``). Cell names that occur in both get the role appended.

    Raises
    ------
    ValueError
        If the embeddings lie in different latent spaces.
    KeyError
        If one of them is missing.
    """
    import anndata
    import pandas as pd

    require_same_space(query, reference, use_rep)
    roles = {_keys.REFERENCE: reference, _keys.QUERY: query}
    repeated = bool(reference.obs_names.isin(query.obs_names).any())
    parts = {}
    for role, cells in roles.items():
        obs = cells.obs.copy()
        obs.index = obs.index.astype(str) + (f"-{role}" if repeated else "")
        parts[role] = anndata.AnnData(
            X=cells.X,
            obs=pd.DataFrame(index=obs.index),
            var=pd.DataFrame(index=cells.var_names),
            obsm={use_rep: cells.obsm[use_rep]},
        ), obs
    joint = anndata.concat({role: part for role, (part, _) in parts.items()}, label=_keys.ROLE, join="inner")
    columns = pd.concat([obs for _, obs in parts.values()], join="outer")
    joint.obs = _join_categories(columns, [reference.obs, query.obs]).assign(**{_keys.ROLE: joint.obs[_keys.ROLE]})
    for cells in (query, reference):  # the reference's colours win
        for column in cells.obs.columns:
            key = _keys.colors(column)
            if key in cells.uns and _same_categories(joint.obs[column], cells.obs[column]):
                joint.uns[key] = cells.uns[key]
    space = space_of(reference, use_rep)
    if space is not None:
        joint.uns[_keys.UNS] = {"embeddings": {use_rep: {"space": space}}}
    return joint


def _join_categories(columns, frames):  # noqa: ANN001, ANN202
    """Make columns categorical again whose categories concatenation lost."""
    import pandas as pd

    for column in columns.columns:
        sources = [frame[column] for frame in frames if column in frame]
        if all(isinstance(source.dtype, pd.CategoricalDtype) for source in sources):
            categories = list(dict.fromkeys(value for source in sources for value in source.cat.categories))
            columns[column] = pd.Categorical(columns[column], categories=categories)
    return columns


def _same_categories(joint, own) -> bool:  # noqa: ANN001
    return hasattr(own, "cat") and hasattr(joint, "cat") and list(joint.cat.categories) == list(own.cat.categories)
