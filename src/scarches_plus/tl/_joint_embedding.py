"""Join reference and query in one AnnData with a joint embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import warn

import anndata
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import are_prototypes, column_repeated, counts_layer, counts_of, is_mudata, name_of, names_of
from scarches_plus._logging import logger
from scarches_plus.pp import kinds_of

from ._provenance._embedding_record import embedding_of, embedding_space, record_of, require_same_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from mudata import MuData


def joint_embedding(reference: AnnData, query: AnnData, *, use_rep: str = _keys.EMBEDDING) -> AnnData:
    """Join reference and query, ready for ``sc.pp.neighbors(joint, use_rep="X_scarches")`` and a UMAP.

    Parameters
    ----------
    reference, query
        Cells with embeddings in the same latent space, or prototypes (:func:`reference_prototypes`), to be drawn: what
        counts each row as a cell refuses the result. Of MuData the modality of genes is taken. Not changed, and read
        into memory if they lie on disk.
    use_rep
        ``obsm`` slot of the embedding.

    Returns
    -------
    AnnData
        Reference cells, then query cells: all ``obs`` columns of both in their types (integers with gaps as ``Int64``),
        the embedding, and ``obs["mapping_role"]`` (``"reference"`` or ``"query"``). ``X`` holds the counts that each
        embedding was made from, which its record names (``X`` without a record), on the genes they share; it is empty
        if one has none. Where cell names occur in both, all get the role appended. ``uns["scarches_plus"]["joint"]``
        says what was taken from where, as the log does.

    Raises
    ------
    ValueError
        If the embeddings lie in different latent spaces, hold missing values, or names of genes or columns occur twice.
    KeyError
        If one of them is missing.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If one has counts where the other has logarithms, for example: ``X`` is then left out.
    """
    check.cells("reference", reference, mudata=True)
    check.cells("query", query, mudata=True)
    check.texts(use_rep=use_rep)
    require_same_space(query, reference, use_rep)
    roles = {_keys.REFERENCE: reference, _keys.QUERY: query}
    for role, cells in roles.items():
        if repeated := cells.obs.columns[cells.obs.columns.duplicated()].tolist():
            raise ValueError(column_repeated(cells.obs, repeated[0], f"{role}.obs"))
    genes = {role: _genes_of(cells, use_rep, role) for role, cells in roles.items()}
    matrices = _same_units({role: one.counts for role, one in genes.items()}, roles)
    repeated = bool(reference.obs_names.isin(query.obs_names).any())
    names = dict.fromkeys([*reference.obs, *query.obs])
    parts = {}
    for role, cells in roles.items():
        obs = cells.obs.copy()
        obs.index = obs.index.astype(str) + (f"-{role}" if repeated else "")
        parts[role] = (
            anndata.AnnData(
                X=matrices[role],
                obs=pd.DataFrame(index=obs.index),
                var=pd.DataFrame(index=genes[role].names),
                obsm={use_rep: embedding_of(cells, use_rep, role)},
            ),
            obs,
        )
    joint = anndata.concat({role: part for role, (part, _) in parts.items()}, label=_keys.ROLE, join="inner")
    columns = _with_values([obs for _, obs in parts.values()])
    stacked = pd.concat(columns, join="outer")[list(names)]
    joint.obs = _writable(stacked, columns).assign(**{_keys.ROLE: joint.obs[_keys.ROLE]})
    for column in joint.obs.columns:
        colors = _joint_colors(joint.obs[column], column, (query, reference))
        if colors is not None:
            joint.uns[_keys.colors(column)] = colors
    record = {
        "embedding": use_rep,
        "X": _x_of(genes, matrices, joint.n_vars),
        "genes": joint.n_vars,
        "renamed": repeated,
        "columns_of_both": [str(name) for name in reference.obs if name in query.obs],
        "columns_of_reference": [str(name) for name in reference.obs if name not in query.obs],
        "columns_of_query": [str(name) for name in query.obs if name not in reference.obs],
    }
    logger.info(
        "joined by obsm[%r]; X: %s; columns of both, with the values of each: %s%s",
        use_rep, record["X"], record["columns_of_both"],
        "; cells that are named alike have their role in their names" if repeated else "",
    )  # fmt: skip
    joint.uns[_keys.UNS] = {_keys.JOINT: record}
    if any(are_prototypes(cells) for cells in roles.values()):
        joint.uns[_keys.UNS][_keys.PROTOTYPES] = True
    space = embedding_space(reference, use_rep)
    if space is not None:
        joint.uns[_keys.UNS][_keys.EMBEDDINGS] = {use_rep: {"space": space}}
    return joint


class _Genes(NamedTuple):
    """Names of genes, the counts that an embedding was made from (``None`` if there are none), and where they lie."""

    names: pd.Index
    counts: Any
    place: str


def _genes_of(cells: AnnData | MuData, use_rep: str, role: str) -> _Genes:
    """Return genes and counts as the record of an embedding names them."""
    record = record_of(cells, use_rep)
    if is_mudata(cells):
        name = str(record.get("modality", ""))
        if name not in cells.mod:
            return _Genes(pd.Index([]), None, "")
        cells = cells.mod[name]
    if not cells.var_names.is_unique:
        message = f"names of genes of the {role} are not unique: {role}.var_names_make_unique()"
        raise ValueError(message)
    layer = counts_layer(str(record.get("layer", "X")), None)
    if layer is not None and layer not in cells.layers:
        layer = None
    if layer is None and cells.X is None:
        return _Genes(cells.var_names, None, "")
    return _Genes(cells.var_names, counts_of(cells, layer), "X" if layer is None else f"layers[{layer!r}]")


def _x_of(genes: Mapping[str, _Genes], matrices: Mapping[str, Any], n_shared: int) -> str:
    """Say which matrix the joint cells have."""
    if lacking := [role for role, one in genes.items() if one.counts is None]:
        return f"none, since the {' and the '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} none"
    if any(matrix is None for matrix in matrices.values()):
        return "none, since they are not in the same units"
    sources = " and ".join(f"{one.place} of the {role} ({len(one.names)} genes)" for role, one in genes.items())
    return f"{sources}, on the {n_shared} genes of both"


def _same_units(matrices: dict[str, Any], roles: Mapping[str, AnnData]) -> dict[str, Any]:
    """Return the matrices if both are of the same units, else none of them, and say so."""
    nothing: dict[str, Any] = dict.fromkeys(matrices)
    if any(matrix is None for matrix in matrices.values()):
        return nothing
    kinds = {role: kinds_of(matrix) - {"estimated counts"} or {"raw counts"} for role, matrix in matrices.items()}
    empty = any(not cells.n_obs for cells in roles.values())
    if len({frozenset(kind) for kind in kinds.values()}) == 1 or empty:
        return matrices
    held = "; ".join(f"the {role} holds {' and '.join(sorted(kind))}" for role, kind in kinds.items())
    message = (
        f"X of reference and query is not in the same units, and left out: {held}. Embed or map them with the layer of "
        "counts (layer=...), or put the same into X of both"
    )
    warn(message, UserWarning, stacklevel=3)
    return nothing


def _with_values(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Leave out columns without any value where another frame has values, whose type they take."""
    valued = {name for frame in frames for name in frame if frame[name].notna().any()}
    return [frame[[name for name in frame if name not in valued or frame[name].notna().any()]] for frame in frames]


def _writable(columns: pd.DataFrame, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Convert columns to types that h5ad can hold, as near to their own as possible.

    These are categories, integers and Booleans with gaps, and text where values are mixed or times.
    """
    for column in columns.columns:
        sources = [frame[column] for frame in frames if column in frame]
        if all(isinstance(source.dtype, pd.CategoricalDtype) for source in sources):
            categories = list(dict.fromkeys(name_of(value) for source in sources for value in source.cat.categories))
            columns[column] = pd.Categorical(names_of(columns[column]), categories=categories)
        elif columns[column].dtype.kind == "f" and any(source.dtype.kind in "iu" for source in sources):
            values = columns[column]
            if (values.isna() | (values % 1 == 0)).all():  # a gap turned integers into floats
                columns[column] = values.astype("Int64")
        elif columns[column].dtype.kind in "mM" or isinstance(columns[column].dtype, pd.PeriodDtype):
            columns[column] = names_of(columns[column])
        elif columns[column].dtype == object:
            kind = pd.api.types.infer_dtype(columns[column], skipna=True)
            if kind == "boolean":
                columns[column] = columns[column].astype("boolean")
            elif kind not in {"string", "empty"}:
                columns[column] = names_of(columns[column])
    return columns


def _joint_colors(values: pd.Series, column: str, sources: tuple[AnnData, ...]) -> list[str] | None:
    """Return a colour for every category if the sources have them all; the last source wins."""
    if not hasattr(values, "cat"):
        return None
    key = _keys.colors(column)
    colors: dict[str, str] = {}
    for cells in sources:
        if key in cells.uns and column in cells.obs and hasattr(cells.obs[column], "cat"):
            colors |= dict(zip(map(name_of, cells.obs[column].cat.categories), cells.uns[key], strict=False))
    categories = list(map(name_of, values.cat.categories))
    return [colors[name] for name in categories] if set(categories) <= set(colors) else None
