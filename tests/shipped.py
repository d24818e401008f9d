"""The models that come with the package, and the index that lists them."""

import json
from pathlib import Path

import scarches_plus as sp

INDEX = Path(sp.hub.__file__).parent / "references" / "index.json"
FOLDER = INDEX.parent


def entry_of(name):
    """Return what the index says about a model."""
    (entry,) = (one for one in json.loads(INDEX.read_text())["models"] if one["name"] == name)
    return entry
