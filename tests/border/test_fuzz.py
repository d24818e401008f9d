"""Ten minutes of random files and matrices: no crash, no hang, and every refusal is a documented error that names the
file.

``FUZZ_SECONDS`` (600 in all), ``FUZZ_SEED`` (printed), and ``FUZZ_ONLY="bundle 123"`` to run one input again.
"""

import json
import os
import pickle
import random
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from fuzzing import Target, fuzz, one
from hostile_bundles import sign, sign_text, whole_bundle
from mutations import damage, other_archive, other_hdf5, other_json, other_matrix, other_pickle, other_text
from safetensors.torch import load, save
from scipy import sparse

import scarches_plus as sp
from scarches_plus._hdf5 import read_checked, read_h5ad
from scarches_plus._pickles import FORMER_FILES, read_former_folder

pytestmark = pytest.mark.fuzz

SECONDS = float(os.environ.get("FUZZ_SECONDS", "600"))
SEED = os.environ.get("FUZZ_SEED") or str(random.SystemRandom().randrange(10**9))
BUNDLE_FILES = ("manifest.json", "SHA256SUMS", "README.md", ".safetensors")
OPENERS = ("load_bundle", "load_reference", "load_summary", "verify_bundle")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle, a saved model, cells on disk and in memory: whole, and opened once."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fuzz")
    bundle, query = whole_bundle(folder / "bundle")
    model = sp.hub.load_bundle(bundle)
    query.X = sparse.csr_matrix(query.X)
    model.save(folder / "model")
    query.uns["texts"] = {"a": "b", "c": ["d", "e"]}
    query.obsm["pca"] = query.X[:, :3].toarray()
    query.layers["counts"] = query.X.copy()
    query.write_h5ad(folder / "plain.h5ad")
    query.write_h5ad(folder / "packed.h5ad", compression="gzip")
    small = query[:30, :20].copy()
    protein = AnnData(small.X[:, :3].toarray(), small.obs[[]].copy())
    mudata.MuData({"rna": small, "protein": protein}).write(folder / "cells.h5mu")
    index = json.loads(Path(sp.hub.write_index(folder)).read_text())
    write_former(folder / "former", model)
    read_former_folder(folder / "former")
    sp.hub.verify_bundle(bundle)
    sp.hub.import_model(folder / "model")
    mapped = query.copy()
    sp.tl.map_query(mapped, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    return SimpleNamespace(folder=folder, bundle=bundle, model=model, query=query, index=index)


def write_former(folder, model):
    """Write a model as scvi-tools 0.8 did."""
    folder.mkdir()
    registered = {
        "summary_stats": {"n_batch": 2, "n_cells": np.int64(333)},
        "categorical_mappings": {"_scvi_batch": {"original_key": "batch", "mapping": np.array(["batch0", "batch1"], dtype=object)}},
        "stats": pd.DataFrame({"mean": [1.0, 2.0], "name": ["a", "b"]}, index=["x", "y"]),
        "latent": np.arange(6, dtype="f4").reshape(2, 3), "order": OrderedDict(a=(1, 2.5, None, True)), "set": {1, 2},
    }  # fmt: skip
    values = {
        "init_params_": {"n_hidden": 12, "n_latent": 4, "gene_likelihood": "zinb"},
        "scvi_setup_dict_": registered,
    }
    (folder / "attr.pkl").write_bytes(pickle.dumps(values, protocol=4))
    torch.save(model.module.state_dict(), folder / "model_params.pt")
    (folder / "var_names.csv").write_text("\n".join(model.spec.var_names))


def of_bundle(made, work, rng):
    """Damage a file, sign it at times, and open the bundle."""
    bundle = shutil.copytree(made.bundle, work / "bundle")
    path = rng.choice(sorted(bundle.iterdir()))
    if path.suffix == ".safetensors" and rng.random() < 0.6:
        other_tensors(path, rng)
    else:
        path.write_bytes(damage(path.read_bytes(), rng))
    if rng.random() < 0.8 and path.name != "SHA256SUMS":
        sign(bundle) if path.name != "manifest.json" else sign_text(bundle, path.read_bytes())
    if rng.random() < 0.05:
        path.unlink()
    opens = getattr(sp.hub, rng.choice(OPENERS))
    return lambda: opens(bundle)


def other_tensors(path, rng):
    tensors = load(path.read_bytes())
    for _ in range(rng.choice([1, 1, 2])):
        key = rng.choice(sorted(tensors))
        one = tensors[key].clone()
        kind = rng.randrange(6)
        if kind == 0:
            del tensors[key]
            continue
        if kind == 1:
            one = one[: rng.randrange(len(one) + 1)] if one.ndim else one
        elif kind == 2:
            one = one.to(
                rng.choice(
                    [torch.float16, torch.float32, torch.float64, torch.int32, torch.int64, torch.bool, torch.uint8]
                )
            )
        elif kind == 3:
            one = one.unsqueeze(0) if rng.random() < 0.5 else one.flatten()
        elif one.numel() and one.dtype != torch.bool:
            value = rng.choice([0, -1, 1, 2**31 - 1, 10**6, 1e30, -1e30, 1e-38, float("nan"), float("inf"), 2**62])
            value = value if one.is_floating_point() or (value == value and abs(value) < 2**62) else -(2**31)
            if rng.random() < 0.3:
                one = one.fill_(value if one.is_floating_point() else int(value) % 2**31)
            else:
                one.flatten()[rng.randrange(one.numel())] = value if one.is_floating_point() else int(value) % 2**31
        tensors[rng.choice([key, key, key, f"{key}x"])] = one
    path.write_bytes(save({key: value.contiguous() for key, value in tensors.items()}))


def of_manifest(made, work, rng):
    bundle = shutil.copytree(made.bundle, work / "bundle")
    values = json.loads((bundle / "manifest.json").read_text())
    section = rng.choice([*values, None])
    if section is None or not isinstance(values[section], dict | list) or not values[section]:
        text = other_text(values, rng)
    else:
        values[section] = other_json(values[section], rng)
        text = json.dumps(values).encode()
    sign_text(bundle, text)
    opens = getattr(sp.hub, rng.choice(OPENERS))
    return lambda: opens(bundle)


def of_index(made, work, rng):
    path = work / "index.json"
    path.write_bytes(other_text(made.index, rng))
    return lambda: sp.hub.list_models(index=path, offline=True)


def of_model(made, work, rng):
    contents = (made.folder / "model" / "model.pt").read_bytes()
    (work / "model.pt").write_bytes(other_archive(contents, rng) if rng.random() < 0.9 else other_pickle(contents, rng))
    opens = rng.choice([sp.hub.import_model, sp.model.load])
    return lambda: opens(work)


def of_former(made, work, rng):
    """Change a file of a model of scvi-tools 0.8."""
    folder = shutil.copytree(made.folder / "former", work / "former")
    if rng.random() < 0.7:
        path = folder / "attr.pkl"
        path.write_bytes(other_pickle(path.read_bytes(), rng) if rng.random() < 0.8 else damage(path.read_bytes(), rng))
    else:
        path = folder / rng.choice(["model_params.pt", "var_names.csv"])
        archive = path.suffix == ".pt" and rng.random() < 0.7
        path.write_bytes(other_archive(path.read_bytes(), rng) if archive else damage(path.read_bytes(), rng))
    return lambda: read_former_folder(folder)


def of_h5ad(made, work, rng):
    """Change cells by bytes or by h5py, open them, and embed what opens."""
    path = Path(shutil.copy(made.folder / rng.choice(["plain.h5ad", "packed.h5ad"]), work / "cells.h5ad"))
    if rng.random() < 0.5:
        other_hdf5(path, rng)
    if rng.random() < 0.6:
        path.write_bytes(damage(path.read_bytes(), rng))
    return lambda: read_h5ad(path)


def of_reference(made, work, rng):
    shutil.copytree(made.folder / "model", work / "model")
    path = Path(shutil.copy(made.folder / "packed.h5ad", work / "model" / "adata.h5ad"))
    other_hdf5(path, rng)
    return lambda: sp.hub.import_reference(work / "model")


def of_h5mu(made, work, rng):
    path = Path(shutil.copy(made.folder / "cells.h5mu", work / "cells.h5mu"))
    if rng.random() < 0.5:
        other_hdf5(path, rng)
    else:
        path.write_bytes(damage(path.read_bytes(), rng))
    return lambda: read_checked(path, mudata.read_h5mu)


def of_matrix(made, _, rng):
    """Map, embed or check cells whose sparse counts nobody has checked."""
    query = made.query.copy()
    query.X = other_matrix(query.X, rng)
    verb = rng.choice(["check", "check", "embed", "embed", "map"])
    if verb == "check":
        return lambda: sp.pp.check_query(query, made.model.spec).raise_for_problems()
    if verb == "embed":
        return lambda: sp.tl.embed(query, made.model)
    return lambda: sp.tl.map_query(query, made.model, max_epochs=1, train_kwargs={"enable_progress_bar": False})


TARGETS = {
    "bundle": (of_bundle, BUNDLE_FILES),
    "manifest": (of_manifest, BUNDLE_FILES),
    "index": (of_index, ("index.json",)),
    "model.pt": (of_model, ("model.pt",)),
    "attr.pkl": (of_former, FORMER_FILES),
    "h5ad": (of_h5ad, ("cells.h5ad",)),
    "reference": (of_reference, ("adata.h5ad",)),
    "h5mu": (of_h5mu, ("cells.h5mu",)),
    "matrix": (of_matrix, ()),
}


@pytest.mark.parametrize("name", TARGETS)
def test_random_input(made, name, capsys):
    make, files = TARGETS[name]
    target = Target(name, lambda work, rng: make(made, work, rng), files)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    only = os.environ.get("FUZZ_ONLY", "").split()
    if only and only[0] != name:
        pytest.skip("another input is run again")
    if only:
        raise AssertionError(one(target, SEED, int(only[1]), folder))
    outcome = fuzz(target, SEED, SECONDS / len(TARGETS), folder)
    with capsys.disabled():
        print(f"\n{name}: {outcome.n} inputs of seed {SEED}: {dict(outcome.kinds.most_common())}")  # noqa: T201
    assert outcome.n > 20
    assert not outcome.failures, "\n".join([f"{len(outcome.failures)} of {outcome.n} inputs:", *outcome.failures[:20]])
    shutil.rmtree(folder)


def test_whole_files_open(made):
    """What was not damaged is no reason to refuse."""
    assert read_h5ad(made.folder / "packed.h5ad").shape == anndata.read_h5ad(made.folder / "plain.h5ad").shape
