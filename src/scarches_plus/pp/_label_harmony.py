"""Hold proposals for the names of labels, to be edited and applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._arguments import at_home
from scarches_plus._cells import names_of, texts_of
from scarches_plus._text import for_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

#: Columns of a table, in this order.
COLUMNS = ("study", "label", "n_cells", "proposal", "status", "how", "score", "identifier", "alternatives")
#: How words that are no label are listed.
NO_LABEL = "no label"
#: What may become of a label.
STATUS = ("apply", "check", "keep")


@dataclass(frozen=True, eq=False)
class LabelHarmony:
    """Proposals for the names of labels: a table to read, edit and apply.

    Result of :func:`harmonize_labels`; :meth:`read` takes an edited table back.

    Attributes
    ----------
    table
        One row for each study and label: ``study``, ``label``, ``n_cells``; ``proposal``, its new name; ``status``;
        ``how`` it matches; ``score`` from 0 to 1; ``identifier`` of the term in an ontology; ``alternatives``,
        separated by ``" | "``. The status is ``"apply"``, ``"check"`` (not applied until you set ``"apply"``) or
        ``"keep"`` (its own name: nothing matches, or it is no label). Edit ``proposal`` and ``status``.
    notes
        Labels of studies that are of different levels of the tree.

    Raises
    ------
    TypeError
        If the table is none.
    ValueError
        If it lacks columns, a status is none of the three, a study's label has two rows, or a name to apply is empty.
    """

    table: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        needed = ("study", "label", "proposal", "status")
        check.table("table", self.table, needed, numbers=(), made_by="sp.pp.harmonize_labels")
        for column in needed:
            texts = names_of(self.table[column])
            self.table[column] = np.where(pd.isna(texts), "", texts)
        if len(strange := self.table[~self.table["status"].isin(STATUS)]):
            message = f"status of a label is one of {STATUS}, not {strange['status'].unique().tolist()[:5]}"
            raise ValueError(message)
        if len(twice := self.table[self.table.duplicated(["study", "label"])]):
            message = f"the table has several rows for label {twice['label'].iloc[0]!r} of {twice['study'].iloc[0]!r}"
            raise ValueError(message)
        self._require_names()

    @classmethod
    def read(cls, path: str | Path) -> LabelHarmony:
        """Read a table that was written as CSV and edited; labels such as "NA", "1" and "+" stay as they are spelt.

        Parameters
        ----------
        path
            CSV file: ``harmony.table.to_csv(path, index=False)``, or what the command ``labels`` wrote.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        ValueError
            If it is no such table; the message names the file.
        TypeError
            If `path` is no path.

        Examples
        --------
        >>> import scarches_plus as sp
        >>> harmony = sp.pp.harmonize_labels({"a": ["T cells"], "b": ["T-cell"]})
        >>> harmony.table.to_csv("labels.csv", index=False)  # doctest: +SKIP
        >>> harmony = sp.pp.LabelHarmony.read("labels.csv")  # doctest: +SKIP
        """
        path = at_home(check.path("path", path))
        if not path.is_file():
            message = f"{path} is not a file; write the table first: harmony.table.to_csv({str(path)!r}, index=False)"
            raise FileNotFoundError(message)
        try:
            written = pd.read_csv(path, dtype=str, keep_default_na=False)
            table = written.replace(r"^'(?=[=+\-@])", "", regex=True)  # as for_csv guards formulas
            for column in {"n_cells", "score"} & set(table):
                table[column] = pd.to_numeric(table[column].replace("", np.nan))
            return cls(table)
        except ValueError as error:
            message = f"{path}: {error}"
            raise ValueError(message) from error

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Return labels to decide on: uncertain or missing matches, and labels of one study that become one."""
        found = []
        for row in self.table[self.table["status"] == "check"].to_dict("records"):
            doubt = f" ({row['how']}, {row['score']:.2f})" if row.get("how") else ""
            others = f"; or {row['alternatives']}" if row.get("alternatives") else ""
            found.append(f"{row['study']}: {row['label']!r} may be {row['proposal']!r}{doubt}{others}")
        kept = self.table[(self.table["status"] == "keep") & (self.table["proposal"] == "")]
        for row in kept.to_dict("records"):
            if row.get("how") == NO_LABEL:
                continue
            others = f"; near it: {row['alternatives']}" if row.get("alternatives") else ""
            found.append(f"{row['study']}: nothing matches {row['label']!r}{others}")
        applied = self.table[self.table["status"] == "apply"]
        for (study, name), rows in applied.groupby(["study", "proposal"], sort=False):
            if len(rows) > 1:
                found.append(f"{study}: {rows['label'].tolist()} all become {name!r}")
        return tuple(found)

    def apply(self, labels: ArrayLike, studies: ArrayLike) -> pd.Series:
        """Return labels by their new names.

        Parameters
        ----------
        labels
            Label of every cell, shape ``(n_cells,)``; missing values and words that are no label stay.
        studies
            Study of every cell, or the one of all.

        Returns
        -------
        pandas.Series
            Categorical, with the index of ``labels`` if it has one. Labels whose status is ``"check"`` or ``"keep"``
            have their old name.

        Raises
        ------
        ValueError
            If a study has a label that the table lacks, a name to apply is empty, or lengths differ.
        TypeError
            If an argument has not one entry for each cell.

        Warns
        -----
        UserWarning
            If labels wait to be checked, naming them.
        """
        self._require_names()
        names, lacking = texts_of(labels, "labels")
        names = names.astype(object)
        names[lacking] = None
        of_study = np.full(len(names), studies) if isinstance(studies, str) else texts_of(studies, "studies")[0]
        of_study = of_study.astype(object)
        if len(of_study) != len(names):
            message = f"there are {len(names)} labels and {len(of_study)} studies"
            raise ValueError(message)
        keys = pd.MultiIndex.from_frame(self.table[["study", "label"]].astype(object))
        renamed = np.where(self.table["status"] == "apply", self.table["proposal"], self.table["label"])
        cells = pd.MultiIndex.from_arrays([of_study, names])
        rows = keys.get_indexer(cells)
        known = set(self.table["study"])
        if strangers := sorted({str(study) for study in of_study} - known):
            message = f"the table has no studies {strangers[:5]}, only {sorted(known)[:5]}"
            raise ValueError(message)
        unlisted = {str(name) for name in names[(rows < 0) & ~pd.isna(names)]}
        if strange := sorted(name for name in unlisted if name.strip().casefold() not in _keys.UNLABELLED):
            message = f"the table has no rows for labels {strange[:10]}: make it of these cells, or add rows"
            raise ValueError(message)
        if waiting := sorted(set(names[(rows >= 0)][self._waiting(rows[rows >= 0])])):
            message = f"labels wait to be checked and keep their names: {waiting[:10]}; set their status to 'apply'"
            warn(message, UserWarning, stacklevel=2)
        found = names.copy()
        found[rows >= 0] = renamed[rows[rows >= 0]]
        series = labels if isinstance(labels, pd.Series) else pd.Series(index=range(len(found)), dtype=object)
        return pd.Series(pd.Categorical(found), index=series.index, name=series.name)

    def _waiting(self, rows: Any) -> Any:
        return (self.table["status"] == "check").to_numpy()[rows]

    def _require_names(self) -> None:
        empty = self.table[(self.table["status"] == "apply") & (self.table["proposal"].str.strip() == "")]
        if len(empty):
            message = f"labels {empty['label'].tolist()[:5]} have no proposal to apply; write one, or set 'keep'"
            raise ValueError(message)

    def __str__(self) -> str:
        counts = self.table["status"].value_counts()
        n = {status: int(counts.get(status, 0)) for status in STATUS}
        changed = (self.table["status"] == "apply") & (self.table["proposal"] != self.table["label"])
        lines = [
            f"{len(self.table)} labels of {self.table['study'].nunique()} studies: {n['apply']} matched "
            f"({int(changed.sum())} change their name), {n['check']} to check, {n['keep']} keep their name unmatched"
        ]
        lines += [f"- {one}" for one in (*self.conflicts, *self.notes)]
        return "\n".join(map(for_line, lines))
