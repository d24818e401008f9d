"""Models of scvi-tools that this package does not have are refused by name, wherever a model is taken."""

from functools import partial

import mudata
import numpy as np
import pytest
import scvi
from small_models import SCVI, TOTALVI, cells, split

import scarches_plus as sp

NAMES = ["PEAKVI", "MULTIVI", "POISSONVI", "LinearSCVI", "CondSCVI", "AUTOZI"]
SAYS = "models of class {} are not supported, only SCVI, SCANVI, TOTALVI.*use_rep="


def made(name):
    """An untrained model, with its cells."""
    adata = cells(120)
    cls = getattr(scvi.model, name, None) or getattr(scvi.external, name)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    if name == "MULTIVI":
        regions = adata.copy()
        regions.var_names = [f"region{i}" for i in range(adata.n_vars)]
        joint = mudata.MuData({"rna": adata, "atac": regions})
        cls.setup_mudata(joint, modalities={"rna_layer": "rna", "atac_layer": "atac"})
        return cls(joint, n_genes=40, n_regions=40)
    if name in {"PEAKVI", "POISSONVI"}:
        adata.X.data[:] = 1
    labels = {"labels_key": "cell_type"} if name in {"CondSCVI", "AUTOZI"} else {}
    cls.setup_anndata(adata, **({} if name == "CondSCVI" else {"batch_key": "batch"}), **labels)
    return cls(adata)


@pytest.mark.filterwarnings(
    "ignore:adata.X does not contain fragment count data",
    "ignore:The method mod_names is deprecated:FutureWarning",
    "ignore:Initializing zero-element tensors",
)
@pytest.mark.parametrize("name", NAMES)
def test_by_name(name, tmp_path):
    model, query = made(name), cells(120)
    model.save(tmp_path / "model")
    takes = {
        "sp.load": sp.load,
        "of a folder": lambda _: sp.load(tmp_path / "model"),
        "trusted": lambda _: sp.load(tmp_path / "model", trust_pickle=True),
        "of a class": lambda _: SCVI.load(tmp_path / "model"),
        "import_model": lambda _: sp.hub.import_model(tmp_path / "model"),
        "map_query": partial(sp.tl.map_query, query),
        "embed": partial(sp.tl.embed, query),
        "SCVI.load_query_data": partial(SCVI.load_query_data, query),
        "TOTALVI.load_query_data": partial(TOTALVI.load_query_data, query),
        "check_query": partial(sp.pp.check_query, query),
        "transfer_labels": lambda one: sp.tl.transfer_labels(query, one, "cell_type"),
        "extend_reference": lambda one: sp.tl.extend_reference(query, one, "cell_type"),
        "save_bundle": lambda one: sp.hub.save_bundle(one, tmp_path / "bundle"),
        "export_model": lambda one: sp.hub.export_model(one, tmp_path / "exported"),
        "summarize_reference": lambda one: sp.train.summarize_reference(one, "cell_type"),
        "store_anchors": sp.train.store_anchors,
        "estimate_importance": sp.train.estimate_importance,
        "carry_anchors": lambda one: sp.train.carry_anchors(one, one),
    }
    for take in takes.values():
        with pytest.raises(TypeError, match=SAYS.format(name)):
            take(model)
    for recipe in (name, name.lower()):
        with pytest.raises(ValueError, match=f"there is no recipe {recipe!r}: {SAYS.format(name)}"):
            sp.tl.build_reference(query, "batch", recipe=recipe)


def test_recipes_of_classes_that_are_supported_are_lower_case():
    for name in ("SCVI", "SCANVI", "TOTALVI"):
        with pytest.raises(ValueError, match=f"recipe must be one of .*not '{name}'"):
            sp.tl.build_reference(cells(120), "batch", recipe=name)


def test_their_embeddings_are_taken():
    """What the message says: any embedding in the same slot of both will do."""
    model = made("PEAKVI")
    model.is_trained_ = True
    ref, query = split(cells(120), "batch2")
    for part in (ref, query):
        cells_of_model = part.copy()
        cells_of_model.X.data[:] = 1
        part.obsm["X_peakvi"] = model.get_latent_representation(cells_of_model)
    sp.tl.transfer_labels(query, ref, "cell_type", use_rep="X_peakvi")
    joint = sp.tl.joint_embedding(ref, query, use_rep="X_peakvi")
    assert np.isfinite(sp.metrics.batch_entropy(joint.obsm["X_peakvi"], joint.obs["batch"])).all()
