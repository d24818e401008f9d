"""The whole way of a model: draft, files, publication, index, another machine. Zenodo is a server on this machine."""

import json
import shutil
import time

import numpy as np
import pytest
from invenio_server import TOKEN

import scarches_plus as sp
from scarches_plus.hub import BundleError

CARD = {"name": "small", "version": "1", "license": "CC-BY-4.0", "contacts": ["Jane Doe <jane@lab.example>"]}


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- The way ---


def test_draft_publication_and_the_way_back(send, zenodo, bundles, index_of, tmp_path, model, ref, query):
    draft = send()
    assert (draft.state, draft.doi, draft.version) == ("draft", f"10.5072/zenodo.{draft.id}", "1")
    assert draft.url == f"{zenodo.address}/uploads/{draft.id}"
    with pytest.raises(ValueError, match="is a draft"):
        sp.hub.write_index(bundles, uploads=[draft])

    published = send(publish=True)
    assert (published.id, published.doi, published.state) == (draft.id, draft.doi, "published")
    record = zenodo.records[draft.id]
    assert {name: one["content"] for name, one in record["files"].items()} == files_of(bundles / "1")
    metadata = record["metadata"]
    assert metadata["rights"] == [{"id": "cc-by-4.0"}]
    assert metadata["creators"] == [{"person_or_org": {"type": "organizational", "name": "Jane Doe"}}]
    assert "jane@lab.example" not in json.dumps(metadata)

    index = index_of(published)
    assert sp.hub.list_models(index=index).iloc[0]["doi"] == published.doi
    assert str(tmp_path) not in index.read_text()
    n_sent = len(zenodo.log)
    folder = sp.hub.pull(published.doi, index=index, cache_dir=tmp_path / "cache", progress=False)
    assert all("/files/" in line and line.endswith("200") for line in zenodo.log[n_sent:])
    assert set(zenodo.tokens[n_sent:]) == {None}
    assert files_of(folder) == files_of(bundles / "1")
    again = sp.hub.load(f"https://doi.org/{published.doi}", index=index, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
    cells = query.copy()
    sp.tl.map_query(cells, again, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    assert np.isfinite(cells.obsm["X_scarches"]).all()


def test_versions_and_the_doi_of_all(send, bundles, index_of, tmp_path):
    first = send(publish=True)
    second = send(bundles / "2", publish=True, new_version_of=first.doi)
    assert first.concept_doi == second.concept_doi != first.doi != second.doi
    options = {"index": index_of(first, second), "cache_dir": tmp_path / "cache"}
    assert sp.hub.info(first.doi, **options).card.version == "1"
    with pytest.raises(KeyError, match=r"is the DOI of all versions.*'2': '10.5072/zenodo.*allow_latest"):
        sp.hub.pull(first.concept_doi, **options, progress=False)
    with pytest.raises(
        KeyError, match=r"no index lists a model with the DOI 10.1000/1; without an index, only DOIs of Zenodo"
    ):
        sp.hub.pull("10.1000/1", **options)
    with pytest.raises(FileNotFoundError, match=r"/records/1 is not there: answers 404"):
        sp.hub.pull("10.5072/zenodo.1", **options)
    assert not (tmp_path / "cache" / "hub" / "resolved.jsonl").exists()
    folder = sp.hub.pull(first.concept_doi, **options, allow_latest=True, progress=False)
    assert sp.hub.info(folder).card.version == "2"
    (noted,) = map(json.loads, (tmp_path / "cache" / "hub" / "resolved.jsonl").read_text().splitlines())
    assert (noted["asked"], noted["taken"], noted["doi"]) == (first.concept_doi, "small@2", second.doi)


def test_a_new_version_that_broke_off(send, zenodo, bundles):
    first = send(publish=True)
    zenodo.fault("PUT", "/draft", "hang up", "hang up", "hang up", "hang up")
    with pytest.raises(OSError, match="no answer"):
        send(bundles / "2", new_version_of=first.id)
    assert send(bundles / "2", new_version_of=first.id).state == "draft"
    assert len(zenodo.records) == 2


def test_the_same_bundle_twice_is_one_record(send, zenodo):
    first = send(publish=True)
    n_sent = len(zenodo.log)
    assert send(publish=True) == first
    assert send() == first
    assert [line.split()[0] for line in zenodo.log[n_sent:]] == ["GET", "GET"]


def test_a_draft_of_the_next_version_is_not_taken_for_this_one(send, zenodo, bundles):
    """It is born with the description of the version before, hash included."""
    first = send(publish=True)
    zenodo.fault("PUT", "/draft", *["hang up"] * 4)
    with pytest.raises(OSError, match="no answer"):
        send(bundles / "2", new_version_of=first.id, publish=True)
    assert send(publish=True) == first
    (copy,) = (one for one in zenodo.records.values() if not one["published"])
    copy["metadata"]["version"] = first.version  # where a service keeps it
    assert send(publish=True) == first
    del copy["metadata"]["version"]
    zenodo.records[first.id]["metadata"]["description"] = "its owner wrote another"
    assert send().id not in {first.id, copy["id"]}


def test_what_is_there_stands_alone(send, zenodo, bundles):
    first = send(publish=True)
    alone = send(bundles / "2")
    with pytest.raises(
        ValueError, match=rf"draft {alone.id} .* no version of {first.doi}; .*delete_draft\('{alone.id}'"
    ):
        send(bundles / "2", new_version_of=first.doi, publish=True)
    assert not zenodo.records[alone.id]["published"]
    published = send(bundles / "2", publish=True)
    with pytest.raises(ValueError, match=rf"record {alone.id} .* no version of {first.id}; leave new_version_of out"):
        send(bundles / "2", new_version_of=first.id)
    assert send(bundles / "2") == published


def test_a_version_that_is_there_already(send, bundles):
    first = send(publish=True)
    draft = send(bundles / "2", new_version_of=first.id)
    published = send(bundles / "2", new_version_of=first.id, publish=True)
    assert published.id == draft.id
    assert send(bundles / "2", new_version_of=first.id) == published


@pytest.mark.parametrize("restricted", [True, False])
def test_other_access_than_what_is_published_has(restricted, send):
    draft = send(restricted=restricted)
    published = send(publish=True, restricted=not restricted)  # a draft can be changed
    assert published.id == draft.id
    with pytest.raises(ValueError, match=f"holds this bundle, its files are .*; pass restricted={not restricted}"):
        send(publish=True, restricted=restricted)
    assert send(restricted=not restricted) == published


def test_records_of_other_software(send, zenodo, monkeypatch):
    odd = [
        {"pids": {"doi": {"identifier": doi, "provider": "external"}}} for doi in ("", "10.1234/a b", "10.1234/ä")
    ] + [{"metadata": {"title": "slides", "version": 3}}, {"id": 7}, {"id": "../../x"}, {"parent": None}]
    others = iter([zenodo._create(None)["id"] for _ in odd])
    strange = dict(zip(others, odd, strict=True))
    show = zenodo._show
    monkeypatch.setattr(zenodo, "_show", lambda record: show(record) | strange.get(record["id"], {}))
    plain = zenodo._create({"metadata": {"title": "more slides", "version": None}, "access": {}})
    published = send(publish=True)
    assert [one.id for one in sp.hub.list_uploads(token=TOKEN)] == [published.id, plain["id"]]

    strange[published.id] = odd[0]
    with pytest.raises(OSError, match="something else than a record"):
        send(publish=True)  # which would be a second time


def test_restricted_files(send, bundles, index_of, tmp_path, monkeypatch):
    published = send(publish=True, restricted=True)
    options = {"index": index_of(published), "cache_dir": tmp_path / "cache", "progress": False}
    with pytest.raises(OSError, match=r"403.*ZENODO_SANDBOX_TOKEN"):
        sp.hub.pull("small@1", **options)
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    assert files_of(sp.hub.pull("small@1", **options)) == files_of(bundles / "1")


def test_an_unknown_licence_is_said_before_files_are_sent(send, zenodo, model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "odd", card={**CARD, "license": "My-Own-1"})
    with pytest.raises(ValueError, match=r"metadata\.rights: \['Invalid value"):
        send(folder)
    assert not any("content" in line for line in zenodo.log)


# --- Broken connections, busy servers ---


def test_an_upload_that_broke_off_goes_on(send, zenodo):
    end = "weights.safetensors/content"
    zenodo.fault("PUT", end, *["hang up"] * 4)
    with pytest.raises(OSError, match=r"weights\.safetensors/content: no answer"):
        send()
    before = len(zenodo.log)
    draft = send()
    assert len(zenodo.records) == 1
    stored = [line.split("/")[-2] for line in zenodo.log[before:] if line.startswith("PUT") and "/content" in line]
    sent_before = {line.split("/")[-2] for line in zenodo.log[:before] if line.endswith("commit -> 200")}
    assert sent_before
    assert not sent_before & set(stored)
    assert "weights.safetensors" in stored
    assert {one["status"] for one in zenodo.records[draft.id]["files"].values()} == {"completed"}


def test_busy_servers_are_left_alone_as_long_as_they_ask(send, zenodo, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000)
    zenodo.fault("GET", "user/records", (429, {"Retry-After": "7"}, b""), (429, {"Retry-After": "1e9"}, b""))
    zenodo.fault("GET", "user/records", (503, {"Retry-After": "999999999"}, b""))
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000030"}
    zenodo.fault("POST", "/api/records", (429, limit, b'{"message": "30 per 1 minute"}'))
    zenodo.fault("PUT", "weights.safetensors/content", (500, {}, b""), (502, {}, b"<html>"), "hang up")
    send()
    assert waits == [7.0, 0.002, 120.0, 30.0, 0.001, 0.002, 0.004]


def test_a_record_is_not_made_twice(send, zenodo):
    zenodo.fault("POST", "/api/records", "done, but 502")
    with pytest.raises(OSError, match="502"):
        send()
    assert send().state == "draft"
    assert len(zenodo.records) == 1


@pytest.mark.parametrize("end", ["/commit", "/publish", "/pids/doi", "/draft/files"])
def test_what_was_done_though_the_answer_was_lost(end, send, zenodo):
    zenodo.fault("POST", end, "done, but 502")
    with pytest.raises(OSError, match="502"):
        send(publish=True)
    assert send(publish=True).state == "published"
    assert len(zenodo.records) == 1


def test_what_arrived_damaged_is_taken_back(send, zenodo):
    zenodo.fault("PUT", "weights.safetensors/content", "flip a bit")
    with pytest.raises(OSError, match=r"weights\.safetensors: the service has md5:.* was sent"):
        send(publish=True)
    (record,) = zenodo.records.values()
    assert "weights.safetensors" not in record["files"]
    assert not record["published"]
    assert send(publish=True).state == "published"


def test_a_draft_with_a_damaged_file_is_mended(send, zenodo, bundles):
    draft = send()
    zenodo.records[draft.id]["files"]["README.md"]["content"] = b"other"
    send(publish=True)
    assert zenodo.records[draft.id]["files"]["README.md"]["content"] == (bundles / "1" / "README.md").read_bytes()
    zenodo.records[draft.id]["published"] = False
    zenodo.records[draft.id]["files"]["notes.txt"] = {"status": "completed", "content": b"mine"}
    with pytest.raises(ValueError, match=r"the draft holds \['notes.txt'\]"):
        send()


def test_a_file_that_changes_while_it_is_sent(send, zenodo, bundles, tmp_path):
    folder = shutil.copytree(bundles / "1", tmp_path / "changing")

    def change():
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x" + b"more than was announced")

    zenodo.fault("GET", "/draft/files", change)  # the bundle was checked, and no file is sent yet
    with pytest.raises(BundleError, match=r"weights\.safetensors has changed while"):
        send(folder)
    (record,) = zenodo.records.values()
    assert record["files"].get("weights.safetensors", {}).get("status") != "completed"


# --- What is not sent ---


def test_bundles_that_are_not_fit(send, zenodo, model, bundles, bundle, tmp_path):
    with pytest.raises(ValueError, match=r"needs \['license'\]"):
        send(bundle)
    for missing in ("name", "version"):
        card = {key: value for key, value in CARD.items() if key != missing}
        with pytest.raises(ValueError, match=rf"needs \['{missing}'\]"):
            send(sp.hub.save_bundle(model, tmp_path / missing, card=card))
    nobody = sp.hub.save_bundle(model, tmp_path / "nobody", card={**CARD, "contacts": []})
    with pytest.raises(ValueError, match="nobody is cited"):
        send(nobody)
    cells = sp.hub.save_bundle(model, tmp_path / "cells", card=CARD, anchors=True)
    with pytest.raises(ValueError, match=r"data of single cells \(anchors\)"):
        send(cells)
    with pytest.raises(ValueError, match="backend must be one of"):
        send(backend="elsewhere")
    damaged = shutil.copytree(bundles / "1", tmp_path / "damaged")
    (damaged / "README.md").write_text("other")
    with pytest.raises(BundleError, match="README"):
        send(damaged)
    assert zenodo.lines == []
    assert send(cells, allow_cells=True, creators=["Doe, Jane"]).state == "draft"
    (record,) = zenodo.records.values()
    person = {"type": "personal", "family_name": "Doe", "given_name": "Jane"}
    assert record["metadata"]["creators"] == [{"person_or_org": person}]


def test_ids_that_lead_elsewhere(send, zenodo):
    with pytest.raises(ValueError, match="is no id of a record"):
        send(new_version_of="../../user")
    with pytest.raises(FileNotFoundError, match="404"):
        send(new_version_of="999")
    assert not any("/user/" in line and "user/records" not in line for line in zenodo.lines)
