"""Clusters that hold in every species, counted one by one."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp


@pytest.fixture
def atlas():
    rng = np.random.default_rng(0)
    n = 3000
    obs = pd.DataFrame(
        {
            "cluster": pd.Categorical(rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05])),
            "species": rng.choice(["human", "mouse"], n, p=[0.7, 0.3]),
            "tissue": rng.choice([f"tissue{i}" for i in range(6)], n),
        },
        index=np.arange(n).astype(str),
    )
    obs.loc[(obs["cluster"] == "b") & (obs["species"] == "mouse"), "tissue"] = "tissue0"
    genes = [f"MT-{i}" for i in range(5)] + [f"RPS{i}" for i in range(5)] + [f"gene{i}" for i in range(60)]
    means = np.full((n, len(genes)), 2.0)
    means[(obs["cluster"] == "d").to_numpy(), :10] = 12.0  # marked by nothing else
    means[(obs["cluster"] == "a").to_numpy(), 20:30] = 8.0
    counts = rng.poisson(means).astype(np.float32)
    return AnnData(counts, obs, pd.DataFrame(index=genes))


@pytest.mark.parametrize(("min_values", "min_cells"), [(6, 20), (1, 1), (6, 40), (2, 10)])
def test_equals_counting(atlas, min_values, min_cells):
    table = sp.tl.conserved_clusters(atlas, min_values=min_values, min_cells=min_cells)
    for cluster in "abcd":
        kept = True
        for species in ("human", "mouse"):
            cells = atlas.obs[(atlas.obs["cluster"] == cluster) & (atlas.obs["species"] == species)]
            tissues = sum((cells["tissue"] == tissue).sum() >= min_cells for tissue in cells["tissue"].unique())
            assert table.loc[cluster, f"n_cells_{species}"] == len(cells)
            assert table.loc[cluster, f"n_tissue_{species}"] == tissues
            kept &= tissues >= min_values
        assert table.loc[cluster, "kept"] == kept
    assert not table["kept"].all() or min_values == 1


def test_artefacts_are_left_out_by_counts_and_by_markers(atlas):
    plain = sp.tl.conserved_clusters(atlas, min_values=1, min_cells=1)
    assert plain["kept"].all()
    by_counts = sp.tl.conserved_clusters(atlas, min_values=1, min_cells=1, max_enrichment=2.0)
    assert by_counts.index[~by_counts["kept"]].tolist() == ["d"]
    with pytest.raises(KeyError, match=r"call sp\.tl\.rank_genes"):
        sp.tl.conserved_clusters(atlas, max_marker_share=0.3)
    sp.tl.rank_genes(atlas, "cluster", n_genes=25)
    by_markers = sp.tl.conserved_clusters(atlas, min_values=1, min_cells=1, max_marker_share=0.39)
    names = atlas.uns["rank_genes_groups"]["names"]
    for cluster in "abcd":
        share = np.mean([gene.startswith(("MT-", "RPS")) for gene in names[cluster][:25]])
        assert by_markers.loc[cluster, "artefact_marker_share"] == share
    assert by_markers.loc["d", "artefact_marker_share"] == 0.4  # the ten genes, of 25
    assert by_markers.index[~by_markers["kept"]].tolist() == ["d"]


def test_errors_name_the_column(atlas):
    with pytest.raises(KeyError, match="organ"):
        sp.tl.conserved_clusters(atlas, by="organism")
    atlas.obs["species"] = "human"
    with pytest.raises(ValueError, match=r"obs\['species'\] has 1 groups"):
        sp.tl.conserved_clusters(atlas)
