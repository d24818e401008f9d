"""One door: whatever names a model opens it, or says what is there instead; nothing is executed, and a typo asks
nobody.
"""

import bz2
import contextlib
import gzip
import os
import pickle
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, split

import scarches_plus as sp
from scarches_plus.datasets import simulate


@pytest.fixture(scope="module")
def ref():
    return split(cells(), "batch2")[0]


@pytest.fixture(scope="module")
def query():
    return split(cells(), "batch2")[1]


@pytest.fixture(scope="module")
def model(ref):
    return reference(SCANVI, ref.copy())


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """A model in every layout of today, by name."""
    place = tmp_path_factory.mktemp("saved")
    model.save(place / "folder")
    model.save(place / "prefixed", prefix="best_")
    sp.hub.save_bundle(model, place / "bundle")
    return place


def same(one, other):
    expected = other.module.state_dict()
    found = one.module.state_dict()
    return set(found) == set(expected) and all(torch.equal(found[name], value) for name, value in expected.items())


def packed(folder, target):
    """Pack a folder as the suffix of the target says."""
    kind = {".zip": "zip", ".tar": "tar", ".gz": "gztar", ".tgz": "gztar", ".bz2": "bztar"}[target.suffix]
    made = shutil.make_archive(str(target.with_name("made")), kind, folder)
    return Path(made).rename(target)


class TestNames:
    def test_one_function_has_three_names(self):
        assert sp.load is sp.model.load is sp.hub.load

    def test_it_is_found_without_the_rest(self):
        assert "load" in dir(sp)
        assert "load" in sp.__all__

    def test_a_model_comes_back_as_it_is(self, model):
        assert sp.load(model) is model

    def test_what_is_no_model_is_refused(self):
        with pytest.raises(TypeError, match="expected a model, or what names one"):
            sp.load(3)


class TestPaths:
    @pytest.mark.parametrize("layout", ["folder", "prefixed", "bundle"])
    @pytest.mark.parametrize("deeper", [".", "a", "a/b"])
    def test_a_folder_at_any_depth(self, layout, deeper, saved, model, tmp_path):
        shutil.copytree(saved / layout, tmp_path / "top" / deeper, dirs_exist_ok=True)
        assert same(sp.load(tmp_path / "top"), model)

    @pytest.mark.parametrize("layout", ["folder", "prefixed", "bundle"])
    @pytest.mark.parametrize("name", ["m.zip", "m.tar", "m.tar.gz", "m.tgz", "m.tar.bz2"])
    def test_an_archive(self, layout, name, saved, model, tmp_path):
        shutil.copytree(saved / layout, tmp_path / "top" / "inner")
        found = sp.load(packed(tmp_path / "top", tmp_path / name))
        assert same(found, model)
        assert type(found) is SCANVI

    @pytest.mark.parametrize(
        "name", ["folder/model.pt", "prefixed/best_model.pt", "bundle/manifest.json", "prefixed/best_"]
    )
    def test_the_path_of_a_file_or_what_files_begin_with(self, name, saved, model):
        assert same(sp.load(saved / name), model)

    def test_a_file_of_another_name(self, saved, model, tmp_path):
        shutil.copy(saved / "folder" / "model.pt", tmp_path / "atlas_v2.pt")
        assert same(sp.load(tmp_path / "atlas_v2.pt"), model)

    def test_the_least_deep_is_meant(self, saved, model, ref, tmp_path):
        shutil.copytree(saved / "folder", tmp_path / "top")
        reference(SCVI, ref.copy()).save(tmp_path / "top" / "backups" / "older")
        assert same(sp.load(tmp_path / "top"), model)

    def test_several_are_named(self, saved, tmp_path):
        for name in ("one", "two"):
            shutil.copytree(saved / "folder", tmp_path / "top" / name)
        with pytest.raises(ValueError, match=r"holds 2 models, \['one/model.pt', 'two/model.pt'\]: name one"):
            sp.load(tmp_path / "top")
        with pytest.raises(ValueError, match="unpack it, and name"):
            sp.load(packed(tmp_path / "top", tmp_path / "both.zip"))

    def test_a_prefix_chooses(self, saved, model, ref, tmp_path):
        shutil.copytree(saved / "prefixed", tmp_path / "top")
        other = reference(SCVI, ref.copy())
        other.save(tmp_path / "top", prefix="last_", overwrite=True)
        assert same(sp.load(tmp_path / "top", prefix="best_"), model)
        assert same(sp.load(tmp_path / "top", prefix="last_"), other)
        with pytest.raises(ValueError, match="holds 2 models"):
            sp.load(tmp_path / "top")

    def test_a_folder_with_a_manifest_of_something_else(self, saved, model, tmp_path):
        shutil.copytree(saved / "folder", tmp_path / "m")
        (tmp_path / "m" / "manifest.json").write_text("{}")
        assert same(sp.load(tmp_path / "m"), model)

    @pytest.mark.parametrize("lacking", ["SHA256SUMS", "weights.safetensors"])
    def test_a_bundle_that_lacks_a_file_is_a_damaged_bundle(self, lacking, saved, tmp_path):
        shutil.copytree(saved / "bundle", tmp_path / "b")
        (tmp_path / "b" / lacking).unlink()
        with pytest.raises(sp.hub.BundleError, match=lacking):
            sp.load(tmp_path / "b")

    def test_what_was_converted_in_place_is_one_model(self, saved, model, tmp_path):
        shutil.copytree(saved / "folder", tmp_path / "m")
        for name in ("attr.pkl", "model_params.pt", "var_names.csv"):
            (tmp_path / "m" / name).write_bytes(b"of before")
        assert same(sp.load(tmp_path / "m"), model)

    def test_links_to_folders_are_not_searched(self, saved, tmp_path):
        (tmp_path / "top").mkdir()
        (tmp_path / "top" / "there").symlink_to(saved / "folder", target_is_directory=True)
        (tmp_path / "top" / "round").symlink_to(tmp_path / "top", target_is_directory=True)
        with pytest.raises(FileNotFoundError, match="no saved model"):
            sp.load(tmp_path / "top")
        (tmp_path / "direct").symlink_to(saved / "folder", target_is_directory=True)
        assert sp.load(tmp_path / "direct").is_trained

    @pytest.mark.parametrize(("depth", "found"), [(3, True), (4, False)])
    def test_how_far_down(self, depth, found, saved, tmp_path):
        shutil.copytree(saved / "folder", tmp_path / "top" / "/".join("abcdef"[:depth]))
        if found:
            assert sp.load(tmp_path / "top").is_trained
        else:
            with pytest.raises(FileNotFoundError, match="no saved model"):
                sp.load(tmp_path / "top")

    def test_a_folder_of_many_files(self, tmp_path):
        (tmp_path / "top" / "many").mkdir(parents=True)
        for number in range(10_001):
            (tmp_path / "top" / "many" / str(number)).touch()
        with pytest.raises(ValueError, match="more than 10000 files: name the folder of the model"):
            sp.load(tmp_path / "top")

    def test_the_thin_names_take_archives_and_folders_above(self, model, ref, tmp_path):
        embedded = ref.copy()
        sp.tl.embed(embedded, model)
        summary = sp.tl.reference_summary(simulate(300, 60, 3, n_batches=3, rng=0), "cell_type", "batch")
        sp.hub.save_bundle(model, tmp_path / "top" / "b", reference=embedded, include="latent", summary=summary)
        for place in (
            tmp_path / "top",
            tmp_path / "top" / "b" / "manifest.json",
            packed(tmp_path / "top", tmp_path / "b.zip"),
        ):
            assert same(sp.hub.load_bundle(place), model)
            assert sp.hub.load_reference(place).n_obs == ref.n_obs
            assert sp.hub.load_summary(place).profiles.labels == summary.profiles.labels

    @pytest.mark.parametrize("opens", [sp.hub.load_bundle, sp.hub.load_reference, sp.hub.load_summary])
    def test_an_archive_of_a_saved_model_is_no_bundle(self, opens, saved, tmp_path):
        with pytest.raises(sp.hub.BundleError, match=r"m\.zip holds a saved model, and is no bundle"):
            opens(packed(saved / "folder", tmp_path / "m.zip"))

    def test_a_prefix_is_for_folders(self, saved, tmp_path):
        shutil.copy(saved / "folder" / "model.pt", tmp_path / "atlas.pt")
        with pytest.raises(ValueError, match="prefix='best_' chooses among files"):
            sp.load(tmp_path / "atlas.pt", prefix="best_")

    def test_options_of_scvi_tools_are_for_its_files(self, saved):
        with pytest.raises(TypeError, match=r"manifest\.json takes no backup_url"):
            SCANVI.load(saved / "bundle", False, trust_pickle=True, backup_url="x")

    @pytest.mark.parametrize("layout", ["folder", "bundle"])
    def test_a_device(self, layout, saved, model):
        assert same(sp.load(saved / layout, accelerator="cpu"), model)
        with pytest.raises(Exception, match=r"nonsense|accelerator|not"):
            sp.load(saved / layout, accelerator="nonsense")

    def test_cells_in_an_archive(self, model, ref, tmp_path):
        model.save(tmp_path / "with", save_anndata=True)
        found = SCANVI.load(packed(tmp_path / "with", tmp_path / "with.zip"))
        np.testing.assert_array_equal(found.get_latent_representation(), model.get_latent_representation())
        assert sp.load(tmp_path / "with.zip").adata is None

    @pytest.mark.parametrize("layout", ["folder", "bundle"])
    def test_with_its_cells(self, layout, saved, model, ref):
        found = sp.load(saved / layout, ref)
        np.testing.assert_allclose(found.get_latent_representation(), model.get_latent_representation(), atol=1e-6)

    def test_a_model_object_gets_cells_once(self, saved, ref):
        found = sp.load(sp.load(saved / "bundle"), ref)
        assert found.adata.n_obs == ref.n_obs
        with pytest.raises(ValueError, match="has cells already"):
            sp.load(found, ref)


class TestEveryEntrance:
    @pytest.mark.parametrize("layout", ["folder", "bundle"])
    def test_verbs(self, layout, saved, model, ref, query):
        embedded = ref.copy()
        sp.tl.embed(embedded, str(saved / layout))
        np.testing.assert_allclose(embedded.obsm["X_scarches"], model.embed(ref), atol=1e-6)
        mapped = sp.tl.map_query(query.copy(), saved / layout, max_epochs=1)
        assert mapped.surgery.strategy == "condition"

    @pytest.mark.parametrize("layout", ["folder", "bundle"])
    def test_methods_of_the_classes(self, layout, saved, model, query):
        assert same(SCANVI.load(saved / layout, adata=False), model)
        made = SCANVI.load_query_data(query.copy(), str(saved / layout))
        assert made.spec.batches[-1] == "batch2"
        with pytest.raises(ValueError, match="holds a SCANVI and no SCVI"):
            SCVI.load(saved / layout)

    def test_labels_by_a_summary(self, model, ref, query, tmp_path):
        sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type")
        mapped = query.copy()
        sp.tl.map_query(mapped, tmp_path / "bundle", max_epochs=1)
        sp.tl.transfer_labels(mapped, tmp_path / "bundle", "cell_type")
        assert set(mapped.obs["cell_type_pred"]) <= {*ref.obs["cell_type"], "Unknown"}

    def test_a_bundle_of_a_path(self, saved, model, tmp_path):
        sp.hub.save_bundle(saved / "folder", tmp_path / "bundle")
        assert same(sp.load(tmp_path / "bundle"), model)


class TestTrust:
    def test_a_file_of_another_name_is_the_one_that_is_opened(self, saved, model, ref, tmp_path):
        other = reference(SCVI, ref.copy())
        other.save(tmp_path / "there", save_anndata=True)
        shutil.copy(saved / "folder" / "model.pt", tmp_path / "there" / "mine.pt")
        for trust_pickle in (False, True):
            assert same(sp.load(tmp_path / "there" / "mine.pt", trust_pickle=trust_pickle), model)
        assert SCANVI.load(tmp_path / "there" / "mine.pt").adata is None

    @pytest.mark.parametrize("layout", ["folder", "prefixed", "bundle"])
    def test_every_layout_opens_with_trust(self, layout, saved, model):
        assert same(sp.load(saved / layout, trust_pickle=True), model)


class TestAbsent:
    @pytest.mark.parametrize("what", ["no/such/model", "model.pt", "atlas.zip", "./atlas", "atlas.h5ad", "no_such/"])
    def test_a_path_is_never_a_name(self, what, monkeypatch, tmp_path, around):
        monkeypatch.chdir(tmp_path)
        around("an index is read", lambda *_, **__: pytest.fail("an index was read"))
        with pytest.raises(FileNotFoundError, match=what.split("/")[-1] or "no_such"):
            sp.load(what)

    def test_a_name_that_no_index_has(self):
        with pytest.raises(KeyError, match=r"pbmc68k-scanvi.*nor is there a file or folder 'pbmc68k-scamvi'"):
            sp.load("pbmc68k-scamvi")

    @pytest.mark.parametrize(
        ("contents", "said"),
        [
            (b"<!doctype html><html>", "a web page"),
            (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
            (b"", "empty"),
            (gzip.compress(b"text" * 100, mtime=0), "compressed with gzip"),
            (bz2.compress(b"text" * 100), "compressed with bzip2"),
        ],
    )
    def test_a_file_says_what_it_is(self, contents, said, tmp_path):
        (tmp_path / "download").write_bytes(contents)
        with pytest.raises(ValueError, match=said):
            sp.load(tmp_path / "download")

    def test_a_folder_says_what_it_holds(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(FileNotFoundError, match=r"holds no saved model \(model.pt\): it holds notes.txt"):
            sp.load(tmp_path)


class TestOthersModels:
    """Models that are none of scvi-tools', or of a class that is not here, are refused by name."""

    @pytest.mark.parametrize(
        ("family", "attributes"),
        [
            ("scPoli", {"cell_type_keys_": ["t"], "condition_keys_": ["b"], "conditions_": {}}),
            ("expiMap", {"mask_": [[1]], "conditions_": ["b"], "soft_mask_": False}),
            ("scGen", {"x_dim_": 10, "z_dim_": 5, "hidden_layer_sizes_": [8]}),
            ("trVAE", {"conditions_": ["b"], "condition_key_": "batch", "beta_": 1.0}),
        ],
    )
    def test_of_scarches(self, family, attributes, tmp_path):
        (tmp_path / "attr.pkl").write_bytes(pickle.dumps({"init_params_": {}, **attributes}))
        torch.save({"encoder.FC.weight": torch.zeros(2, 2)}, tmp_path / "model_params.pt")
        (tmp_path / "var_names.csv").write_text("G1\nG2\n")
        with pytest.raises(ValueError, match=f"scArches' {family}"):
            sp.load(tmp_path)

    def test_a_checkpoint(self, tmp_path):
        torch.save(
            {"state_dict": {"vae.z_encoder.w": torch.zeros(2)}, "pytorch-lightning_version": "2.0", "epoch": 3},
            tmp_path / "epoch=3.ckpt",
        )
        with pytest.raises(ValueError, match="checkpoint"):
            sp.load(tmp_path / "epoch=3.ckpt")

    @pytest.mark.parametrize("name", ["MULTIVI", "PEAKVI", "SysVI", "LinearSCVI"])
    def test_of_another_class(self, name, saved, tmp_path):
        contents = torch.load(saved / "folder" / "model.pt", weights_only=False)
        contents["attr_dict"]["registry_"]["model_name"] = name
        torch.save(contents, tmp_path / "model.pt")
        with pytest.raises(TypeError, match=rf"model\.pt: models of class {name} are not supported"):
            sp.load(tmp_path)


class TestOrigin:
    def test_the_release_that_saved_a_model_stays_known(self, ref, query, tmp_path):
        scvi.model.SCVI.setup_anndata(theirs := ref.copy(), batch_key="batch")
        plain = scvi.model.SCVI(theirs, n_hidden=8, n_latent=3, encode_covariates=True)
        plain.train(max_epochs=1, enable_progress_bar=False, log_every_n_steps=1)
        plain.save(tmp_path / "plain")
        contents = torch.load(tmp_path / "plain" / "model.pt", weights_only=False)
        contents["attr_dict"]["registry_"]["scvi_version"] = "0.16.1"
        torch.save(contents, tmp_path / "plain" / "model.pt")
        opened = sp.load(tmp_path / "plain")
        assert opened.state.origin == "scvi-tools 0.16.1"
        mapped = sp.tl.map_query(query.copy(), opened, max_epochs=1)
        mapped.save(tmp_path / "mapped")
        sp.hub.save_bundle(mapped, tmp_path / "bundle")
        for one in (sp.load(tmp_path / "mapped"), sp.load(tmp_path / "bundle")):
            assert one.state.origin == "scvi-tools 0.16.1"
        assert "scvi-tools 0.16.1" in (tmp_path / "bundle" / "README.md").read_text()

    def test_a_model_of_this_package_has_none(self, model, saved):
        assert model.state.origin == sp.load(saved / "folder").state.origin == ""
        assert "origin" not in (saved / "bundle" / "manifest.json").read_text()


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members:
            archive.writestr(name, contents)
    return path


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


class TestHostileArchives:
    """Refused before anything is unpacked, each in less than a second."""

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("../model.pt", "outside"),
            ("a/../../model.pt", "outside"),
            ("/etc/model.pt", "outside"),
            ("a\\..\\model.pt", "outside"),
            ("C:/model.pt", "outside"),
            ("a\n/model.pt", "outside"),
        ],
    )
    def test_names(self, name, said, tmp_path):
        with pytest.raises(ValueError, match=said):
            sp.load(zip_of(tmp_path / "m.zip", (name, b"x")))
        with tarfile.open(tmp_path / "m.tar", "w") as archive:
            info = tarfile.TarInfo(name)
            archive.addfile(info)
        with pytest.raises(ValueError, match=said):
            sp.load(tmp_path / "m.tar")
        assert sorted(one.name for one in tmp_path.iterdir()) == ["m.tar", "m.zip"]

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
    def test_what_is_no_file_in_a_tar(self, kind, tmp_path):
        with tarfile.open(tmp_path / "m.tar", "w") as archive:
            info = tarfile.TarInfo("model.pt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        with pytest.raises(ValueError, match="a link, or a device, and no file"):
            sp.load(tmp_path / "m.tar")

    def test_a_link_in_a_zip(self, tmp_path):
        with pytest.raises(ValueError, match="a link, or a device, and no file"):
            sp.load(zip_of(tmp_path / "m.zip", (link("model.pt"), "/etc/passwd")))

    def test_one_name_twice(self, tmp_path):
        with pytest.warns(UserWarning, match="Duplicate name"):
            zip_of(tmp_path / "m.zip", ("model.pt", b"x"), ("model.pt", b"y"))
        with pytest.raises(ValueError, match="twice"):
            sp.load(tmp_path / "m.zip")

    @pytest.mark.parametrize("name", ["m.zip", "m.tar.gz", "m.tar.bz2"])
    def test_bombs(self, name, tmp_path):
        (tmp_path / "top").mkdir()
        with (tmp_path / "top" / "model.pt").open("wb") as file:
            file.truncate(2**26)
        with pytest.raises(ValueError, match="20 times its size"):
            sp.load(packed(tmp_path / "top", tmp_path / name))

    def test_too_many_files(self, tmp_path):
        with pytest.raises(ValueError, match="more than 10000 files"):
            sp.load(zip_of(tmp_path / "m.zip", *((f"{i}", b"") for i in range(10_001))))

    @pytest.mark.parametrize("name", ["m.zip", "m.tar.gz", "m.tar"])
    def test_cut_off(self, name, saved, tmp_path):
        whole = packed(saved / "folder", tmp_path / name).read_bytes()
        for n_bytes in (600, len(whole) // 4, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:n_bytes])
            with pytest.raises((ValueError, FileNotFoundError)):
                sp.load(tmp_path / name)

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_methods(self, method, tmp_path):
        with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as archive:
            archive.writestr("model.pt", b"x" * 100)
        with pytest.raises(ValueError, match="another method than deflate"):
            sp.load(tmp_path / "m.zip")

    def test_a_directory_of_a_million_files_is_not_read(self, tmp_path):
        whole = zip_of(tmp_path / "m.zip", ("x", b"")).read_bytes()
        at = whole.index(b"PK\x01\x02")
        end = whole.index(b"PK\x05\x06")
        directory = whole[at:end] * 1_000_000
        record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), at, 0)
        (tmp_path / "m.zip").write_bytes(whole[:at] + directory + record)
        start = perf_counter()
        with pytest.raises(ValueError, match="more than 10000 files"):
            sp.load(tmp_path / "m.zip")
        assert perf_counter() - start < 1

    @pytest.mark.parametrize("shift", [-1, 0, 1])
    def test_an_end_that_does_not_agree_with_itself(self, shift, saved, model, tmp_path):
        """Large archives have two ends, and programs differ in how they find the other."""
        whole = packed(saved / "folder", tmp_path / "m.zip").read_bytes()
        end = whole.rindex(b"PK\x05\x06")
        _, *_, n_files, size, start, _ = struct.unpack("<4s4H2LH", whole[end : end + 22])
        large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, n_files, n_files, size, start)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end + shift, 1)
        (tmp_path / "m.zip").write_bytes(whole[:end] + large + locator + whole[end:])
        if shift:
            with pytest.raises(ValueError, match="does not agree with itself"):
                sp.load(tmp_path / "m.zip")
        else:
            assert same(sp.load(tmp_path / "m.zip"), model)

    def test_cells_are_not_unpacked_unless_asked_for(self, saved, model, tmp_path):
        members = [("model.pt", (saved / "folder" / "model.pt").read_bytes()), ("adata.h5ad", bytes(2**26))]
        zip_of(tmp_path / "m.zip", *members)
        assert same(sp.load(tmp_path / "m.zip"), model)
        with pytest.raises(ValueError, match="20 times its size"):
            SCANVI.load(tmp_path / "m.zip")

    def test_an_error_names_the_archive(self, tmp_path):
        with pytest.raises(ValueError, match=r"m\.zip/model\.pt") as caught:
            sp.load(zip_of(tmp_path / "m.zip", ("model.pt", b"<html>")))
        assert "/tmp/tmp" not in str(caught.value)

    @pytest.mark.parametrize("name", ["m.zip", "m.tar.gz", "m.tar.bz2"])
    def test_any_other_byte(self, name, saved, tmp_path):
        whole = packed(saved / "folder", tmp_path / name).read_bytes()
        rng = np.random.default_rng(0)
        for at in rng.integers(0, len(whole), 40):
            (tmp_path / name).write_bytes(whole[:at] + bytes([rng.integers(256)]) + whole[at + 1 :])
            with contextlib.suppress(ValueError, FileNotFoundError):
                sp.load(tmp_path / name)

    def test_without_a_model(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no saved model .* and no bundle: notes.txt"):
            sp.load(zip_of(tmp_path / "m.zip", ("notes.txt", b"x")))


# --- Functions that take a model's path take its name ---


def test_functions_of_the_hub_take_names(model, tmp_path):
    name = "pbmc68k-scanvi"
    known = sp.load(name)
    assert same(sp.hub.load_bundle(name), known)
    assert same(sp.hub.load_bundle(path=name), known)
    assert same(sp.hub.import_model(name), known)
    assert sp.hub.verify_bundle(name) == sp.hub.info(name)
    assert same(sp.load(sp.hub.save_bundle(name, tmp_path / "again", summary=False)), known)
    assert sp.hub.load_summary(name).profiles.labels == sp.hub.load_summary(sp.hub.pull(name)).profiles.labels
    query = sp.datasets.pbmc68k()
    assert sp.pp.check_query(query, name).n_cells == query.n_obs
    assert sp.pp.match_gene_names(query, name)[1] == sp.pp.match_gene_names(query, known)[1]


@pytest.mark.parametrize(
    "options", [{"prefix": "x"}, {"trust_pickle": True}, {"accelerator": "nonsense"}, {"device": 7}]
)
def test_a_model_takes_no_options_of_files(options, model):
    with pytest.raises(ValueError, match="is a model already"):
        sp.load(model, **options)


def test_a_bundle_goes_where_other_models_go(model, tmp_path, monkeypatch, around):
    """With "auto", scvi-tools chooses the device: also for bundles."""
    asked = []

    def parse(original, *args, **options):
        asked.append(args)
        return original(*args, **options)

    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    around("a device is chosen", parse)
    sp.load(tmp_path / "bundle")
    assert asked == [("auto", "auto")]


# --- What is no model that opens says what it is ---


def test_a_checkpoint_of_lightning_is_named(tmp_path):
    torch.save({"pytorch-lightning_version": "2.5.0", "state_dict": {}}, tmp_path / "last.ckpt")
    for what in (tmp_path, tmp_path / "last.ckpt"):
        with pytest.raises(
            (ValueError, FileNotFoundError),
            match=r"last\.ckpt.*checkpoint of a training by lightning.*BA-scVI.*model\.save",
        ):
            sp.load(what)


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="neither a folder nor a regular file"):
        sp.load(tmp_path / "pipe")


# --- Cells beside a model ---


def test_cells_beside_a_fetched_model_do_not_depend_on_the_cache(model, tmp_path, monkeypatch):
    """What ``SCVI.load`` returns is the same before and after somebody pulled the cells, too."""
    local = tmp_path / "local"
    model.save(local, save_anndata=True)
    monkeypatch.setattr("scarches_plus.hub.local_path", lambda what, **_: local if what == "atlas" else Path(what))
    assert type(model).load(local).adata is not None
    assert type(model).load("atlas").adata is None


def test_a_bundle_has_its_cells_elsewhere(model, tmp_path):
    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    with pytest.raises(FileNotFoundError, match=r"is a bundle.*sp\.hub\.load_reference"):
        sp.hub.import_reference(tmp_path / "bundle")
