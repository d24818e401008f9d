import json
import shutil

import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError


def test_of_a_folder_and_of_a_name(bundle, tmp_path):
    assert sp.hub.info(bundle).card.name == "small-scanvi"
    manifest = sp.hub.info("pbmc68k-scanvi", cache_dir=tmp_path / "cache", offline=True)
    assert manifest.cells.batch_key == "batch"
    assert not (tmp_path / "cache").exists(), "what comes with the package is read in place"


def test_the_manifest_alone_is_fetched(bundle, tmp_path):
    sp.hub.write_index(tmp_path)
    assert sp.hub.info("small-scanvi", index=tmp_path, cache_dir=tmp_path / "cache") == sp.hub.info(bundle)
    fetched = {file.name for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.parent.name != ".locks"}
    assert fetched == {"manifest.json", "SHA256SUMS"}


def test_unknown(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("nothing", tmp_path / "nothing", tmp_path / "empty"):
        with pytest.raises(KeyError, match=r"(nothing|empty) is no folder with a manifest\.json"):
            sp.hub.info(name, cache_dir=tmp_path)


@pytest.mark.parametrize("lacking", ["manifest.json", "SHA256SUMS", "weights.safetensors"])
def test_an_index_that_lists_no_whole_bundle(bundle, tmp_path, lacking):
    shutil.copytree(bundle, tmp_path / "lab" / "bundle")
    path = sp.hub.write_index(tmp_path / "lab")
    values = json.loads(path.read_text())
    del values["models"][0]["files"][lacking]
    path.write_text(json.dumps(values))
    for opens in (sp.hub.info, sp.hub.load, sp.hub.pull):
        with pytest.raises(BundleError, match=rf"index\.json is no index: models\.0\.files: .*lacks {lacking}"):
            opens("small-scanvi", index=path, cache_dir=tmp_path / "cache")
