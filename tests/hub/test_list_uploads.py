import pytest
from invenio_server import TOKEN

import scarches_plus as sp


def test_all_pages_newest_first(zenodo):
    for number in range(230):
        record = zenodo._create(None)
        record["metadata"] = {"title": f"upload {number}"}
        record["published"] = number % 2 == 0
    uploads = sp.hub.list_uploads(token=TOKEN)
    assert [one.title for one in uploads] == [f"upload {number}" for number in reversed(range(230))]
    assert {one.state for one in uploads} == {"draft", "published"}
    assert [line.split("?")[0] for line in zenodo.lines] == ["GET /api/user/records"] * 3


@pytest.mark.parametrize("total", ["told", "not told"])
def test_pages_shorter_than_asked_for(zenodo, total):
    zenodo.page = 25
    for _ in range(60):
        zenodo._create(None)
    listed = zenodo._list
    if total == "not told":
        zenodo._list = lambda query: (200, {"hits": {"hits": listed(query)[1]["hits"]["hits"]}})
    assert len({one.id for one in sp.hub.list_uploads(token=TOKEN)}) == 60
    assert len(zenodo.lines) == (3 if total == "told" else 4)


def test_a_server_that_gives_the_same_page_for_ever(zenodo):
    for _ in range(100):
        zenodo._create(None)
    status, page = zenodo._list({"size": ["100"], "page": ["1"]})
    page["hits"]["total"] = 1000
    zenodo._list = lambda _: (status, page)
    assert len(sp.hub.list_uploads(token=TOKEN)) == 100
    assert len(zenodo.lines) == 2


def test_none(zenodo):
    assert sp.hub.list_uploads(token=TOKEN) == []
