"""Estimate differential abundance of labels between two groups, with the labels' uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys, _limits
from scarches_plus._cells import column_of, name_of, names_of, refuse_prototypes
from scarches_plus._logging import logger, tell

from ._groups._composition import draw_centers, draw_compositions, draw_counts
from ._novelty._novel_cells import novel_cells
from ._votes._reference_labels import named_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from anndata import AnnData


class _Cells(NamedTuple):
    """Cells of a group: name, probabilities of labels, and sample of each."""

    name: str
    posterior: np.ndarray
    samples: np.ndarray
    n_samples: int
    source: str


def differential_abundance(
    adata: AnnData,
    labels_key: str,
    groupby: str | None = None,
    *,
    groups: Sequence[str] | None = None,
    reference: AnnData | None = None,
    sample_key: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    novel_key: str | None = None,
    prior: float = 0.5,
    level: float = 0.95,
    n_draws: int = 4000,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    r"""Compare which share of the cells each label has in two groups of cells, such as a query and its reference.

    Labels that are uncertain count as uncertain: where ``obsm["{labels_key}_probabilities"]`` holds probabilities, the
    label of every cell is drawn from them, again and again, and the shares of each draw get the error of sampling
    cells.

    Parameters
    ----------
    adata
        Cells; not changed. Their labels are the probabilities in ``obsm["{labels_key}_probabilities"]``, as
        :func:`transfer_labels` writes them with ``probabilities=True`` or as a DataFrame (``model.predict(soft=True)``
        of a scANVI model), else ``obs[labels_key]``. Cells without a label are left out.
    labels_key
        Name of the labels.
    groupby
        ``obs`` column of ``adata`` with the groups to compare.
    groups
        The two groups of the column, ``(first, second)``; can be left out if there are only two.
    reference
        Instead of ``groupby``: compare all of ``adata`` (``"query"``) with these cells (``"reference"``), whose labels
        are found in the same way.
    sample_key
        ``obs`` column of samples (donors), at least two in each group. Intervals then hold for further samples, not
        only for further cells of the same ones.
    unknown_category
        Value of ``obs[labels_key]`` that is no label.
    unlabelled
        Words that are no label in a column, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    novel_key
        ``obs`` column of ``adata`` from :func:`detect_novel`: cells that it calls novel have no label, whatever the
        probabilities say.
    prior
        Cells added to each label (to each of a sample); 0.5 is Jeffreys' prior.
    level
        Probability that the intervals hold.
    n_draws
        Draws from the posterior.
    rng
        Seed or generator. ``None`` draws a fresh seed.

    Returns
    -------
    pandas.DataFrame
        One row per label, those of the reference first. ``group1``, ``group2``; ``n_cells1``, expected cells of the
        label; ``proportion1``, its posterior mean, with ``proportion1_low`` and ``proportion1_high``, ends of its
        central interval, and the same for group 2; ``log2_ratio``, posterior mean of
        ``log2(proportion1 / proportion2)``, with ends ``log2_ratio_low`` and ``log2_ratio_high``; with samples its
        median, since groups of two samples have no mean; ``probability_increase``, that the share is larger in group 1.
        ``table.attrs["labels"]`` says for each group where its labels were taken from, as the log does.

    Raises
    ------
    KeyError
        If labels or a column are missing.
    ValueError
        If not one of ``groupby`` and ``reference`` is given, or ``groups`` without ``groupby``, there are not two
        groups, one has no labelled cell or (with ``sample_key``) one sample only, probabilities are no probabilities,
        two labels read the same, the column of novel cells is not boolean, or a number is out of range.
    TypeError
        If ``groups`` is one text.

    Notes
    -----
    With :math:`y_c` the label of cell :math:`c`, drawn from its probabilities, :math:`n_l` the cells of label
    :math:`l`,

    - without samples, proportions are :math:`\mathrm{Dirichlet}(n + \alpha)`. With certain labels that is the
      textbook's posterior;
    - with samples, a group's proportions are the geometric mean of its samples', closed to sum to 1 (Aitchison's
      center), whose logarithm has a Student's t posterior by the spread between samples. Samples weigh the same.

    Shares sum to 1, so that the growth of one label lowers all others. Errors that many cells share are not in the
    intervals: a classifier that takes one type for another does so in every draw, and probabilities that carry the
    reference's composition pull towards it.

    References
    ----------
    Aitchison 1986, The Statistical Analysis of Compositional Data.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(600, n_types=3, missing_types={"batch1": ["type2"]})
    >>> table = sp.tl.differential_abundance(adata, "cell_type", "batch", groups=["batch1", "batch0"])
    >>> bool(table.loc["type2", "log2_ratio_high"] < 0)
    True
    """
    check.cells("adata", adata)
    check.cells("reference", reference, or_none=True)
    for name, cells in {"adata": adata, "reference": reference}.items():
        refuse_prototypes(name, cells, "pass the cells that they stand for")
    check.texts(labels_key=labels_key, unknown_category=unknown_category)
    check.texts_or_none(groupby=groupby, sample_key=sample_key, novel_key=novel_key)
    check.distinct(labels_key=labels_key, groupby=groupby, sample_key=sample_key)
    groups = None if groups is None else check.names("groups", groups, of=object)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.number("prior", prior, above=0)
    check.number("level", level, above=0, below=1)
    n_draws = check.whole("n_draws", n_draws, least=1, most=_limits.DRAWS)
    check.seed("rng", rng)
    if (groupby is None) == (reference is None):
        message = "name the groups to compare: either groupby=..., a column of adata.obs, or reference=..., other cells"
        raise ValueError(message)
    if groups is not None and groupby is None:
        message = "groups are values of a column, groupby=...; leave them out to compare with a reference"
        raise ValueError(message)
    generator = np.random.default_rng(rng)
    table, labels = _groups(
        adata,
        labels_key,
        groupby=groupby,
        groups=groups,
        reference=reference,
        sample_key=sample_key,
        unknown_category=unknown_category,
        unlabelled=unlabelled,
        novel_key=novel_key,
    )
    draws = [_draw(cells, prior, n_draws, generator, in_samples=sample_key is not None) for cells in table]

    ends = [(1 - level) / 2, (1 + level) / 2]
    result: dict[str, Any] = {f"group{i}": cells.name for i, cells in enumerate(table, 1)}
    for i, (cells, drawn) in enumerate(zip(table, draws, strict=True), 1):
        expected = cells.posterior.sum(axis=0)
        mean = drawn.mean(axis=0)
        if sample_key is None:
            mean = (expected + prior) / (expected + prior).sum()
        low, high = np.quantile(drawn, ends, axis=0)
        result |= {f"n_cells{i}": expected, f"proportion{i}": mean}
        result |= {f"proportion{i}_low": low, f"proportion{i}_high": high}
    ratio = np.log2(draws[0]) - np.log2(draws[1])
    low, high = np.quantile(ratio, ends, axis=0)
    middle = ratio.mean(axis=0) if sample_key is None else np.median(ratio, axis=0)
    result |= {"log2_ratio": middle, "log2_ratio_low": low, "log2_ratio_high": high}
    result["probability_increase"] = (ratio > 0).mean(axis=0)
    answer = pd.DataFrame(result, index=pd.Index(labels, name=labels_key))
    answer.attrs["labels"] = {cells.name: cells.source for cells in table}
    for name, source in answer.attrs["labels"].items():
        line = f"labels of {name!r} are {source}"
        tell(line, {"what": "compared", "line": line, "group": name, "source": source})
    return answer


def _draw(cells: _Cells, prior: float, n_draws: int, rng: np.random.Generator, *, in_samples: bool) -> np.ndarray:
    """Return compositions of a group, shape ``(n_draws, n_labels)``."""
    counts = draw_counts(cells.posterior, cells.samples, cells.n_samples, n_draws, rng)
    return draw_centers(counts, prior, rng) if in_samples else draw_compositions(counts[:, 0], prior, rng)


def _groups(
    adata: AnnData,
    labels_key: str,
    *,
    groupby: str | None,
    groups: Sequence[str] | None,
    reference: AnnData | None,
    sample_key: str | None,
    unknown_category: str,
    unlabelled: Collection[Any] | None,
    novel_key: str | None,
) -> tuple[list[_Cells], list[str]]:
    """Return the two groups, and their labels."""
    who = "adata" if reference is None else "the query"
    posterior, source = _posterior(adata, labels_key, unknown_category, unlabelled, who)
    if novel_key is not None:
        posterior[novel_cells(adata, novel_key)] = 0.0
    if reference is not None:
        other, other_source = _posterior(reference, labels_key, unknown_category, unlabelled, "the reference")
        labels = list(dict.fromkeys([*other.columns, *posterior.columns]))
        found = [(_keys.QUERY, adata, posterior, source), (_keys.REFERENCE, reference, other, other_source)]
    else:
        labels = list(posterior.columns)
        column = _column(adata, str(groupby))
        names = _two_groups(column, groups, str(groupby))
        members = {name: column.to_numpy() == name for name in names}
        found = [(name, adata[inside], posterior[inside], source) for name, inside in members.items()]
    return [
        _cells(name, cells, some.reindex(columns=labels, fill_value=0.0), sample_key, where)
        for name, cells, some, where in found
    ], labels


def _cells(name: str, adata: AnnData, posterior: pd.DataFrame, sample_key: str | None, source: str) -> _Cells:
    labelled = posterior.to_numpy().any(axis=1)
    if not labelled.any():
        message = f"no cell of {name!r} has a label"
        raise ValueError(message)
    if not labelled.all():
        logger.info("%d cells of %r without a label are left out", (~labelled).sum(), name)
    probabilities = posterior.to_numpy()[labelled]
    if sample_key is None:
        return _Cells(name, probabilities, np.zeros(len(probabilities), dtype=np.int64), 1, source)
    column = _column(adata, sample_key).to_numpy()[labelled]
    if pd.isna(column).any():
        message = f"obs[{sample_key!r}] has missing values in {name!r}; fill them in or leave these cells out"
        raise ValueError(message)
    codes, samples = pd.factorize(column, sort=True)
    if len(samples) < 2:
        message = (
            f"{name!r} has one sample only in obs[{sample_key!r}], which tells nothing of how samples vary: leave "
            "sample_key out, and intervals hold for this sample"
        )
        raise ValueError(message)
    return _Cells(name, probabilities, codes, len(samples), source)


def _column(adata: AnnData, key: str) -> pd.Series:
    """Return a column as names, missing values as ``None``."""
    return pd.Series(names_of(column_of(adata.obs, key)), index=adata.obs_names, dtype=object)


def _two_groups(column: pd.Series, groups: Sequence[str] | None, key: str) -> list[str]:
    there = sorted(column.dropna().unique())
    wanted = there if groups is None else [name_of(group) for group in groups]
    if unknown := [name for name in wanted if name not in there]:
        message = f"groups {unknown} not found in obs[{key!r}], which holds {there}"
        raise ValueError(message)
    if len(set(wanted)) != 2 or len(wanted) != 2:
        message = f"two groups are compared, not {wanted}: name them with groups=(first, second) out of {there}"
        raise ValueError(message)
    return wanted


def _posterior(
    adata: AnnData, labels_key: str, unknown_category: str, unlabelled: Collection[Any] | None, who: str
) -> tuple[pd.DataFrame, str]:
    """Return label probabilities of all cells, with zeros for cells without a label, and where they were found."""
    slot = _keys.probabilities(labels_key)
    if slot in adata.obsm:
        given = adata.obsm[slot]
        if isinstance(given, pd.DataFrame):
            names = given.columns
        else:
            names = adata.uns.get(_keys.UNS, {}).get(_keys.PROBABILITY_LABELS, {}).get(labels_key, ())
        values = np.asarray(given, dtype=np.float64)
        if len(names) != values.shape[1]:
            message = (
                f"the {values.shape[1]} columns of obsm[{slot!r}] have no names: store a DataFrame, or let "
                "sp.tl.transfer_labels write it"
            )
            raise ValueError(message)
        sums = values.sum(axis=1, keepdims=True)
        if not ((values >= 0).all() and np.isfinite(values).all() and ((np.abs(sums - 1) < 1e-3) | (sums == 0)).all()):
            message = f"rows of obsm[{slot!r}] must be probabilities that sum to 1 (or 0 for cells without a label)"
            raise ValueError(message)
        values = np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
        source = f"probabilities, obsm[{slot!r}]"
        if labels_key in adata.obs:
            source += f"; the column obs[{labels_key!r}] is not used"
        return pd.DataFrame(values, columns=pd.Index([str(name) for name in names])), source
    if labels_key not in adata.obs:
        message = (
            f"labels {labels_key!r} found in {who} neither in obs nor, with probabilities, in obsm[{slot!r}]: "
            "sp.tl.transfer_labels(..., probabilities=True) writes these (scarches-plus transfer --probabilities)"
        )
        own = labels_key.removesuffix(_keys.predicted(""))
        if own != labels_key and own in adata.obs:
            message += f". Name the labels {own!r}: where they were transferred, their probabilities are compared"
        raise KeyError(message)
    labels = named_labels(adata.obs[labels_key], unknown_category, unlabelled)
    one_hot = (labels.codes[:, None] == np.arange(len(labels.categories))).astype(np.float64)
    source = f"the column obs[{labels_key!r}]"
    if _keys.predicted(labels_key) in adata.obs:
        source += f", and not those transferred, obs[{_keys.predicted(labels_key)!r}], which come without probabilities"
    return pd.DataFrame(one_hot, columns=labels.categories), source
