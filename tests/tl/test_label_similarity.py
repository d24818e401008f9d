"""Labels of two atlases that are the same are found, whatever they are called."""

import numpy as np
import pytest

import scarches_plus as sp


def atlases(batch_effect=0.5, seed=0, n_types=7):
    """The same types in two studies, one of its own in each; names of the second are others."""
    adata = sp.datasets.simulate(
        3000, 400, n_types, n_batches=4, batch_effect=batch_effect, mean_depth=1500.0, rng=seed
    )
    study = adata.obs["batch"].isin(["batch0", "batch1"])
    kinds = adata.obs["cell_type"].astype(str)
    first = adata[study & (kinds != "type0")].copy()
    second = adata[~study & (kinds != "type1")].copy()
    second.obs["cell_type"] = second.obs["cell_type"].astype(str).map(lambda name: f"{name} of the other")
    return [sp.tl.label_profiles(one, "cell_type", "batch") for one in (first, second)]


@pytest.mark.parametrize("batch_effect", [0.3, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_types_match_and_the_others_do_not(batch_effect, seed):
    table = sp.tl.label_similarity(*atlases(batch_effect, seed))
    expected = {(f"type{i}", f"type{i} of the other") for i in range(2, 7)}
    assert expected <= set(table.attrs["matches"])
    same = [table.loc[pair] for pair in expected]
    assert min(same) > 0.8
    assert table.loc["type1"].max() < min(same)
    assert table["type0 of the other"].max() < min(same)


def test_it_is_the_correlation_of_contrasts_of_what_both_have():
    """Written out: contrasts to the mean over matched labels, weighted, correlated one by one."""
    first, second = atlases()
    table = sp.tl.label_similarity(first, second, n_genes=400)
    rows, columns = zip(*table.attrs["matches"], strict=True)
    logs = {"first": first.over_batches(), "second": second.over_batches()}
    centers = {
        "first": np.mean([logs["first"][first.labels.index(name)] for name in rows], axis=0),
        "second": np.mean([logs["second"][second.labels.index(name)] for name in columns], axis=0),
    }
    unweighted = np.array(
        [
            [np.corrcoef(a - centers["first"], b - centers["second"])[0, 1] for b in logs["second"]]
            for a in logs["first"]
        ]
    )
    np.testing.assert_array_equal(unweighted.argmax(axis=1), table.to_numpy().argmax(axis=1))
    assert np.corrcoef(unweighted.ravel(), table.to_numpy().ravel())[0, 1] > 0.95


def test_it_is_symmetric_and_sees_no_shift_that_all_labels_share():
    first, second = atlases()
    table = sp.tl.label_similarity(first, second)
    turned = sp.tl.label_similarity(second, first)
    np.testing.assert_allclose(turned.T.loc[table.index, table.columns], table, atol=1e-9)
    itself = sp.tl.label_similarity(first, first)
    np.testing.assert_allclose(np.diag(itself), 1, atol=1e-9)
    assert len(itself.attrs["matches"]) == len(itself)
    assert all(a == b for a, b in itself.attrs["matches"])


def test_a_summary_stands_for_an_atlas():
    adata = sp.datasets.simulate(900, 300, 4, rng=0)
    summary = sp.tl.reference_summary(adata, "cell_type", "batch")
    table = sp.tl.label_similarity(summary, summary.profiles)
    np.testing.assert_allclose(np.diag(table), 1, atol=1e-9)


def test_errors_name_what_to_do():
    first, _ = atlases()
    renamed = sp.tl.label_profiles(
        sp.datasets.simulate(300, 100, 3, rng=0), "cell_type", "batch"
    )  # genes of the same names
    other = type(renamed).from_plain({**renamed.to_plain(), "genes": [f"x{i}" for i in range(100)]})
    with pytest.raises(ValueError, match=r"share 0 of 400 and 100 genes.*match_gene_names"):
        sp.tl.label_similarity(first, other)
    with pytest.raises(TypeError, match="second must be label profiles"):
        sp.tl.label_similarity(first, "pbmc")
    few = sp.tl.label_profiles(sp.datasets.simulate(300, 400, 2, rng=0), "cell_type", "batch")
    with pytest.raises(ValueError, match="second has 2 labels, and contrasts need three"):
        sp.tl.label_similarity(first, few)
