import pytest
from invenio_server import TOKEN

import scarches_plus as sp


def test_a_draft_goes_and_what_is_published_stays(zenodo):
    draft, published = (zenodo._create(None)["id"] for _ in range(2))
    zenodo.records[published]["published"] = True
    sp.hub.delete_draft(draft, token=TOKEN)
    assert list(zenodo.records) == [published]
    for name in (draft, published):
        with pytest.raises(FileNotFoundError, match="404"):
            sp.hub.delete_draft(name, token=TOKEN)
    with pytest.raises(ValueError, match="is no id"):
        sp.hub.delete_draft("../1", token=TOKEN)
    assert list(zenodo.records) == [published]


def test_a_published_record_that_is_being_edited(zenodo):
    name = zenodo._create(None)["id"]
    shown = {**zenodo._show(zenodo.records[name]), "is_published": True}
    zenodo._draft = lambda _: zenodo.records[name]
    zenodo._show = lambda _: shown
    with pytest.raises(ValueError, match="is published, and stays"):
        sp.hub.delete_draft(name, token=TOKEN)
    assert name in zenodo.records
