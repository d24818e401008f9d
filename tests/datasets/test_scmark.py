import io
import tarfile

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp


def study(folder, name, genes):
    counts = np.random.default_rng(len(genes)).poisson(1.0, (4, len(genes))).astype(np.float32)
    obs = {"study_name": name, "sample_name": ["s1", "s1", "s2", "s2"], "standard_true_celltype": ["T", "B", "T", "B"]}
    adata = AnnData(
        counts, pd.DataFrame(obs, [f"c{i}" for i in range(4)]), pd.DataFrame({"gene": genes}, ["0", "1", "2"])
    )
    adata.write_h5ad(folder / f"{name}.h5ad")
    return folder / f"{name}.h5ad"


@pytest.fixture
def archive(tmp_path):
    with tarfile.open(tmp_path / "archive", "w:bz2") as tar:
        for name, genes in (("lee", ["A", "B", "C"]), ("wu", ["B", "C", "D"])):
            tar.add(study(tmp_path, name, genes), f"scmark_v2/{name}.h5ad")
            tar.addfile(tarfile.TarInfo(f"scmark_v2/._{name}.h5ad"), io.BytesIO())  # as macOS adds
    return tmp_path / "archive"


def test_studies_can_be_joined(publish_data, archive):
    publish_data("scmark", studies=archive)
    studies = sp.datasets.scmark()
    assert list(studies) == ["lee", "wu"]
    assert studies["wu"].var_names.tolist() == ["B", "C", "D"]
    joined = sp.pp.concat_studies(studies)
    assert sorted(joined.var_names) == ["A", "B", "C", "D"]
    assert joined.obs["cell_type"].tolist() == ["T", "B"] * 4
    assert joined.obs["batch"].tolist() == ["s1", "s1", "s2", "s2"] * 2


def test_two_files_of_one_name(publish_data, archive, tmp_path):
    with tarfile.open(tmp_path / "twice", "w:bz2") as tar:
        for folder in ("one", "two"):
            tar.add(tmp_path / "lee.h5ad", f"{folder}/lee.h5ad")
    publish_data("scmark", studies=tmp_path / "twice")
    with pytest.raises(OSError, match=r"has two files lee\.h5ad"):
        sp.datasets.scmark()


def test_an_archive_that_unpacks_to_far_more(publish_data, tmp_path):
    with tarfile.open(tmp_path / "bomb", "w:bz2") as tar:
        info = tarfile.TarInfo("a.h5ad")
        info.size = 2**26
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    publish_data("scmark", studies=tmp_path / "bomb")
    with pytest.raises(OSError, match="unpacks to far more than its bytes"):
        sp.datasets.scmark()
