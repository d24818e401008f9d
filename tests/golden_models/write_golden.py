"""Train small models with the release of scvi-tools that runs this, and keep what it saved and what it gave.

Runs on Python 3.7 and later, and with scvi-tools 0.8 and later: ``python write_golden.py [name ...]``. Names are of
models (see ``MODELS``; without them all are made that the release can make), or of folders of three files, which the
release converts. README.md says with which environments.
"""

import inspect
import json
import os
import pickle
import platform
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import anndata
import cells
import h5py
import numpy as np
import pandas as pd
import scvi
import torch

HERE = Path(__file__).resolve().parent
TABLE = HERE / "golden.json"
SURGERY = {"encode_covariates": True, "use_layer_norm": "both", "use_batch_norm": "none"}
SIZES = {"n_hidden": 8, "n_latent": 4, **SURGERY}
CATEGORICAL = {"categorical_covariate_keys": ["donor"]}
BOTH = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["stress"]}
# name -> class, columns beyond batch and labels, how it is set up, minified
MODELS = {
    "scvi": ("SCVI", {}, "anndata", False),
    "scvi-donor": ("SCVI", CATEGORICAL, "anndata", False),
    "scvi-donor-stress": ("SCVI", BOTH, "anndata", False),
    "scvi-minified": ("SCVI", {}, "anndata", True),
    "scanvi": ("SCANVI", {}, "anndata", False),
    "scanvi-donor": ("SCANVI", CATEGORICAL, "anndata", False),
    "scanvi-minified": ("SCANVI", {}, "anndata", True),
    "totalvi-donor": ("TOTALVI", CATEGORICAL, "anndata", False),
    "totalvi-mudata-donor": ("TOTALVI", CATEGORICAL, "mudata", False),
}


def accepts(function, name):
    return name in inspect.signature(function).parameters


def possible(name):
    class_name, _, setup, minified = MODELS[name]
    cls = getattr(scvi.model, class_name)
    return (setup == "anndata" or hasattr(cls, "setup_mudata")) and (not minified or hasattr(cls, "minify_adata"))


def set_up(cls, columns, setup):
    """Return the cells, registered for a class in the way of the release."""
    columns = dict(columns, batch_key="batch")
    if cls.__name__ != "TOTALVI":
        columns["labels_key"] = "cell_type"
    if setup == "mudata":
        joint = cells.mdata("reference")
        columns["modalities"] = {
            "rna_layer": "rna",
            "protein_layer": "protein",
            "batch_key": None,
            "categorical_covariate_keys": None,
        }
        cls.setup_mudata(joint, **columns)
        return joint
    adata = cells.adata("reference")
    used = columns.get("categorical_covariate_keys", []) + columns.get("continuous_covariate_keys", [])
    for name in {"donor", "stress"} - set(used):
        del adata.obs[name]
    if cls.__name__ == "TOTALVI":
        columns["protein_expression_obsm_key"] = "proteins"
    else:
        del adata.obsm["proteins"]
    if hasattr(cls, "setup_anndata"):
        if cls.__name__ == "SCANVI" and accepts(cls.setup_anndata, "unlabeled_category"):
            columns["unlabeled_category"] = cells.UNKNOWN
        cls.setup_anndata(adata, **columns)
    else:
        scvi.data.setup_anndata(adata, **columns)
    return adata


def train(class_name, columns, setup):
    cls = getattr(scvi.model, class_name)
    given = set_up(cls, columns, setup)
    size = dict(SIZES)
    if class_name == "SCANVI" and accepts(cls, "unlabeled_category"):
        size["unlabeled_category"] = cells.UNKNOWN
    model = cls(given, **size)
    if accepts(model.train, "n_epochs_unsupervised"):
        model.train(n_epochs_unsupervised=8, n_epochs_semisupervised=8)
    elif accepts(model.train, "n_epochs"):
        model.train(n_epochs=8)
    elif class_name == "TOTALVI":  # releases of 2023 hand the plateau an argument that later torch lacks
        model.train(max_epochs=8, reduce_lr_on_plateau=False)
    else:
        model.train(max_epochs=8, train_size=1.0)
    return model


def minify(model):
    means, variances = model.get_latent_representation(return_dist=True)
    model.adata.obsm["X_latent_qzm"] = means
    model.adata.obsm["X_latent_qzv"] = variances
    model.minify_adata(use_latent_qzm_key="X_latent_qzm", use_latent_qzv_key="X_latent_qzv")
    del model.adata.obsm["X_latent_qzm"], model.adata.obsm["X_latent_qzv"]  # it keeps its own copies


class SmallFile(h5py.File):
    """An HDF5 file in the newest layout, which takes half the bytes."""

    def __init__(self, *args, **kwargs):
        kwargs["libver"] = "latest"
        super().__init__(*args, **kwargs)


def write(name):
    """Train and save one model, and what it gives for its cells."""
    class_name, columns, setup, minified = MODELS[name]
    scvi.settings.seed = 0
    model = train(class_name, columns, setup)
    old_torch = [int(number) for number in torch.__version__.split(".")[:2]] < [1, 6]  # which wrote no zip archive
    folder = HERE / (scvi.__version__ + "-" + name + ("-old_torch" if old_torch else ""))
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir()
    np.save(str(folder / "latent.npy"), model.get_latent_representation(give_mean=True).astype(np.float32))
    if class_name == "SCANVI":
        soft = model.predict(soft=True)
        if isinstance(soft, np.ndarray):  # 0.10 forgets the names
            soft = pd.DataFrame(soft, columns=model._label_mapping[: soft.shape[1]])
        np.save(str(folder / "soft.npy"), soft[cells.LABELS].to_numpy(np.float32))
    if minified:
        minify(model)
        h5py.File = SmallFile
    model.save(str(folder / "model"), overwrite=True, save_anndata=minified)
    enter(
        folder,
        {
            "release": scvi.__version__,
            "class": class_name,
            "setup": setup,
            "covariates": sorted(name for names in columns.values() for name in names),
            "minified": minified,
            "converted_by": None,
        },
    )


def convert(name):
    """Have this release convert a folder of three files into one of one file, and keep what its release gave."""
    source = HERE / name
    folder = HERE / (name + "-converted")
    shutil.rmtree(str(folder), ignore_errors=True)
    shutil.copytree(str(source), str(folder), ignore=shutil.ignore_patterns("model"))
    entry = dict(json.loads(TABLE.read_text())["folders"][name], converted_by=scvi.__version__)
    cls = getattr(scvi.model, entry["class"])
    cls.convert_legacy_save(str(source / "model"), str(folder / "model"))
    enter(folder, entry)


def layout(folder, entry):
    """Return a word for how a model was laid out on disk."""
    if entry["converted_by"] is not None:
        return "converted"
    if (folder / "model.pt").exists():
        return "one file"
    flat = not {"kwargs", "non_kwargs"} & set(read_attributes(folder)["init_params_"])
    return "three files, flat arguments" if flat else "three files"


def read_attributes(folder):
    with (folder / "attr.pkl").open("rb") as file:
        return pickle.load(file)  # noqa: S301 # this script has just written it


def enter(folder, entry):
    """Write what a folder holds into the table."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"folders": {}}
    table["cells"] = {part: cells.digest(part) for part in cells.BATCHES}
    entry["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pandas": pd.__version__,
        "numpy": np.__version__,
        "anndata": anndata.__version__,
    }
    entry["layout"] = layout(folder / "model", entry)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entry["sha256"] = {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}
    table["folders"][folder.name] = entry
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    size = sum(path.stat().st_size for path in files)
    sys.stdout.write(f"{folder.name} {size} bytes\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or [name for name in MODELS if possible(name)]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for wanted_name in wanted:
            (write if wanted_name in MODELS else convert)(wanted_name)
