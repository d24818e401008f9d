"""Bundles with every file there can be, and signatures for those that somebody forged."""

import hashlib
import json

from small_models import SCANVI, cells, reference, split

import scarches_plus as sp


def whole_bundle(folder):
    """Write a bundle of a small model with every file there can be; return its folder and a query."""
    ref, query = split(cells(n_cells=333, n_batches=4), "batch2", "batch3")
    model = reference(SCANVI, ref.copy())
    sp.train.estimate_importance(model)
    sp.train.store_anchors(model, n_cells=30)
    sp.tl.embed(ref, model)
    sp.hub.save_bundle(
        model, folder, anchors=True, reference=ref, include=["latent", "variance", "labels", "counts"],
        summary=sp.tl.reference_summary(ref, "cell_type", "batch"), card={"name": "small-scanvi", "version": "1.0"},
    )  # fmt: skip
    return folder, query


def sign(bundle, **changes):
    """Make hashes and sizes agree again, as whoever forges a bundle would."""
    path = bundle / "manifest.json"
    values = json.loads(path.read_text())
    for name in values["files"]:
        contents = (bundle / name).read_bytes()
        values["files"][name] = {"size": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}
    for section, change in changes.items():
        values[section] = change(values[section])
    sign_text(bundle, json.dumps(values).encode())


def sign_text(bundle, text):
    """Put another manifest into a bundle, with its checksum."""
    (bundle / "manifest.json").write_bytes(text)
    sums = {"manifest.json": text}
    try:
        listed = json.loads(text)["files"]
        sums |= {name: (bundle / name).read_bytes() for name in listed}
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        pass
    lines = (f"{hashlib.sha256(contents).hexdigest()}  {name}\n" for name, contents in sorted(sums.items()))
    (bundle / "SHA256SUMS").write_text("".join(lines))
