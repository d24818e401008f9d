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


def test_a_server_that_gives_the_same_page_for_ever(zenodo):
    for _ in range(100):
        zenodo._create(None)
    page = zenodo._list({"size": ["100"], "page": ["1"]})
    zenodo._list = lambda _: page
    assert len(sp.hub.list_uploads(token=TOKEN)) == 100
    assert len(zenodo.lines) == 2


def test_none(zenodo):
    assert sp.hub.list_uploads(token=TOKEN) == []
