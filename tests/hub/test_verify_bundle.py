import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError


def test_a_whole_bundle(bundle):
    manifest = sp.hub.verify_bundle(bundle)
    assert manifest.card.name == "small-scanvi"
    assert manifest.model.class_name == "SCANVI"
    assert set(manifest.files) == {file.name for file in bundle.iterdir()} - {"manifest.json", "SHA256SUMS"}


def test_a_file_that_nobody_spoke_of(bundle):
    (bundle / "model.pt").write_bytes(b"pickle")
    with pytest.raises(BundleError, match=r"model\.pt is not in the manifest"):
        sp.hub.verify_bundle(bundle)
    sp.hub.load_bundle(bundle)  # never opens it


def test_every_file_is_looked_at(bundle):
    for file in sorted(bundle.iterdir()):
        contents = file.read_bytes()
        file.unlink()
        with pytest.raises(BundleError, match=file.name):
            sp.hub.verify_bundle(bundle)
        file.write_bytes(contents)
    sp.hub.verify_bundle(bundle)
