import numpy as np
import pytest

import scarches_plus as sp


def test_a_model_of_a_folder_by_its_name(model, ref, tmp_path):
    sp.hub.save_bundle(model, tmp_path / "lab" / "a", card={"name": "small", "version": "1"})
    sp.hub.write_index(tmp_path / "lab")
    again = sp.hub.load("small", index=tmp_path / "lab", cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))


def test_indexes_of_the_environment(model, tmp_path, monkeypatch):
    sp.hub.save_bundle(model, tmp_path / "lab" / "a", card={"name": "small", "version": "1"})
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", str(sp.hub.write_index(tmp_path / "lab")))
    assert "small" in set(sp.hub.list_models()["name"])
    assert sp.hub.load("small@1", cache_dir=tmp_path / "cache").state == model.state


def test_unknown(tmp_path):
    with pytest.raises(KeyError, match="nothing"):
        sp.hub.load("nothing", cache_dir=tmp_path)
