"""One name for each cell type: what must match, what must be asked, and what must never match."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scarches_plus as sp

OBO = """format-version: 1.2
ontology: cl

[Term]
id: CL:0000000
name: cell

[Term]
id: CL:0000084
name: T cell
synonym: "T lymphocyte" EXACT []
synonym: "mature T cell" RELATED []
is_a: CL:0000000 ! cell

[Term]
id: CL:0000624
name: CD4-positive, alpha-beta T cell
synonym: "CD4-positive, alpha-beta T lymphocyte" EXACT []
is_a: CL:0000084 ! T cell

[Term]
id: CL:0000625
name: CD8-positive, alpha-beta T cell
is_a: CL:0000084 ! T cell

[Term]
id: CL:0000236
name: B cell
synonym: "B-lymphocyte" EXACT []
is_a: CL:0000000

[Term]
id: CL:0000786
name: plasma cell
synonym: "plasmacyte" EXACT [MESH:D010950]
synonym: "effector B cell" BROAD []
is_a: CL:0000236

[Term]
id: CL:0000171
name: pancreatic A cell
synonym: "alpha cell of islet of Langerhans" EXACT []
is_a: CL:0000000

[Term]
id: CL:0000169
name: type B pancreatic cell
is_a: CL:0000000

[Term]
id: CL:0000451
name: dendritic cell
is_a: CL:0000000

[Term]
id: CL:0000784
name: plasmacytoid dendritic cell
is_a: CL:0000451

[Term]
id: CL:0001054
name: CD14-positive monocyte
is_a: CL:0000000

[Term]
id: CL:0009999
name: macrophage of old
is_obsolete: true

[Term]
id: UBERON:0000955
name: brain
"""


@pytest.fixture
def ontology(tmp_path):
    (tmp_path / "cl.obo").write_text(OBO)
    return tmp_path / "cl.obo"


def between(one, other):
    """The row of a label of one study, with a label of another that has more cells."""
    table = sp.pp.harmonize_labels({"a": [one], "b": [other] * 2}).table
    return table[(table["study"] == "a") & (table["label"] == one)].iloc[0]


# --- what is one name ---


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("B cell", "B cell", "exact"),
        ("b CELL", "B cell", "case"),
        ("B-cells", "B cell", "spelling"),
        ("CD4 T", "CD4+ T cells", "spelling"),
        ("T CD4+", "CD4 T", "spelling"),
        ("CD4T", "CD4-positive T cell", "spelling"),
        ("CD14⁺ Monocytes", "CD14+ monocyte", "spelling"),
        ("activated_stellate", "ActivatedStellate", "spelling"),
        ("γδ T", "gamma-delta T cell", "spelling"),
        ("NK-like T cells", "T cell, NK-like", "spelling"),
        ("NK-like T", "natural killer-like T cell", "synonym"),
        ("T-γδ", "gamma-delta T cell", "spelling"),
        ("GFP", "GFP+ cells", "spelling"),
        ("Lin-negative", "Lin- cells", "spelling"),
        ("HLA-DR", "HLA-DR+", "spelling"),
        ("T cells - naive", "naive T-cell", "spelling"),
        ("non-classical monocyte", "nonclassical monocytes", "spelling"),
        ("CD56-bright NK", "CD56bright NK cells", "spelling"),
        ("NK", "natural killer cell", "synonym"),
        ("Mono (CD14+)", "CD14+ monocytes", "synonym"),
        ("FCGR3A+ Mono", "CD16+ monocyte", "synonym"),
        ("pDC", "plasmacytoid dendritic cells", "synonym"),
        ("Tregs", "regulatory T cell", "synonym"),
        ("plasma B", "plasma cell", "synonym"),
        ("pancreatic A cell", "pancreatic alpha cell", "synonym"),
        ("thrombocytes", "Platelet", "synonym"),
    ],
)
def test_spellings_and_synonyms_are_one_name(one, other, how):
    row = between(one, other)
    assert (row["proposal"], row["status"], row["how"]) == (other, "apply", how)


# --- what must be asked ---


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("macrophge", "Macrophages", "fuzzy"),
        ("megakariocytes", "megakaryocyte", "fuzzy"),
        ("CD4 efector memory T", "effector memory CD4+ T cells", "fuzzy"),
        ("alpha", "pancreatic A cell", "context"),
        ("CD14+ monocytes", "classical monocyte", "context"),
        ("HSC", "hematopoietic stem cell", "context"),
        ("hematopoietic stem cells", "HSCs", "context"),
        ("neu", "neutrophil", "context"),
        ("mDC", "myeloid dendritic cell", "context"),
        ("CD1c+ DCs", "CD1c+ dendritic cell", "context"),
        ("baso", "basophils", "context"),
        ("pDC", "DC", "broader"),
        ("naive B cell", "B cell", "broader"),
    ],
)
def test_doubtful_names_are_asked_and_not_applied(one, other, how):
    row = between(one, other)
    assert (row["proposal"], row["status"], row["how"]) == (other, "check", how)
    harmony = sp.pp.harmonize_labels({"a": [one], "b": [other] * 2})
    assert any(repr(one) in conflict and repr(other) in conflict for conflict in harmony.conflicts)
    with pytest.warns(UserWarning, match="wait to be checked"):
        assert harmony.apply([one], "a").tolist() == [one]
    harmony.table.loc[harmony.table["label"] == one, "status"] = "apply"
    assert harmony.apply([one], "a").tolist() == [other]


def test_a_label_that_matches_two_names_is_asked():
    harmony = sp.pp.harmonize_labels({"a": ["T cells"]}, ["T-cell", "T Cell"])
    (row,) = harmony.table.to_dict("records")
    assert (row["status"], row["how"], row["alternatives"]) == ("check", "spelling, several", "T Cell")


# --- what must never match ---

APART = [
    ("CD4 T", "CD8 T"), ("CD4+ T cell", "CD4- T cell"), ("CD14+ monocyte", "CD16+ monocyte"), ("B cell", "T cell"),
    ("B cell", "plasma B"), ("alpha", "beta"), ("gamma", "gamma delta T"), ("T/NK", "NKT"), ("T and NK", "NK T cell"),
    ("ILC1", "ILC2"), ("cluster 1", "cluster 11"), ("AT1", "AT2"), ("pre-B", "pro-B"), ("osteoblast", "osteoclast"),
    ("monoblast", "monocyte"), ("mono CD14+ CD16-", "mono CD14- CD16+"), ("CD14++ mono", "CD14+ mono"),
    ("type I alveolar", "type II alveolar"), ("B cell", "pancreatic B cell"), ("CD56dim NK", "CD56bright NK"),
    ("neutrophil", "eosinophil"), ("IgA plasma", "IgG plasma"), ("DN1", "DN2"), ("astrocyte", "adipocyte"),
    ("endothelial", "epithelial"), ("Th1", "Th2"), ("V1 neuron", "V2 neuron"), ("L2/3 IT", "L5 IT"),
    ("GFP-", "GFP+"), ("GFP- cells", "GFP"), ("GFP -", "GFP +"), ("EPCAM-", "EPCAM+"), ("EPCAM negative", "EPCAM"),
    ("HLA-DR- monocyte", "HLA-DR+ monocyte"), ("Lin-", "Lin+"), ("Lin neg", "Lin pos"), ("GFP-_tumor", "GFP+_tumor"),
    ("CD45-EPCAM+", "CD45+EPCAM+"), ("double negative T", "double positive T"),
    ("T cell NK-like", "NK T cell like"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [*APART, *((other, one) for one, other in APART)])
def test_other_types_never_match(one, other):
    row = between(one, other)
    assert row["proposal"] != other or row["how"] == "broader"
    assert row["status"] != "apply"
    listed = sp.pp.harmonize_labels({"a": [one]}, [other]).table.iloc[0]
    assert listed["how"] in {"", "broader"}


def test_markers_numbers_and_letters_never_match_by_similarity():
    markers = [f"CD{n}{sign} long lived memory T cell" for n in range(1, 40) for sign in ("+", "-", "++")]
    names = [*markers, *(f"excitatory neuron layer {n}" for n in range(40)), *(f"progenitor {c}" for c in "abcdefg")]
    for one, others in ((name, [other for other in names if other != name]) for name in names[::7]):
        (row,) = sp.pp.harmonize_labels({"a": [one]}, others).table.to_dict("records")
        assert row["how"] in {"", "broader"}, row


def test_labels_that_a_study_tells_apart_are_two_types():
    table = sp.pp.harmonize_labels({"a": ["macrophages", "macrophagos"], "b": ["macrophagos"]}).table
    assert "fuzzy" not in table["how"].tolist()
    assert set(table["proposal"]) == {"macrophages", "macrophagos"}


# --- trees and ontologies ---


def test_names_of_a_tree_and_levels_of_studies():
    tree = sp.pp.label_tree({"T cell": ["CD4 T", "CD8 T"], "B cell": []})
    labels = {"coarse": ["T cells", "b cells"], "fine": ["T CD4+", "CD8 T cell", "B"]}
    harmony = sp.pp.harmonize_labels(labels, tree)
    assert harmony.table["proposal"].tolist() == ["T cell", "B cell", "CD4 T", "CD8 T", "B cell"]
    assert set(harmony.table["status"]) == {"apply"}
    (note,) = harmony.notes
    assert "'T cell'" in note
    assert "'fine'" in note
    flat = sp.pp.harmonize_labels(labels, list(tree.nodes))
    pd.testing.assert_frame_equal(flat.table, harmony.table)


@pytest.mark.parametrize(
    ("label", "name", "identifier", "status", "how"),
    [
        ("CD4 T", "CD4-positive, alpha-beta T cell", "CL:0000624", "apply", "synonym"),
        ("CD8+ T cells", "CD8-positive, alpha-beta T cell", "CL:0000625", "apply", "synonym"),
        ("T-lymphocytes", "T cell", "CL:0000084", "apply", "synonym"),
        ("Plasmacytes", "plasma cell", "CL:0000786", "apply", "synonym"),
        ("plasma B", "plasma cell", "CL:0000786", "apply", "synonym"),
        ("Mono (CD14+)", "CD14-positive monocyte", "CL:0001054", "apply", "synonym"),
        ("DC", "dendritic cell", "CL:0000451", "check", "context"),
        ("pDC", "plasmacytoid dendritic cell", "CL:0000784", "apply", "synonym"),
        ("B cells", "B cell", "CL:0000236", "apply", "spelling"),
        ("beta", "type B pancreatic cell", "CL:0000169", "check", "context"),
        ("mature T", "T cell", "CL:0000084", "check", "related synonym"),
        ("effector B", "plasma cell", "CL:0000786", "check", "related synonym"),
        ("plasmacytoid dentritic", "plasmacytoid dendritic cell", "CL:0000784", "check", "fuzzy"),
        ("CD16+ monocyte", "", "", "keep", ""),
        ("brain", "", "", "keep", ""),
        ("macrophage of old", "", "", "keep", ""),
    ],
)
def test_terms_of_an_ontology(ontology, label, name, identifier, status, how):
    (row,) = sp.pp.harmonize_labels({"a": [label]}, ontology).table.to_dict("records")
    assert (row["proposal"], row["identifier"], row["status"], row["how"]) == (name, identifier, status, how)


def test_ontologies_that_cannot_be_read(ontology, tmp_path, monkeypatch):
    (tmp_path / "bad.obo").write_text("[Term]\nid: CL:1\nname without a colon\n")
    with pytest.raises(ValueError, match=r"bad\.obo is no ontology in OBO format"):
        sp.pp.harmonize_labels({"a": ["B"]}, tmp_path / "bad.obo")
    (tmp_path / "empty.obo").write_text("format-version: 1.2\n")
    with pytest.raises(ValueError, match="tree holds no names"):
        sp.pp.harmonize_labels({"a": ["B"]}, tmp_path / "empty.obo")
    with pytest.raises(ValueError, match=r"is OWL; take the same release in OBO format \(cl\.obo\)"):
        sp.pp.harmonize_labels({"a": ["B"]}, tmp_path / "cl.owl")
    with pytest.raises(TypeError, match=r"pathlib\.Path\('cl\.obo'\)"):
        sp.pp.harmonize_labels({"a": ["B"]}, "cl.obo")
    monkeypatch.setitem(sys.modules, "fastobo", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'scarches-plus\[ontology\]'"):
        sp.pp.harmonize_labels({"a": ["B"]}, ontology)


# --- what the user knows ---


def test_synonyms_of_the_user_come_first():
    labels = {"a": ["stroma", "CD4 T"], "b": ["fibroblast", "fibroblast"]}
    known = {"stroma": "fibroblast"}
    assert sp.pp.harmonize_labels(labels, synonyms=known).table["proposal"].tolist()[0] == "fibroblast"
    table = sp.pp.harmonize_labels(labels, ["fibroblast", "T cell"], synonyms=known).table
    assert table["proposal"].tolist()[0] == "fibroblast"
    with pytest.raises(ValueError, match=r"synonyms name .'other'., which the tree lacks"):
        sp.pp.harmonize_labels(labels, ["fibroblast"], synonyms={"stroma": "other"})


def test_order_of_studies_does_not_decide_what_matches():
    labels = {
        "a": ["CD4 T"] * 3 + ["NK"],
        "b": ["T CD4+"] * 2,
        "c": ["natural killer"] * 5 + ["macrophge"],
        "d": ["macrophage"] * 4,
    }
    expected = sp.pp.harmonize_labels(labels).table.set_index(["study", "label"])["proposal"]
    for order in itertools.permutations(labels):
        found = sp.pp.harmonize_labels({study: labels[study] for study in order}).table
        pd.testing.assert_series_equal(found.set_index(["study", "label"])["proposal"].loc[expected.index], expected)


def test_what_is_refused():
    with pytest.raises(ValueError, match="labels holds no labels"):
        sp.pp.harmonize_labels({})
    with pytest.raises(ValueError, match="labels holds no labels"):
        sp.pp.harmonize_labels({"a": [None, "Unknown"]})
    with pytest.raises(TypeError, match=r"labels\['a'\] must hold the label of every cell"):
        sp.pp.harmonize_labels({"a": "B cell"})


# --- applying ---


def test_labels_by_their_new_names():
    obs = pd.DataFrame(
        {"study": ["a", "a", "b", "b", "b"], "cell_type": ["CD4 T", "Unknown", "T CD4+", None, "T CD4+"]},
        index=list("vwxyz"),
    )
    by_study = dict(list(obs.groupby("study")["cell_type"]))
    harmony = sp.pp.harmonize_labels(by_study)
    assert harmony.conflicts == ()
    renamed = harmony.apply(obs["cell_type"], obs["study"])
    assert renamed.index.tolist() == list("vwxyz")
    assert renamed.name == "cell_type"
    assert renamed.astype(object).where(renamed.notna(), None).tolist() == [
        "T CD4+",
        "Unknown",
        "T CD4+",
        None,
        "T CD4+",
    ]
    with pytest.raises(ValueError, match=r"no rows for labels \['NK'\]"):
        harmony.apply(["NK"], "a")
    with pytest.raises(ValueError, match=r"the table has no studies \['c'\]"):
        harmony.apply(["CD4 T"], "c")
    with pytest.raises(ValueError, match="2 labels and 1 studies"):
        harmony.apply(["CD4 T", "CD4 T"], ["a"])


def test_the_table_goes_to_a_file_and_back(tmp_path):
    harmony = sp.pp.harmonize_labels({"a": ["macrophge", "Unknown"], "1": np.array(["macrophage"] * 2)})
    harmony.table.to_csv(tmp_path / "labels.csv", index=False)
    edited = pd.read_csv(tmp_path / "labels.csv")
    edited.loc[edited["label"] == "macrophge", "status"] = "apply"
    back = sp.pp.LabelHarmony(edited)
    assert back.apply(["macrophge", "Unknown", None], "a").tolist()[:2] == ["macrophage", "Unknown"]
    assert back.apply(["macrophage"], "1").tolist() == ["macrophage"]


def test_labels_that_look_like_numbers_or_nothing_survive_a_file(tmp_path):
    labels = ["NA", "1", "01", "+T", "None", "B cell"]
    harmony = sp.pp.harmonize_labels({"1": labels})
    harmony.table.to_csv(tmp_path / "labels.csv", index=False)
    back = sp.pp.LabelHarmony.read(tmp_path / "labels.csv")
    for column in ("study", "label", "proposal", "status", "n_cells", "score"):
        assert back.table[column].tolist() == harmony.table[column].tolist()
    assert str(back) == str(harmony)
    assert back.apply(labels, "1").tolist() == harmony.apply(labels, "1").tolist()
    (tmp_path / "guarded.csv").write_text((tmp_path / "labels.csv").read_text().replace("+T", "'+T"))
    assert sp.pp.LabelHarmony.read(tmp_path / "guarded.csv").table["label"].tolist() == harmony.table["label"].tolist()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv is not a file"):
        sp.pp.LabelHarmony.read(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv: "):
        sp.pp.LabelHarmony.read(tmp_path / "other.csv")


def test_two_labels_of_a_study_that_become_one_are_told():
    harmony = sp.pp.harmonize_labels({"a": ["T cells", "T-cell"], "b": ["T cell"] * 3})
    (conflict,) = harmony.conflicts
    assert conflict.startswith("a: ['T cells', 'T-cell'] all become 'T cell'")
    assert conflict in str(harmony)


def test_tables_that_make_no_sense():
    table = sp.pp.harmonize_labels({"a": ["B"], "b": ["B cell"]}).table
    with pytest.raises(ValueError, match="status of a label is one of"):
        sp.pp.LabelHarmony(table.assign(status="yes"))
    with pytest.raises(ValueError, match="several rows for label 'B' of 'a'"):
        sp.pp.LabelHarmony(pd.concat([table, table]))
    with pytest.raises(ValueError, match="no proposal to apply"):
        sp.pp.LabelHarmony(table.assign(proposal=""))
    with pytest.raises(ValueError, match=r"lacks \['status'\]"):
        sp.pp.LabelHarmony(table.drop(columns="status"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(["DC", "Dendritic cells", "Dendritc cell", "dendritic", "T cell", "T cels", "T", "CD4 T cell", "CD4 T"]),
            min_size=1, max_size=6,
        ),
        min_size=2, max_size=4,
    )
)  # fmt: skip
def test_proposals_lead_to_one_name_in_one_step(labels):
    """A label is never to become a name that is itself to become another."""
    table = sp.pp.harmonize_labels({f"study{one}": given for one, given in enumerate(labels)}).table
    proposals = table.groupby("label")["proposal"].agg(set)
    for proposal in set(table["proposal"]) & set(proposals.index):
        assert proposals[proposal] <= {proposal, ""}, table.to_string()


def test_a_misspelt_name_takes_the_last_name():
    cells = {"a": ["DC"] * 30, "b": ["Dendritic cells"] * 20, "c": ["Dendritc cell"] * 10}
    table = sp.pp.harmonize_labels(cells).table.set_index("label")
    assert table["proposal"].tolist() == ["DC"] * 3
    assert "Dendritic cells" in table.loc["Dendritc cell", "alternatives"]
