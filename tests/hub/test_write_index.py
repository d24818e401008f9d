import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError


def test_what_it_says(model, tmp_path):
    sp.hub.save_bundle(model, tmp_path / "a", card={"name": "small", "version": "1", "tissue": "none"})
    sp.hub.write_index(tmp_path, mirrors={"small": ["https://example.org/{file}"]})
    row = sp.hub.list_models(index=tmp_path).iloc[0]
    assert row[["name", "version", "tissue", "model"]].tolist() == ["small", "1", "none", "SCANVI"]
    assert row["cells"] == model.adata.n_obs
    assert row["labels"] == "type0, type1, type2"
    assert row["n_labels"] == 3
    assert row["bytes"] == sum(file.stat().st_size for file in (tmp_path / "a").iterdir())


def test_folders_without_bundles(model, tmp_path):
    bundle = sp.hub.save_bundle(model, tmp_path / "a", card={"name": "small", "version": "1"})
    for folder in (bundle, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"no folder in .* is a bundle"):
            sp.hub.write_index(folder)
    sp.hub.verify_bundle(bundle)


def test_refusals(model, tmp_path):
    sp.hub.save_bundle(model, tmp_path / "a")
    with pytest.raises(ValueError, match="needs a name and a version"):
        sp.hub.write_index(tmp_path)
    for name in "ab":
        sp.hub.save_bundle(model, tmp_path / name, card={"name": "small", "version": "1"}, overwrite=True)
    with pytest.raises(ValueError, match="two bundles"):
        sp.hub.write_index(tmp_path)
    (tmp_path / "b" / "README.md").write_text("other")
    with pytest.raises(BundleError, match="README"):
        sp.hub.write_index(tmp_path)
    sp.hub.save_bundle(model, tmp_path / "b", card={"name": "other", "version": "1"}, overwrite=True)
    with pytest.raises(ValueError, match="nothing"):
        sp.hub.write_index(tmp_path, mirrors={"nothing": ["x"]})
    with pytest.raises(ValueError, match="is no address: it holds a name or password"):
        sp.hub.write_index(tmp_path, mirrors={"small": ["https://me@lab.example/{file}"]})
    assert not (tmp_path / "index.json").exists()
