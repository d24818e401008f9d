"""Reference and query in one AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus import _keys

from ._provenance import require_same_space, space_of

if TYPE_CHECKING:
    import pandas as pd
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
        Reference cells, then query cells: all ``obs`` columns of both, ``X`` on the genes they share (if both have one),
        the embedding, and
        ``obs["mapping_role"]`` (``"reference"`` or ``"query"``). Where cell names occur in both, all get the role appended.

    Raises
    ------
    ValueError
        If the embeddings lie in different latent spaces.
    KeyError
        If one of them is missing.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    import anndata
    import pandas as pd

    check.cells("reference", reference)
    check.cells("query", query)
    check.texts(use_rep=use_rep)
    require_same_space(query, reference, use_rep)
    roles = {_keys.REFERENCE: reference, _keys.QUERY: query}
    repeated = bool(reference.obs_names.isin(query.obs_names).any())
    with_counts = reference.X is not None and query.X is not None
    parts = {}
    for role, cells in roles.items():
        obs = cells.obs.copy()
        obs.index = obs.index.astype(str) + (f"-{role}" if repeated else "")
        parts[role] = (
            anndata.AnnData(
                X=cells.X if with_counts else None,
                obs=pd.DataFrame(index=obs.index),
                var=pd.DataFrame(index=cells.var_names),
                obsm={use_rep: cells.obsm[use_rep]},
            ),
            obs,
        )
    joint = anndata.concat({role: part for role, (part, _) in parts.items()}, label=_keys.ROLE, join="inner")
    columns = pd.concat([obs for _, obs in parts.values()], join="outer")
    joint.obs = _writable(columns, [reference.obs, query.obs]).assign(**{_keys.ROLE: joint.obs[_keys.ROLE]})
    for column in joint.obs.columns:
        colors = _joint_colors(joint.obs[column], column, (query, reference))
        if colors is not None:
            joint.uns[_keys.colors(column)] = colors
    space = space_of(reference, use_rep)
    if space is not None:
        joint.uns[_keys.UNS] = {_keys.EMBEDDINGS: {use_rep: {"space": space}}}
    return joint


def _writable(columns: pd.DataFrame, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Give columns a type that h5ad can hold: categorical again, Boolean with gaps, text where types are mixed."""
    import pandas as pd

    for column in columns.columns:
        sources = [frame[column] for frame in frames if column in frame]
        if all(isinstance(source.dtype, pd.CategoricalDtype) for source in sources):
            categories = list(dict.fromkeys(str(value) for source in sources for value in source.cat.categories))
            text = columns[column].astype(object)
            columns[column] = pd.Categorical(text.where(text.isna(), text.map(str)), categories=categories)
        elif columns[column].dtype == object:
            kind = pd.api.types.infer_dtype(columns[column], skipna=True)
            if kind == "boolean":
                columns[column] = columns[column].astype("boolean")
            elif kind not in {"string", "empty"}:
                columns[column] = columns[column].where(columns[column].isna(), columns[column].map(str))
    return columns


def _joint_colors(values: pd.Series, column: str, sources: tuple[AnnData, ...]) -> list[str] | None:
    """Return a colour for every category if the sources have them all; the last source wins."""
    if not hasattr(values, "cat"):
        return None
    key = _keys.colors(column)
    colors: dict[str, str] = {}
    for cells in sources:
        if key in cells.uns and column in cells.obs and hasattr(cells.obs[column], "cat"):
            colors |= dict(zip(map(str, cells.obs[column].cat.categories), cells.uns[key], strict=False))
    categories = list(map(str, values.cat.categories))
    return [colors[name] for name in categories] if set(categories) <= set(colors) else None
