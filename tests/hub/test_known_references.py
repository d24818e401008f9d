"""The list of references that others published."""

import importlib.resources
import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import scarches_plus as sp

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "published_references.md"
TABLE = sp.hub.list_models(known=True)
ROWS = [
    SimpleNamespace(**{key: None if pd.isna(value) else value for key, value in row.items()})
    for row in TABLE.to_dict("records")
]


@pytest.fixture
def table():
    return TABLE


def test_the_table_is_what_the_file_says(table):
    file = importlib.resources.files(sp.hub) / "_indexes" / "known_references.json"
    listed = json.loads(file.read_text(encoding="utf-8"))["references"]
    assert table["name"].tolist() == [one["name"] for one in listed]
    assert table.columns.tolist() == list(listed[0])
    for row, one in zip(table.to_dict("records"), listed, strict=True):
        missing = {key for key, value in one.items() if value is None}
        assert missing <= {"cells", "genes"}
        assert {key: value for key, value in row.items() if key not in missing} == {
            key: value for key, value in one.items() if key not in missing
        }
        assert all(table.loc[table["name"] == one["name"], key].isna().item() for key in missing)


def test_what_users_ask_for_is_there(table):
    names = set(table["name"])
    assert {
        "hlca-core",
        "luca",
        "gbmap-core",
        "heart-cell-atlas",
        "census-scvi-human",
        "census-scvi-mouse",
        "hnoca",
    } <= names
    assert {"preimplantation-human", "preimplantation-mouse"} <= names
    tissues = table.loc[table["name"].str.startswith("tabula-sapiens-"), "tissue"]
    assert len(set(tissues)) == len(tissues) >= 24


def test_names_and_addresses_occur_once():
    assert [name for name, times in Counter(one.name for one in ROWS).items() if times > 1] == []
    shared = {address for address, times in Counter(one.address for one in ROWS).items() if times > 1}
    assert all(one.address.startswith("https://") for one in ROWS if one.address in shared)  # two files of a repository


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.name)
def test_rows_keep_their_promises(one):
    assert all((one.title, one.species, one.tissue, one.license, one.citation, one.source))
    assert one.openable == (one.verified != "not openable")
    if one.openable:
        assert hasattr(sp.model, one.model), "no class of the package"
    else:
        assert one.note, "does not say why"
    if one.openable and not one.address.startswith(("10.", "hf://")):
        assert "by hand" in one.note, "does not say how to get the file"


def test_hnoca_says_why_it_does_not_open(table):
    row = table.set_index("name").loc["hnoca"]
    assert not row["openable"]
    assert (row["model"], row["verified"]) == ("scPoli", "not openable")
    assert row["note"].startswith("scPoli is a network of scArches that no class of this package has")


def test_an_index_lists_none_of_them(tmp_path):
    with pytest.raises(ValueError, match=r"known=True .* no index="):
        sp.hub.list_models(known=True, index=tmp_path)
    with pytest.raises(TypeError, match="known"):
        sp.hub.list_models(known="hlca")
    assert not set(sp.hub.list_models(offline=True)["name"]) & {one.name for one in ROWS}


def test_the_page_shows_the_list():
    expected = [_row(one) for one in ROWS]
    shown = [line for line in PAGE.read_text().splitlines() if re.match(r"\| `", line)]
    assert shown == expected, "the table of the page has to be:\n" + "\n".join(expected)


def _row(one):
    """Four columns, as wide as a page: name; species, tissue, cells; class, genes; address with licence and
    verification.
    """
    cells = "" if one.cells is None else f", {one.cells:,} cells"
    genes = "genes" if one.genes is None else f"{one.genes:,} genes"
    names = {"unknown": ""}.get(one.gene_ids, f" ({one.gene_ids})")
    return (
        f"| `{one.name}` | {one.species} {one.tissue}{cells} | {one.model}, {genes}{names} | "
        f"`{one.address}`, licence {one.license}, {one.verified} |"
    )
