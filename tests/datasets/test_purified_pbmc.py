"""A data set without a published checksum: pinned on first use."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp

NAME = "PurifiedPBMCDataset.h5ad"


def saved(folder, name, n_cells=6):
    counts = np.random.default_rng(n_cells).poisson(1.0, (n_cells, 4)).astype(np.float32)
    obs = pd.DataFrame({"cell_types": ["b_cells", "naive_t"] * (n_cells // 2)}, [f"c{i}" for i in range(n_cells)])
    AnnData(counts, obs).write_h5ad(folder / name)
    return folder / name


def test_the_first_file_is_remembered(publish_data, tmp_path):
    file = saved(tmp_path, "file")
    server = publish_data("purified_pbmc", cells=file)
    adata = sp.datasets.purified_pbmc()
    assert adata.obs["cell_type"].tolist() == ["b_cells", "naive_t"] * 3
    assert set(adata.obs["batch"]) == {"sorted"}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (tmp_path / "cache" / f"{NAME}.sha256").read_text() == f"{digest}  {NAME}\n"
    assert sp.datasets.purified_pbmc().n_obs == 6
    assert len(server.requests) == 1


def test_another_file_is_refused_until_its_pin_is_deleted(publish_data, tmp_path):
    publish_data("purified_pbmc", cells=saved(tmp_path, "file"))
    sp.datasets.purified_pbmc()
    (tmp_path / "cache" / NAME).unlink()
    publish_data("purified_pbmc", cells=saved(tmp_path, "another", 8))
    with pytest.raises(OSError, match=r"sha256 \w+ when it was first used \(if another is right, delete ") as caught:
        sp.datasets.purified_pbmc()
    pin = re.search(r"delete (\S+)\)", str(caught.value))[1]
    assert Path(pin).read_text()[:64] in str(caught.value)
    (tmp_path / "cache" / f"{NAME}.sha256").unlink()
    assert sp.datasets.purified_pbmc().n_obs == 8


def test_a_file_placed_by_hand_is_remembered(publish_data, tmp_path):
    server = publish_data("purified_pbmc", gone=True)
    (tmp_path / "cache").mkdir()
    saved(tmp_path / "cache", NAME)
    assert sp.datasets.purified_pbmc().n_obs == 6
    assert (tmp_path / "cache" / f"{NAME}.sha256").is_file()
    assert not server.requests


@pytest.mark.parametrize("contents", [b"<html>are you a robot?</html>", b""])
def test_a_web_page_in_its_place_is_not_taken(publish_data, tmp_path, contents):
    (tmp_path / "page").write_bytes(contents)
    publish_data("purified_pbmc", cells=tmp_path / "page")
    with pytest.raises(OSError, match="sent something else than the file"):
        sp.datasets.purified_pbmc()
    assert not list((tmp_path / "cache").iterdir())


def test_a_file_that_cannot_be_read_is_not_remembered(publish_data, tmp_path):
    (tmp_path / "cut").write_bytes(saved(tmp_path, "file").read_bytes()[:4000])
    publish_data("purified_pbmc", cells=tmp_path / "cut")
    with pytest.raises(OSError, match=r"delete \S+ to download it again"):
        sp.datasets.purified_pbmc()
    (tmp_path / "cache" / NAME).unlink()
    publish_data("purified_pbmc", cells=tmp_path / "file")
    assert sp.datasets.purified_pbmc().n_obs == 6


def test_a_damaged_pin(publish_data, tmp_path):
    publish_data("purified_pbmc", cells=saved(tmp_path, "file"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.sha256").write_text("nothing")
    with pytest.raises(OSError, match=r"holds no sha256; delete it to trust PurifiedPBMCDataset.h5ad anew"):
        sp.datasets.purified_pbmc()
