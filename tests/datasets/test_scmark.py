import hashlib
import io
import re
import tarfile
from pathlib import Path

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


@pytest.mark.parametrize("name", ["x\\..\\..\\evil.h5ad", "D:evil.h5ad", "a\x1b[2J.h5ad", "a\nb.h5ad"])
def test_names_that_are_paths_of_another_system(publish_data, archive, tmp_path, name):
    with tarfile.open(tmp_path / "evil", "w:bz2") as tar:
        tar.add(tmp_path / "lee.h5ad", f"scmark_v2/{name}")
    publish_data("scmark", studies=tmp_path / "evil")
    with pytest.raises(OSError, match="whose name has signs that belong to paths") as caught:
        sp.datasets.scmark()
    assert str(caught.value).isprintable()


def with_zeros(data):
    """In the second block of bzip2."""
    middle = len(data) * 3 // 4
    return data[:middle] + bytes(1000) + data[middle + 1000 :]


@pytest.mark.parametrize("cut", [lambda data: data[:60], lambda data: data[:-60], with_zeros])
def test_a_damaged_archive_is_not_remembered(publish_data, archive, tmp_path, cut):
    """What the message says to delete is all that stands in the way of the whole file."""
    (tmp_path / "random").write_bytes(np.random.default_rng(0).bytes(2_000_000))
    with tarfile.open(tmp_path / "large", "w:bz2") as tar:
        tar.add(tmp_path / "random", "random.h5ad")
    (tmp_path / "cut").write_bytes(cut((tmp_path / "large").read_bytes()))
    publish_data("scmark", studies=tmp_path / "cut")
    for _ in range(2):
        with pytest.raises(
            OSError, match=r"scmark_v2\.tar\.bz2 is damaged \(.*; delete (\S+) to download it"
        ) as caught:
            sp.datasets.scmark()
    publish_data("scmark", studies=archive)
    Path(re.search(r"delete (\S+) to", str(caught.value))[1]).unlink()
    assert list(sp.datasets.scmark()) == ["lee", "wu"]
    assert (tmp_path / "cache" / "scmark_v2.tar.bz2.sha256").is_file()


def test_an_archive_that_was_pinned_unread(publish_data, archive, tmp_path):
    """As earlier releases did: the message names the file and its pin."""
    cut = archive.read_bytes()[:-60]
    (tmp_path / "cache").mkdir()
    cached = tmp_path / "cache" / "scmark_v2.tar.bz2"
    cached.write_bytes(cut)
    pin = cached.with_name(f"{cached.name}.sha256")
    pin.write_text(f"{hashlib.sha256(cut).hexdigest()}  {cached.name}\n")
    publish_data("scmark", studies=archive)
    with pytest.raises(OSError, match=re.escape(f"delete {cached} and {pin} to download it again")):
        sp.datasets.scmark()
    cached.unlink()
    pin.unlink()
    assert list(sp.datasets.scmark()) == ["lee", "wu"]
