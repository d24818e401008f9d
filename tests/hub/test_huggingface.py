"""Hugging Face as the other registry, with huggingface_hub's interface played by a class."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import scarches_plus as sp

TOKEN = "hf_s3cret"
CARD = {"name": "small", "version": "1", "license": "CC-BY-4.0", "contacts": ["Jane Doe"]}
OPTIONS = {"token": TOKEN, "backend": "huggingface", "sandbox": False}


class HfHubHTTPError(OSError):
    pass


class Hub:
    """Repositories as ``HfApi`` shows them: a list of commits, each a dict of files."""

    def __init__(self):
        self.repos, self.damage = {}, None

    def __call__(self, *, endpoint, token, library_name):
        assert (endpoint, library_name) == ("https://huggingface.co", "scarches_plus")
        if token != TOKEN:
            raise HfHubHTTPError(f"401 for {token}")
        return self

    def whoami(self):
        return {"name": "lab"}

    def create_repo(self, name, *, private, exist_ok):
        assert exist_ok
        self.repos.setdefault(name, SimpleNamespace(private=private, gated=False, commits=[{}], tags={}))

    def list_models(self, *, author):
        return [SimpleNamespace(id=name) for name in self.repos if name.startswith(f"{author}/")]

    def _commit(self, name, revision):
        repo = self.repos[name]
        return repo.tags.get(revision, len(repo.commits) - 1) if isinstance(revision, str | None) else revision

    def model_info(self, name, *, revision=None):
        if name not in self.repos:
            raise HfHubHTTPError(f"404 {name}, token {TOKEN}")
        commit = self._commit(name, revision)
        siblings = [SimpleNamespace(rfilename=file) for file in self.repos[name].commits[commit]]
        repo = self.repos[name]
        return SimpleNamespace(id=name, private=repo.private, gated=repo.gated, sha=commit, siblings=siblings)

    def hf_hub_download(self, name, file, *, revision, local_dir):
        (Path(local_dir) / file).write_bytes(self.repos[name].commits[revision][file])

    def get_paths_info(self, name, paths, *, revision):
        for path, contents in self.repos[name].commits[revision].items():
            if path not in paths:
                continue
            large = path.endswith(".safetensors")
            lfs = SimpleNamespace(sha256=hashlib.sha256(contents).hexdigest()) if large else None
            oid = hashlib.sha1(f"blob {len(contents)}\0".encode() + contents).hexdigest()
            yield SimpleNamespace(path=path, size=len(contents), lfs=lfs, blob_id=oid)

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, delete_patterns, commit_message):
        assert delete_patterns == ["*.safetensors"]
        files = {name: (folder_path / name).read_bytes() for name in allow_patterns}
        if self.damage:
            files[self.damage] = files[self.damage][:-1] + b"?"
        self.repos[repo_id].commits.append(files)
        return SimpleNamespace(oid=len(self.repos[repo_id].commits) - 1)

    def list_repo_refs(self, name):
        return SimpleNamespace(tags=[SimpleNamespace(name=tag) for tag in self.repos[name].tags])

    def create_tag(self, name, *, tag, revision):
        self.repos[name].tags[tag] = revision

    def update_repo_settings(self, name, *, private=None, gated=None):
        repo = self.repos[name]
        repo.private = repo.private if private is None else private
        repo.gated = repo.gated if gated is None else gated

    def delete_repo(self, name):
        del self.repos[name]


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    module = ModuleType("huggingface_hub")
    module.HfApi = hub
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return hub


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_private_then_public_then_another_version(hub, bundles):
    draft = sp.hub.upload(bundles / "1", **OPTIONS)
    repo = hub.repos["lab/small"]
    assert (draft.id, draft.state, draft.doi, repo.private) == ("lab/small", "draft", "", True)
    assert repo.commits[-1] == files_of(bundles / "1")
    published = sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    assert (published.state, repo.private, repo.gated, len(repo.commits)) == ("published", False, False, 2)
    assert published.files == "https://huggingface.co/lab/small/resolve/1/{file}"
    assert sp.hub.upload(bundles / "1", **OPTIONS, publish=True) == published

    with pytest.raises(ValueError, match=r"holds something else; .* pass new_version_of='lab/small'"):
        sp.hub.upload(bundles / "2", **OPTIONS)
    with pytest.raises(ValueError, match="is public at once; pass publish=True"):
        sp.hub.upload(bundles / "2", **OPTIONS, new_version_of="lab/small")
    second = sp.hub.upload(bundles / "2", **OPTIONS, new_version_of="lab/small", publish=True, restricted=True)
    assert second.files.endswith("/resolve/2/{file}")
    assert repo.gated == "manual"
    assert repo.tags == {"1": 1, "2": 2}
    (listed,) = sp.hub.list_uploads(**OPTIONS)
    assert (listed.id, listed.state) == ("lab/small", "published")


def test_what_is_not_ours_is_left_alone(hub, bundles, model, tmp_path):
    hub.create_repo("lab/small", private=False, exist_ok=True)
    hub.repos["lab/small"].commits = [{".gitattributes": b""}, {"model.safetensors": b"mine"}]
    with pytest.raises(ValueError, match="holds something else"):
        sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    with pytest.raises(ValueError, match="holds no bundle"):
        sp.hub.upload(bundles / "1", **OPTIONS, publish=True, new_version_of="lab/small")
    assert len(hub.repos["lab/small"].commits) == 2
    del hub.repos["lab/small"]
    sp.hub.upload(bundles / "1", **OPTIONS)
    other = sp.hub.save_bundle(model, tmp_path / "other", card={**CARD, "title": "Same version, other files"})
    with pytest.raises(ValueError, match="has a version 1 already"):
        sp.hub.upload(other, **OPTIONS, new_version_of="lab/small")


def test_the_index_pins_the_commit(hub, bundles, tmp_path):
    published = sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    shutil.copytree(bundles / "1", tmp_path / "1")
    assert (
        "https://huggingface.co/lab/small/resolve/1/{file}"
        in sp.hub.write_index(tmp_path, uploads=[published]).read_text()
    )


def test_the_index_from_what_the_account_lists(hub, bundles, tmp_path):
    sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    sp.hub.upload(bundles / "2", **OPTIONS, publish=True, new_version_of="lab/small")
    shutil.copytree(bundles, tmp_path, dirs_exist_ok=True)
    index = sp.hub.write_index(tmp_path, uploads=sp.hub.list_uploads(**OPTIONS))
    first, second = json.loads(index.read_text())["models"]
    assert (first["mirrors"], second["mirrors"]) == (
        ["1"],
        ["https://huggingface.co/lab/small/resolve/2/{file}"],
    )


def test_access_to_what_is_public_already(hub, bundles):
    sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    repo = hub.repos["lab/small"]
    restricted = sp.hub.upload(bundles / "1", **OPTIONS, publish=True, restricted=True)
    assert (restricted.state, repo.gated, repo.private) == ("published", "manual", False)
    repo.gated = "auto"
    for version in "12":
        with pytest.raises(ValueError, match="open only to whom you let in; pass restricted=True"):
            sp.hub.upload(bundles / version, **OPTIONS, publish=True, new_version_of="lab/small")
    sp.hub.upload(bundles / "2", **OPTIONS, publish=True, new_version_of="lab/small", restricted=True)
    assert (repo.gated, len(repo.commits)) == ("auto", 3)


def test_what_arrived_damaged(hub, bundles):
    hub.damage = "weights.safetensors"
    with pytest.raises(OSError, match=r"another weights\.safetensors than was sent"):
        sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    hub.damage = "manifest.json"
    with pytest.raises(ValueError, match="holds something else"):  # what it holds now is not known to be ours
        sp.hub.upload(bundles / "1", **OPTIONS, publish=True)
    assert hub.repos["lab/small"].private


def test_delete(hub, bundles):
    sp.hub.upload(bundles / "1", **OPTIONS)
    hub.create_repo("lab/other", private=True, exist_ok=True)
    with pytest.raises(ValueError, match="no bundle"):
        sp.hub.delete_draft("lab/other", **OPTIONS)
    hub.repos["lab/small"].private = False
    with pytest.raises(ValueError, match="public"):
        sp.hub.delete_draft("lab/small", **OPTIONS)
    hub.repos["lab/small"].private = True
    sp.hub.delete_draft("lab/small", **OPTIONS)
    assert list(hub.repos) == ["lab/other"]
    with pytest.raises(OSError, match=r"404 lab/small, token \[token\]") as caught:
        sp.hub.delete_draft("lab/small", **OPTIONS)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", [ConnectionError, RuntimeError, type("HTTPError", (Exception,), {})])
def test_errors_do_not_carry_the_request(kind, hub, monkeypatch):
    """Those of requests, of transfers and of httpx, which all hold the header."""

    def lost():
        raise kind(f"Bearer {TOKEN} \ud800")

    monkeypatch.setattr(hub, "whoami", lost)
    with pytest.raises(OSError, match=r"huggingface: Bearer \[token\]") as caught:
        sp.hub.list_uploads(**OPTIONS)
    assert type(caught.value) is OSError
    assert caught.value.__context__ is None


def test_no_sandbox_and_no_library(bundles, monkeypatch):
    with pytest.raises(ValueError, match="no sandbox"):
        sp.hub.upload(bundles / "1", token=TOKEN, backend="huggingface")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"scarches-plus\[huggingface\]"):
        sp.hub.upload(bundles / "1", **OPTIONS)
