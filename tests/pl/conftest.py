import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

TYPES = np.array(["alpha", "beta", "delta", "ductal"])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def cells(n=240):
    """A joint embedding with transferred labels: the reference lacks delta, most of which is Unknown."""
    rng = np.random.default_rng(0)
    types = np.arange(n) % 4
    role = np.where((rng.random(n) < 0.5) & (types != 2), "reference", "query")
    query = role == "query"
    uncertainty = rng.uniform(0, 0.45, n) + 0.3 * (types == 2)
    predicted = np.where(types == 2, "beta", TYPES[types]).astype(object)
    predicted[uncertainty > 0.5] = "Unknown"
    predicted[~query] = None
    obs = pd.DataFrame(
        {
            "mapping_role": pd.Categorical(role),
            "cell_type": pd.Categorical(TYPES[types]),
            "cell_type_pred": pd.Categorical(predicted),
            "cell_type_uncertainty": np.where(query, uncertainty, np.nan),
            "tech": pd.Series(np.where(query, rng.choice(["celseq2", "smartseq2"], n), "inDrop"), dtype=object).values,
            "is_fresh": rng.random(n) < 0.5,
        },
        index=[f"cell {i}" for i in range(n)],
    )
    corners = np.array([[0, 0], [5, 0], [0, 5], [5, 5]])
    return ad.AnnData(obs=obs, obsm={"X_umap": corners[types] + rng.normal(size=(n, 2))})


@pytest.fixture
def joint():
    return cells()


@pytest.fixture
def query(joint):
    """The query cells alone."""
    kept = (joint.obs["mapping_role"] == "query").to_numpy()
    return ad.AnnData(obs=joint.obs[kept].copy())


@pytest.fixture
def assert_unchanged():
    """Call it with an AnnData before and after drawing."""
    stored = []

    def check(adata):
        state = (adata.obs.copy(), {k: v.copy() for k, v in adata.obsm.items()}, dict(adata.uns))
        if not stored:
            stored.append(state)
            return
        pd.testing.assert_frame_equal(state[0], stored[0][0])
        assert state[1].keys() == stored[0][1].keys()
        for key, value in state[1].items():
            np.testing.assert_array_equal(value, stored[0][1][key])
        assert state[2] == stored[0][2]

    return check
