import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp


@pytest.fixture
def atlas(tmp_path):
    """Counts in ``raw``, of more genes; what is scaled in ``X``."""
    obs = {
        "age": ["3m", "3m", "24m", "24m"],
        "tissue": ["Trachea", "Lung", "Lung", "Lung"],
        "cell_ontology_class": ["fibroblast", "T cell", "T cell", "B cell"],
    }
    counts = np.random.default_rng(0).poisson(3.0, (4, 5)).astype(np.float32)
    adata = AnnData(counts, pd.DataFrame(obs, [f"c{i}" for i in range(4)]), pd.DataFrame(index=list("ABCDE")))
    adata.raw = adata.copy()
    adata = adata[:, ["A", "C"]].copy()
    adata.X = adata.X - 0.5
    adata.write_h5ad(tmp_path / "atlas")
    return tmp_path / "atlas", counts


def test_counts_come_from_raw(publish_data, atlas):
    path, counts = atlas
    publish_data("tabula_muris_senis", facs=path)
    adata = sp.datasets.tabula_muris_senis()
    np.testing.assert_array_equal(adata.X.toarray(), counts)
    assert adata.obs["batch"].tolist() == ["3m", "3m", "24m", "24m"]
    assert adata.obs["cell_type"].tolist() == ["fibroblast", "T cell", "T cell", "B cell"]
    assert adata.obs["tissue"].tolist()[0] == "Trachea"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("kang", "https://figshare.com/ndownloader/files/34464122"),
        ("pbmc3k", "https://www.10xgenomics.com/datasets/3-k-pbm-cs-from-a-healthy-donor-1-standard-1-1-0"),
        ("pbmc_cite_seq", "https://github.com/YosefLab/scVI-data/blob/master/pbmc_10k_protein_v3.h5ad"),
        ("purified_pbmc", "https://github.com/YosefLab/scVI-data/blob/master/PurifiedPBMCDataset.h5ad"),
        ("scmark", "https://zenodo.org/records/7795653"),
        ("tabula_muris_senis", "https://figshare.com/ndownloader/files/23937842"),
    ],
)
def test_without_an_answer_the_message_says_where_to_put_which_file(publish_data, tmp_path, name, page):
    server = publish_data(name, gone=True)
    with pytest.raises(OSError, match="could not download") as caught:
        getattr(sp.datasets, name)()
    message = str(caught.value)
    for part in (server.address, "404", page, f"save it as {tmp_path / 'cache'}"):
        assert part in message
    assert ("MB" in message) or ("GB" in message) or name == "purified_pbmc"
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())
