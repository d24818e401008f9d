"""Genes that a joined query's own record says unmeasured leave its likelihood."""

import numpy as np
import pytest
from small_models import cells, reference, train

import scarches_plus as sp

GENES = [f"gene{i}" for i in range(40)]


def joined(**measured):
    adata = cells(n_batches=4)
    adata.obs["study"] = adata.obs["batch"].astype(str)
    studies = {batch: adata[adata.obs["batch"] == batch, genes].copy() for batch, genes in measured.items()}
    return sp.pp.concat_studies(studies)


def test_each_study_of_a_query_has_its_own_mask():
    model = reference()  # batch0 and batch1, all genes
    query = joined(batch2=GENES[:33], batch3=GENES[5:38])
    mapped = sp.tl.map_query(query, model, max_epochs=2, train_kwargs={"enable_progress_bar": False})
    unmeasured = {"batch2": list(range(33, 40)), "batch3": [0, 1, 2, 3, 4, 38, 39]}
    assert mapped.state.unmeasured == unmeasured
    mask = mapped.module.gene_mask.numpy()
    assert mask[:2].all()
    assert {batch: np.flatnonzero(~mask[2 + i]).tolist() for i, batch in enumerate(unmeasured)} == unmeasured


def test_a_batch_that_spans_studies_is_refused():
    query = joined(batch2=GENES[:33], batch3=GENES[5:38])
    query.obs["batch"] = "new"
    with pytest.raises(ValueError, match="batch 'new' spans the studies"):
        type(reference()).load_query_data(query, reference())


def test_shared_batches_may_lack_what_the_reference_lacks():
    ref = joined(batch0=GENES[:30], batch1=GENES)
    model = sp.tl.build_reference(
        ref,
        "batch",
        max_epochs=1,
        model_kwargs={"n_hidden": 12, "n_latent": 4},
        train_kwargs={"enable_progress_bar": False},
    )
    query = joined(batch0=GENES[:30], batch2=GENES)
    mapped = type(model).load_query_data(query, model, shared_batches=["batch0"])
    assert mapped.state.unmeasured == {"batch0": list(range(30, 40))}
    less = joined(batch0=GENES[:28], batch2=GENES)
    with pytest.raises(ValueError, match="'batch0' is shared with the reference, which measured 2 genes"):
        type(model).load_query_data(less, model, shared_batches=["batch0"])


def test_scanvi_takes_over_the_mask_of_scvi():
    ref = joined(batch0=GENES[:30], batch1=GENES)
    model = sp.tl.build_reference(
        ref,
        "batch",
        "cell_type",
        max_epochs=1,
        model_kwargs={"n_hidden": 12, "n_latent": 4},
        train_kwargs={"enable_progress_bar": False},
    )
    scanvi = sp.model.SCANVI.from_scvi_model(model, unlabeled_category="Unknown")
    assert scanvi.state.unmeasured == model.state.unmeasured == {"batch0": list(range(30, 40))}
    assert not train(scanvi).module.gene_mask.all()
