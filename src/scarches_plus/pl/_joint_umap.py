"""Draw reference and query in one UMAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import name_of
from scarches_plus._colors import BEHIND, GREY, QUERY, colors_of
from scarches_plus._logging import logger
from scarches_plus._settings import settings
from scarches_plus._text import for_figure, for_message

from ._drawing._axes import axes_or_none
from ._drawing._columns import categorical, column
from ._drawing._texts import plain_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_PANEL = 4.0  # inches


def joint_umap(
    adata: AnnData,
    *,
    color: str | Sequence[str] | None = None,
    cells: Literal["query", "reference", "all"] = "query",
    role_key: str = _keys.ROLE,
    unknown_category: str = _keys.UNKNOWN,
    size: float | None = None,
    cmap: str = "viridis",
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes | NDArray[np.object_]:
    """Draw reference and query in one UMAP, one panel per column.

    Parameters
    ----------
    adata
        Reference and query as :func:`scarches_plus.tl.joint_embedding` returns them, with ``obsm["X_umap"]``.
    color
        Columns of ``obs`` that colour cells: labels, batches, uncertainties. By default one panel shows which cells are
        of the query. Colours in ``uns`` are used.
    cells
        Which cells are coloured; the others lie behind them in grey.
    role_key
        Column of ``obs`` that says ``"reference"`` or ``"query"``.
    unknown_category
        Label drawn in grey.
    size
        Area of a cell in points squared; by default it falls with the number of cells.
    cmap
        Colour map of numeric columns. Columns named ``*_uncertainty`` span 0 to 1.
    ax
        Axes to draw one panel into.
    **kwargs
        Further arguments of :func:`scanpy.pl.umap` for the coloured cells.

    Returns
    -------
    The Axes if `color` is one column or ``None``, otherwise an array of one Axes per column.

    Raises
    ------
    KeyError
        If the UMAP or a column is missing.
    ValueError
        If no cell is to be coloured, or `ax` is given for several panels, or `cells` is not one of its values.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    import matplotlib.pyplot as plt

    check.cells("adata", adata)
    keys = [role_key] if color is None else list(check.names("color", color, or_one=True, least=1))
    check.choice("cells", cells, (_keys.QUERY, _keys.REFERENCE, "all"))
    check.texts(role_key=role_key, unknown_category=unknown_category)
    if size is not None:
        check.number("size", size, above=0)
    axes_or_none("ax", ax)
    roles = column(adata, role_key, "make adata with sp.tl.joint_embedding(reference, query)")
    if "X_umap" not in adata.obsm:
        message = f'obsm has no "X_umap": run sc.pp.neighbors(adata, use_rep="{_keys.EMBEDDING}"); sc.tl.umap(adata)'
        raise KeyError(message)
    colored = np.ones(adata.n_obs, dtype=bool) if cells == "all" else (roles == cells).to_numpy()
    if not colored.any():
        message = f"no cell has {cells!r} in obs[{role_key!r}]"
        raise ValueError(message)

    if ax is not None and len(keys) != 1:
        message = f"ax takes one panel, color asks for {len(keys)}: leave ax out or give one column"
        raise ValueError(message)
    panels = [_colored_cells(adata, key, colored, unknown_category) for key in keys]
    if ax is None:
        width = sum(_PANEL + _legend_width(panel.obs.iloc[:, 0]) for panel in panels)
        _, grid = plt.subplots(
            1, len(keys), figsize=(width, _PANEL), dpi=settings.figure_dpi, squeeze=False, layout="constrained"
        )
        axes = grid[0]
    else:
        axes = np.array([ax], dtype=object)

    size = float(np.clip(120_000 / adata.n_obs, 4, 40)) if size is None else size
    behind = np.asarray(adata.obsm["X_umap"])[~colored]
    rest = _keys.QUERY if cells == _keys.REFERENCE else _keys.REFERENCE
    for panel, axis in zip(panels, axes, strict=True):
        _draw(behind, rest, panel, axis, {"size": size, "cmap": cmap, **kwargs})
    return axes[0] if color is None or isinstance(color, str) else axes


def _colored_cells(adata: AnnData, key: str, colored: NDArray[np.bool_], unknown: str) -> AnnData:
    """Return a light copy of the cells with one column, its colours and the UMAP.

    scanpy writes into what it draws.
    """
    every = column(adata, key, "give a column of the joint embedding")
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(colored))  # no batch lies on top of the others
    uns = {}
    values = every.iloc[chosen]
    if is_bool_dtype(every) or not is_numeric_dtype(every):
        values = categorical(values)
        order = np.argsort(values.notna() & (values != unknown), kind="stable")  # cells without a label lie below
        chosen, values = chosen[order], values.iloc[order]
        if unknown in values.cat.categories:
            values = values.cat.reorder_categories([*values.cat.categories.drop(unknown), unknown])
        colors = _colors(adata, key, unknown)
        uns[_keys.colors(key)] = [colors[name] for name in values.cat.categories]
        values = values.cat.rename_categories(for_figure(values.cat.categories, in_legend=True))
    return AnnData(obs=pd.DataFrame({key: values}), obsm={"X_umap": np.asarray(adata.obsm["X_umap"])[chosen]}, uns=uns)


def _colors(adata: AnnData, key: str, unknown: str) -> dict[str, str]:
    """Colours of all labels, so that they do not depend on which the query has."""
    values = adata.obs[key]
    values = values if hasattr(values, "cat") else categorical(values)
    names = [name_of(value) for value in values.cat.categories]
    stored = adata.uns.get(_keys.colors(key), [])
    if 0 < len(stored) < len(names):
        slot = _keys.colors(key)
        logger.info("uns[%r] has %d colours for %d names: other colours are drawn", slot, len(stored), len(names))
    if not len(stored) and set(names) <= {_keys.QUERY, _keys.REFERENCE}:
        return {_keys.QUERY: QUERY, _keys.REFERENCE: BEHIND}
    return colors_of(names, stored, grey=(unknown,))


def _legend_width(values: pd.Series) -> float:
    """Inches that scanpy's legend, or a colour bar, takes beside the panel."""
    if not hasattr(values, "cat"):
        return 0.6
    names = values.cat.categories
    columns = 1 if len(names) <= 14 else 2 if len(names) <= 30 else 3
    return columns * (0.4 + 0.08 * max((len(name) for name in names), default=0))


def _draw(behind: NDArray, rest: str, cells: AnnData, ax: Axes, kwargs: dict[str, Any]) -> None:
    import scanpy as sc

    key = cells.obs.columns[0]
    is_label = hasattr(cells.obs[key], "cat")
    common = {"ax": ax, "show": False, "frameon": False}
    if len(behind):
        sc.pl.umap(AnnData(obsm={"X_umap": behind}), na_color=BEHIND, size=kwargs["size"], **common)
        if is_label:
            ax.scatter([], [], color=BEHIND, label=rest)
    if kwargs.get("groups") is not None:
        groups = [kwargs["groups"]] if isinstance(kwargs["groups"], str) else kwargs["groups"]
        kwargs = {**kwargs, "groups": for_figure(groups, in_legend=True)}
    if str(key).endswith(_keys.uncertainty("")):
        kwargs = {"vmin": 0, "vmax": 1, **kwargs}
    sc.pl.umap(
        cells,
        **{
            "color": key,
            "title": for_message(key, 60),
            "na_color": GREY,
            "colorbar_loc": None,
            **common,
            **kwargs,
        },
    )
    if is_label and cells.obs[key].isna().any() and (legend := ax.get_legend()):
        without = legend.get_texts()[-1]
        if without.get_text() == "NA":  # scanpy's word
            without.set_text("not novel" if str(key).endswith(_keys.novel_cluster("")) else "no label")
    if not is_label:
        bar = ax.get_figure().colorbar(ax.collections[-1], ax=ax, pad=0.02, fraction=0.08, shrink=0.6, aspect=20)
        plain_texts(bar.ax)
    plain_texts(ax)
