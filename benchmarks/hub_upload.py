"""The way of a model to Zenodo and back, as its log: all that can go wrong goes wrong once.

    python benchmarks/hub_upload.py

Zenodo is tests/invenio_server.py, on this machine. Lines of the server begin with "<", those of the package with "-";
requests for files of a draft are left out where they go well. docs/guide/publish.md shows the output.
"""

import logging
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from invenio_server import TOKEN, InvenioServer

import scarches_plus as sp
from scarches_plus._http import _retry
from scarches_plus.hub._web import _services

WEIGHTS = "weights.safetensors"
USUAL = re.compile(r"(GET|POST|PUT) .*/draft(/files.*)? -> 20")


class Log(logging.Handler):
    """What the package says, and before it what the server was asked meanwhile."""

    def __init__(self, zenodo):
        super().__init__(logging.INFO)
        self.zenodo, self.shown = zenodo, 0
        self.addFilter(lambda record: Path(record.pathname).parent.name == "hub")

    def emit(self, record):
        self.flush()
        print(f"- {record.getMessage()}".replace(self.zenodo.address, ""))

    def flush(self):
        for line in self.zenodo.log[self.shown :]:
            if not USUAL.search(line):
                print(f"< {line.replace('/api', '')}")
        self.shown = len(self.zenodo.log)


def step(title, log, call, *args, **kwargs):
    print(f"\n# {title}")
    try:
        result = call(*args, **kwargs)
    except (OSError, ValueError, KeyError) as error:
        log.flush()
        text = str(error.args[0] if isinstance(error, KeyError) else error).splitlines()[-1].strip()
        print(f"{type(error).__name__}: {text}".replace(log.zenodo.address, ""))
        return None
    log.flush()
    return result


def without_importance(model, folder, version):
    card = {"name": "pbmc", "version": version, "title": "PBMC", "license": "CC-BY-4.0", "contacts": ["Lab"]}
    return sp.hub.save_bundle(model, folder / version, card=card, importance=False, summary=False)


def main():
    zenodo, elsewhere, folder = InvenioServer(), InvenioServer(), Path(tempfile.mkdtemp())
    os.environ["NO_PROXY"] = "127.0.0.1"
    _retry.WAIT = 0.01
    _services.SERVICES["zenodo sandbox"] = _services.Service(zenodo.address, "ZENODO_SANDBOX_TOKEN")
    log = Log(zenodo)
    logging.getLogger("scarches_plus").addHandler(log)
    logging.getLogger("scarches_plus").setLevel(logging.INFO)
    model = sp.hub.load("pbmc68k-scanvi", offline=True)
    one, two = (without_importance(model, folder / "author", version) for version in ("1", "2"))
    send = {"token": TOKEN, "progress": False}
    fetch = {"index": folder / "author" / "index.json", "cache_dir": folder / "user", "progress": False}

    zenodo.fault("PUT", f"{WEIGHTS}/content", *["hang up"] * 4)
    step("a draft; the connection breaks in the middle", log, sp.hub.upload, one, **send)
    zenodo.fault("GET", "user/records", (429, {"Retry-After": "1"}, b""))
    step("again: Zenodo is busy, then what is there is not sent again", log, sp.hub.upload, one, **send)
    first = step("publish it", log, sp.hub.upload, one, publish=True, **send)
    second = step("a new version", log, sp.hub.upload, two, publish=True, new_version_of=first.doi, **send)
    sp.hub.write_index(folder / "author", uploads=[first, second])

    pulled = step("another machine, by DOI of the version", log, sp.hub.pull, first.doi, **fetch)
    print("verified:", sp.hub.verify_bundle(pulled).card.version)
    adata = sp.datasets.pbmc68k()
    query = adata[adata.obs["batch"] == adata.obs["batch"].iloc[-1]].copy()
    sp.tl.map_query(query, sp.hub.load_bundle(pulled), max_epochs=2, train_kwargs={"enable_progress_bar": False})
    print("mapped:", query.obsm["X_scarches"].shape)
    step("by DOI of all versions", log, sp.hub.pull, first.concept_doi, **fetch)
    step("the same, allow_latest=True", log, sp.hub.pull, first.concept_doi, allow_latest=True, **fetch)

    three = without_importance(model, folder / "author", "3")
    zenodo.fault("PUT", f"{WEIGHTS}/content", "flip a bit")
    step("a bit flips on the way", log, sp.hub.upload, three, restricted=True, publish=True, **send)
    third = step("again, with files for some only", log, sp.hub.upload, three, restricted=True, publish=True, **send)
    sp.hub.write_index(folder / "author", uploads=[first, second, third])
    step("fetch them without a token", log, sp.hub.pull, "pbmc@3", **fetch)
    os.environ["ZENODO_SANDBOX_TOKEN"] = TOKEN
    step("fetch them with the token", log, sp.hub.pull, "pbmc@3", **fetch)

    four = without_importance(model, folder / "author", "4")
    moved = {"Location": f"{elsewhere.address}/api/records"}
    zenodo.fault("POST", "/api/records", (307, moved, b""))
    step("a redirect to another host", log, sp.hub.upload, four, **send)
    print("requests there:", len(elsewhere.lines))
    zenodo.fault("GET", "user/records", (200, {}, b"<html>Sign in</html>"))
    step("a web page with status 200", log, sp.hub.upload, four, **send)
    zenodo.fault("GET", "user/records", (200, {}, b" " * (2**24 + 1)))
    step("a body without end", log, sp.hub.upload, four, **send)
    draft = step("a draft", log, sp.hub.upload, four, **send)
    step("delete it", log, sp.hub.delete_draft, draft.id, token=TOKEN)
    uploads = step("what is there now", log, sp.hub.list_uploads, token=TOKEN)
    print(*(f"{one.version} {one.state} {one.doi}" for one in uploads), sep="\n")
    print(f"the token was in {sum(TOKEN in line for line in zenodo.lines)} of {len(zenodo.lines)} addresses")


if __name__ == "__main__":
    main()
