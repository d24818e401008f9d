"""name_novel against what each cell's three columns say."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st

import scarches_plus as sp

CLUSTERS, TYPES = ["novel 1", "novel 2"], ["B", "T"]


def query(novel, cluster, label):
    obs = pd.DataFrame(
        {
            "novel": novel,
            "novel_cluster": pd.Categorical(cluster, categories=CLUSTERS),
            "novel_label": pd.Categorical(label, categories=TYPES),
        },
        index=[f"cell{i}" for i in range(len(novel))],
    )
    return AnnData(obs=obs)


CELL = st.tuples(st.booleans(), st.sampled_from([*CLUSTERS, None]), st.sampled_from([*TYPES, None]))


@given(
    st.lists(CELL, min_size=1, max_size=20), st.dictionaries(st.sampled_from(CLUSTERS), st.sampled_from(["NK", "B"]))
)
@settings(deadline=None, max_examples=50)
def test_every_cell_gets_what_its_columns_say(cells, names):
    adata = query(*zip(*cells, strict=True))
    sp.tl.name_novel(adata, names)
    for (novel, cluster, label), given_name in zip(cells, adata.obs["novel_named"], strict=True):
        if novel and cluster in names:
            assert given_name == names[cluster]
        elif not novel and cluster is None and label is not None:
            assert given_name == label
        else:
            assert given_name == "Unknown"
    assert adata.uns["scarches_plus"]["novel"]["novel"]["names"] == names


def test_predictions_of_a_column_names_and_order():
    adata = query([True, False, False], ["novel 2", None, None], ["B", "B", "T"])
    adata.obs["pred"] = pd.Categorical(["T", "Unknown", "T"], categories=["T", "B", "Unknown"])
    adata.uns["pred_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    before = adata.copy()
    named = sp.tl.name_novel(adata, {"novel 2": "NK"}, "pred", key_added="label", unknown_category="Unknown", copy=True)
    assert list(named.obs["label"]) == ["NK", "Unknown", "T"]
    assert list(named.obs["label"].cat.categories) == ["T", "B", "NK", "Unknown"]
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.uns) == {"pred_colors"}
    colors = named.uns["label_colors"]
    assert colors[:2] == ["#ff0000", "#00ff00"]
    assert len(set(colors)) == 4


def test_names_have_colours_of_their_own_as_long_as_there_are_any():
    clusters = [f"novel {i}" for i in range(1, 151)]
    adata = query([True] * 150, [None] * 150, ["B"] * 150)
    adata.obs["novel_cluster"] = pd.Categorical(clusters)
    adata.obs["pred"] = pd.Categorical([None] * 150, categories=["B"])
    adata.uns["pred_colors"] = ["#0072b2"]
    sp.tl.name_novel(adata, {name: f"type of {name}" for name in clusters}, "pred", key_added="label")
    b, *named, _ = adata.uns["label_colors"]
    own = [color for color in named if color != "grey"]
    assert len({b, *own}) == len(own) + 1 > 60
    assert named == own + ["grey"] * (150 - len(own))


def test_after_detect_novel_and_on_disk(tmp_path):
    adata = sp.datasets.simulate(
        500, 300, 5, n_batches=3, missing_types={"batch0": ["type4"], "batch1": ["type4"]}, rng=0
    )
    is_query = (adata.obs["batch"] == "batch2").to_numpy()
    cells, truth = adata[is_query].copy(), adata[is_query].obs["cell_type"].astype(str).to_numpy()
    del cells.obs["cell_type"]
    sp.tl.detect_novel(cells, adata[~is_query].copy(), "cell_type", batch_key="batch")
    sp.tl.name_novel(cells, {"novel 1": "type4"})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    named = read_h5ad(tmp_path / "cells.h5ad").obs["novel_named"].astype(str)
    assert (named == truth)[named != "Unknown"].mean() > 0.95
    assert (named == "type4")[truth == "type4"].mean() > 0.8


def test_refused():
    adata = query([True], ["novel 1"], ["B"])
    with pytest.raises(ValueError, match=r"no clusters \['novel 7'\].*'novel 1'"):
        sp.tl.name_novel(adata, {"novel 7": "NK"})
    for name in ("", "Unknown", None, float("nan")):
        with pytest.raises(ValueError, match="is no name"):
            sp.tl.name_novel(adata, {"novel 1": name})
    with pytest.raises(KeyError, match="transfer_labels"):
        sp.tl.name_novel(adata, {}, "cell_type_pred")
    with pytest.raises(KeyError, match=r"'other'.*detect_novel"):
        sp.tl.name_novel(adata, {}, key="other")
    np.testing.assert_array_equal(list(adata.obs), ["novel", "novel_cluster", "novel_label"])
