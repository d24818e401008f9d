"""The script that makes the sets of the guide's tables, from files published on this machine."""

import tarfile

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from benchmarks.data import build
from scipy import sparse
from scipy.io import mmwrite

GENES = [f"GENE{i}" for i in range(60)]


def counts(n_cells, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.poisson(rng.gamma(1.0, 2.0, (n_cells, len(GENES)))).astype(np.float32))


def saved(adata, path):
    adata.write_h5ad(path)
    return path


def pancreas(folder):
    tech = np.repeat([*build.TECHNOLOGIES, "celseq"], 60)
    types = np.tile(["alpha", "beta", "ductal", "delta", "macrophage", "activated_stellate"], len(tech) // 6)
    x = counts(len(tech))
    obs = pd.DataFrame({"tech": tech, "celltype": types}, [f"c{i}" for i in range(len(tech))])
    adata = AnnData(sparse.csr_matrix(np.log1p(x)), obs, pd.DataFrame(index=GENES), layers={"counts": x})
    adata.layers["counts"].data += 0.25
    return saved(adata, folder / "pancreas")


def kang(folder):
    types = [
        one for one in build.SHORT if one.endswith(("s", "Monocytes")) and one in {*build.KANG["ctrl"], "NK cells"}
    ]
    n = 2000
    rng = np.random.default_rng(1)
    obs = {
        "label": rng.choice(["ctrl", "stim"], n),
        "cell_type": rng.choice(types, n),
        "replicate": rng.choice(["patient_101", "patient_1016"], n),
    }
    return saved(
        AnnData(counts(n), pd.DataFrame(obs, [f"k{i}" for i in range(n)]), pd.DataFrame(index=GENES)), folder / "kang"
    )


def pbmc3k(folder):
    inner = folder / "hg19"
    inner.mkdir()
    barcodes = [f"AAAC{i}-1" for i in range(30)]
    mmwrite(inner / "matrix.mtx", sparse.coo_matrix(counts(30, 2).T.astype(int)))
    (inner / "barcodes.tsv").write_text("".join(f"{one}\n" for one in barcodes))
    (inner / "genes.tsv").write_text("".join(f"ENSG{i}\t{gene}\n" for i, gene in enumerate(GENES)))
    with tarfile.open(folder / "archive", "w:gz") as tar:
        tar.add(inner, "hg19")
    labels = pd.DataFrame({"louvain": pd.Categorical(["B cells", "NK cells", "CD4 T cells"] * 10)}, barcodes)
    return {"counts": folder / "archive", "labels": saved(AnnData(obs=labels), folder / "labels")}


@pytest.fixture
def published(publish_data, tmp_path):
    publish_data("pancreas", cells=pancreas(tmp_path))
    publish_data("kang", cells=kang(tmp_path))
    publish_data("pbmc3k", **pbmc3k(tmp_path))


def test_all_sets_are_made_with_their_batches_and_types(published, tmp_path, capsys):
    build.main(["--out", str(tmp_path / "data")])
    made = {name: anndata.read_h5ad(tmp_path / "data" / f"{name}.h5ad") for name in build.SETS}
    assert len(capsys.readouterr().out.splitlines()) == len(build.SETS) == 6
    for adata in made.values():
        assert (adata.X.data % 1 == 0).all()
        assert {"batch", "cell_type"} <= set(adata.obs)
    numbers = made["islets_3tech_plus"].obs.groupby(["batch", "cell_type"], observed=True).size()
    for batch, sizes in build.ISLETS.items():
        there = 40 if batch == "inDrop_Baron" else 10  # of each type, in the files above
        for name, size in sizes.items():
            assert numbers[batch, name] == min(size, there)
    assert set(made["demo_islets"].obs["cell_type"]) == {"alpha", "beta", "ductal"}
    assert made["kang_ifnb1k"].obs.groupby(["batch", "cell_type"], observed=True).size()["ctrl", "B cells"] == 36
    assert set(made["kang_ctrl_8donors"].obs["batch"]) == {"donor_101", "donor_1016"}
    three = made["pbmc_3batch"].obs
    assert set(three["batch"]) == {"pbmc3k", "kang_ctrl", "kang_stim"}
    assert (three["cell_type"] == "Unknown").sum() == 44 + 905
    assert set(three.loc[three["batch"] == "pbmc3k", "cell_type"]) == {"B", "NK", "CD4 T"}


def test_the_same_cells_each_time(published, tmp_path):
    for folder in ("one", "other"):
        build.main(["--out", str(tmp_path / folder), "kang_ifnb1k"])
    one, other = (anndata.read_h5ad(tmp_path / folder / "kang_ifnb1k.h5ad") for folder in ("one", "other"))
    assert one.obs_names.equals(other.obs_names)
    assert (one.X != other.X).nnz == 0


def test_a_set_that_is_not_made(tmp_path, capsys):
    with pytest.raises(SystemExit):
        build.main(["--out", str(tmp_path), "pbmc_6batch"])
    assert "no such sets: pbmc_6batch" in capsys.readouterr().err
