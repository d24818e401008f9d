"""Models of scvi-tools open, and nothing in their files is called."""

import codecs
import io
import os
import pickle
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import scvi
import torch
from small_models import MODALITIES, SCANVI, SCVI, TOTALVI, as_taken, cells, network, split, train

import scarches_plus as sp
from scarches_plus.hub import BundleError


def saved(cls, ref, folder):
    """A folder that plain scvi-tools wrote, and the latent representation of its cells."""
    theirs = getattr(scvi.model, cls.__name__)
    adata = as_taken(cls, ref)
    if cls is TOTALVI:
        theirs.setup_mudata(adata, batch_key="batch", modalities=MODALITIES)
    else:
        labels = {"labels_key": "cell_type", "unlabeled_category": "Unknown"} if cls is SCANVI else {}
        theirs.setup_anndata(adata, batch_key="batch", **labels)
    model = theirs(adata, **network(cls))
    own = {"reduce_lr_on_plateau": False, "early_stopping": False} if cls is TOTALVI else {}
    model.train(2, enable_progress_bar=False, log_every_n_steps=1, train_size=1.0, **own)
    model.save(str(folder))
    return model.get_latent_representation()


@pytest.mark.parametrize("cls", [SCVI, SCANVI, TOTALVI])
def test_a_folder_of_scvi_tools(cls, tmp_path):
    ref, query = (as_taken(cls, part) for part in split(cells(), "batch2"))
    expected = saved(cls, split(cells(), "batch2")[0], tmp_path / "model")
    model = sp.hub.import_model(tmp_path / "model")
    assert type(model) is cls
    np.testing.assert_allclose(model.embed(ref), expected, rtol=1e-5, atol=1e-6)
    trusted = sp.hub.import_model(tmp_path / "model", trust_pickle=True)
    assert trusted.state.space == model.state.space
    assert trusted.spec == model.spec
    train(cls.load_query_data(query, model), 1)
    sp.hub.verify_bundle(sp.hub.save_bundle(model, tmp_path / "bundle"))


def test_a_folder_of_this_package_keeps_what_it_remembers(model, query, tmp_path):
    mapped = train(SCANVI.load_query_data(query[:, 3:].copy(), model), 1)
    mapped.save(tmp_path / "model")
    again = sp.hub.import_model(tmp_path / "model")
    assert again.state == mapped.state
    np.testing.assert_array_equal(again.embed(query), mapped.embed(query))


# --- Files that are no models ---


class Evil:
    def __init__(self, touched):
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch {self.touched}",)


def torch_file(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path, scvi_model):
    scvi_model.save(tmp_path / "model")
    return tmp_path / "model"


def damaged(contents):
    """One bit of the largest tensor is flipped, which torch itself does not notice."""
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
        start = contents.index(archive.read(largest)[:64])
    return contents[: start + 9] + bytes([contents[start + 9] ^ 1]) + contents[start + 10 :]


def test_what_would_be_executed_is_not(folder, tmp_path):
    touched = tmp_path / "touched"
    path = folder / "model.pt"
    content = torch.load(path, weights_only=False)
    hidden = dict(content)
    hidden["attr_dict"] = {**content["attr_dict"], "history_": Evil(touched)}
    needed = {**content, "attr_dict": {**content["attr_dict"], "registry_": Evil(touched)}}
    for one in (Evil(touched), needed):
        path.write_bytes(torch_file(one))
        with pytest.raises(BundleError, match=r"model\.pt is refused: it wants to call (posix|nt)\.system"):
            sp.hub.import_model(folder)
    path.write_bytes(torch_file(hidden))  # what no one asks for stays what it is: a record of a call
    sp.hub.import_model(folder)
    path.write_bytes(pickle.dumps(Evil(touched)))
    with pytest.raises(BundleError, match=r"model\.pt is a bare pickle, and no file of torch"):
        sp.hub.import_model(folder)
    assert not touched.exists()


class Script(torch.nn.Module):
    """TorchScript whose code runs as soon as the file is opened."""

    def __init__(self, touched: str):
        super().__init__()
        self.touched = touched

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.touched, True

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.touched, self.training = state
        torch.save(torch.ones(1), self.touched)

    def forward(self):
        return self.touched


@pytest.fixture
def script(tmp_path):
    """A file of TorchScript, stored as torch stores models; opening it as torch does touches a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch no longer recommends TorchScript
        packed = io.BytesIO()
        torch.jit.save(torch.jit.script(Script(str(tmp_path / "touched"))), packed)
        with zipfile.ZipFile(packed) as archive:
            contents = stored({name: archive.read(name) for name in archive.namelist()})
        torch.load(io.BytesIO(contents), weights_only=False)
    (tmp_path / "touched").unlink()
    return contents


def stored(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return file.getvalue()


def test_torchscript_is_refused(folder, script, tmp_path):
    path = folder / "model.pt"
    whole = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    top = next(iter(members)).split("/")[0]
    added = ["constants.pkl", "code/__torch__.py", "CONSTANTS.PKL", "extra/x", "data/0/x", "../data.pkl"]
    for contents in (script, *(stored({**members, f"{top}/{name}": b""}) for name in added)):
        path.write_bytes(contents)
        with pytest.raises(BundleError, match=r"model\.pt is refused: it holds .* TorchScript"):
            sp.hub.import_model(folder)
    path.write_bytes(script + whole)  # whatever is read of it, it is not the script
    sp.hub.import_model(folder)
    assert not (tmp_path / "touched").exists()


def test_a_member_twice_and_sizes_beyond_the_file(folder):
    path = folder / "model.pt"
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of it too
        with zipfile.ZipFile(path, "w") as archive:
            for name, contents in [*members, members[0]]:
                archive.writestr(name, contents)
    with pytest.raises(BundleError, match=r"model\.pt is refused: it holds a member twice"):
        sp.hub.import_model(folder)
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in members:
            archive.writestr(name, contents)
        archive.infolist()[0].file_size = archive.infolist()[0].compress_size = 2**31
    with pytest.raises(BundleError, match=r"model\.pt is packed"):
        sp.hub.import_model(folder)


def test_former_formats_are_refused(folder, script, tmp_path):
    """What asks for a call in files before torch 1.6, and its tar files before 0.1.10, also where an archive is
    appended.
    """
    path, touched = folder / "model.pt", tmp_path / "touched"
    old, tar = io.BytesIO(), io.BytesIO()
    torch.save(Evil(touched), old, _use_new_zipfile_serialization=False)
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            contents = pickle.dumps(Evil(touched))
            entry = tarfile.TarInfo(name)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
    for former in (old.getvalue(), tar.getvalue()):
        for contents, why in ((former, "it wants to call|a tar archive"), (former + torch_file(Evil(touched)), "call")):
            path.write_bytes(contents)
            with pytest.raises(BundleError, match=rf"model\.pt is .*{why}"):
                sp.hub.import_model(folder)
    assert not touched.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "builtins getattr", "os system", "torch load", "numpy load", "bytes"]
)
def test_names_beyond_the_list(folder, name):
    module, _, function = name.rpartition(" ")
    code = f"c{module or 'builtins'}\n{function}\n(I1000000000000\ntR.".encode()
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    (folder / "model.pt").write_bytes(contents.getvalue())
    with pytest.raises(BundleError, match=r"model\.pt"):
        sp.hub.import_model(folder)


def weight(content):
    return next(name for name, one in content["model_state_dict"].items() if getattr(one, "ndim", 0) == 2)


def repeated(content):
    """A tensor of one value that says it is a million."""
    content["model_state_dict"][weight(content)] = torch.zeros(1).expand(1000, 1000)


def shared(content):
    """Many tensors that lie in one place."""
    one = torch.zeros(1000, 1000)
    content["model_state_dict"].update({f"layer {i}": one for i in range(50)})


def nested(content):
    """A list that holds a list twice, that holds a list twice ..."""
    one = ["x"]
    for _ in range(20):
        one = [one, one]
    content["attr_dict"]["init_params_"]["non_kwargs"]["x"] = one


class Called:
    """Is pickled as a call of anything."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("change", [repeated, shared, nested])
def test_far_more_than_the_file_holds(folder, change):
    content = torch.load(folder / "model.pt", weights_only=False)
    change(content)
    torch.save(content, folder / "model.pt")
    with pytest.raises(BundleError, match=r"model\.pt is refused: .* far larger than the file"):
        sp.hub.import_model(folder)


def test_memory_that_nothing_stands_for(folder):
    """Arrays are as large as their values, and only text is encoded, once."""
    one = b"x"
    for _ in range(3):
        one = Called(codecs.encode, one, "hex")
    content = torch.load(folder / "model.pt", weights_only=False)
    empty = Called(np.empty(0).__reduce__()[0], np.ndarray, (2**40,), b"O")
    for evil, why in (
        (one, "_codecs.encode"),
        (Called(np.ndarray, (2**40,)), "numpy.ndarray"),
        (empty, "_reconstruct"),
    ):
        content["attr_dict"]["registry_"] = evil
        (folder / "model.pt").write_bytes(torch_file(content))
        with pytest.raises(BundleError, match=rf"model\.pt is refused: it wants to call .*{why}"):
            sp.hub.import_model(folder)


def repacked(whole, names):
    """The archive with some members packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w") as new:
        for one in old.infolist():
            packed = one.filename.rpartition("/")[2] in names or not names
            new.writestr(one.filename, old.read(one), zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return file.getvalue()


@pytest.mark.parametrize("names", [(), ("version",)])  # all; one that is not even smaller for it
def test_packed_archives(folder, names):
    path = folder / "model.pt"
    path.write_bytes(repacked(path.read_bytes(), names))
    with pytest.raises(BundleError, match="packed"):
        sp.hub.import_model(folder)


def test_damage(folder):
    path = folder / "model.pt"
    whole = path.read_bytes()
    cases = {
        "damaged": damaged(whole),
        "cut off": whole[: len(whole) // 2],
        "web page": b"<!DOCTYPE html><html>Not found</html>",
        "no model": torch_file({"weights": torch.zeros(3)}),
        "no model of": torch_file([1, 2]),
    }
    for message, contents in cases.items():
        path.write_bytes(contents)
        with pytest.raises(BundleError, match=message) as caught:
            sp.hub.import_model(folder)
        assert "model.pt" in str(caught.value)


CHANGES = {
    "a weight that is no tensor": lambda one: one["model_state_dict"].update({weight(one): 5}),
    "no weight": lambda one: one["model_state_dict"].pop(weight(one)),
    "no genes": lambda one: one.update(var_names=np.array([], dtype=object)),
    "a batch that is none": lambda one: one["attr_dict"].update(protein_mask_={99: [True]}),
    "no registry": lambda one: one["attr_dict"].update(registry_=[]),
    "an argument of another type": lambda one: one["attr_dict"]["init_params_"]["non_kwargs"].update(n_hidden="many"),
    "a state that is none": lambda one: one["attr_dict"].update(scarches_plus_="x"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_contents_of_no_model(folder, case):
    content = torch.load(folder / "model.pt", weights_only=False)
    CHANGES[case](content)
    torch.save(content, folder / "model.pt")
    with pytest.raises(BundleError, match=r"model\.pt holds no model"):
        sp.hub.import_model(folder)


def test_other_models_and_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        sp.hub.import_model(tmp_path)
    scvi.model.LinearSCVI.setup_anndata(adata := cells())
    scvi.model.LinearSCVI(adata).save(str(tmp_path / "other"))
    with pytest.raises(TypeError, match="LinearSCVI"):
        sp.hub.import_model(tmp_path / "other")
