"""Cells without a label: one list of words, the same for every function, and a way past it."""

import logging
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scvi
from anndata import AnnData
from small_models import cells, split

import scarches_plus as sp

#: As the guide has them; "(empty)" is no text at all.
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "labels.md"
WORDS = [
    word.replace("(empty)", "").strip()
    for word in re.search(r"blanks around them:\n\n((?:> .*\n)+)", GUIDE.read_text())[1].replace("> ", "").split(",")
]
FAST = {"max_epochs": 1, "model_kwargs": {"n_hidden": 8, "n_latent": 3}, "train_kwargs": {"enable_progress_bar": False}}


@pytest.fixture
def labelled():
    """Three types in two batches, well apart, and cells of the third type that are called what the test says."""
    rng = np.random.default_rng(0)
    types = np.arange(120) % 3
    z = np.array([[0, 0], [8, 0], [0, 8]])[types] + rng.normal(size=(120, 2))
    obs = pd.DataFrame({"type": np.array(["T", "B", "odd"])[types], "batch": np.repeat(["a", "b"], 60)})
    obs.index = obs.index.astype(str)

    def called(word):
        adata = AnnData(np.zeros((120, 1), dtype=np.float32), obs.copy(), obsm={"X_scarches": z})
        adata.obs["type"] = adata.obs["type"].astype(object).replace("odd", word)
        return adata

    return called


def counted(adata, **options):
    """The labels that each function counts."""
    query = adata[::2].copy()
    z, batches, types = adata.obsm["X_scarches"], adata.obs["batch"], adata.obs["type"].to_numpy()
    sp.tl.transfer_labels(query, adata, "type", k=5, probabilities=True, **options)
    explained = sp.tl.explain_labels(query, adata, "type", k=5, **options)
    scored = sp.metrics.evaluate(
        adata, "X_scarches", "batch", labels_key="type", scores=["label purity", "KNI", "mapping"],
        reference_mask=(batches == "a").to_numpy(), progress=False, **options,
    )  # fmt: skip
    query.obs["type_pred"] = query.obs["type"].fillna("nothing")
    query.obs["type_uncertainty"] = 0.1
    rows = sp.pl.confusion_matrix(query, "type", **options).get_yticklabels()
    boxes = sp.pl.uncertainty_by_type(query, "type", **options).get_yticklabels()
    plt.close("all")
    return {
        "kni": set(sp.metrics.kni(z, batches, types, k=10, **options).confusion.index),
        "rbni": set(sp.metrics.rbni(z, batches, types, **options).confusion.index),
        "transfer_labels": set(query.uns["scarches_plus"]["probability_labels"]["type"]),
        "explain_labels": set(explained["label"].dropna()),
        "evaluate": set(scored.per_label["label"]),
        "label_transfer_report": set(
            sp.metrics.label_transfer_report(types, np.full(120, "T"), **options).per_type.index
        ),
        "hierarchical_label_scores": {"T", "B"}
        | ({"odd"} if sp.metrics.hierarchical_label_scores(
            types, np.full(120, "T"), dict.fromkeys({"T", "B", str(types[2]) or "-"}), **options
        ).n_cells == 120 else set()),
        "differential_abundance": set(sp.tl.differential_abundance(adata, "type", "batch", **options).index),
        "label_tree": set(sp.pp.label_tree(adata, ["type"], **options).nodes),
        "confusion_matrix": {text.get_text().rpartition(" (")[0] for text in rows},
        "uncertainty_by_type": {text.get_text().rpartition(" (")[0] for text in boxes},
    }  # fmt: skip


@pytest.mark.parametrize("word", [*WORDS, "Mixed", "UNDETERMINED", " Unassigned ", "NaN", "<NA>", None, np.nan])
def test_words_of_the_guide_are_no_label(labelled, word):
    assert set(map(frozenset, counted(labelled(word)).values())) == {frozenset({"T", "B"})}


@pytest.mark.parametrize(("word", "unlabelled"), [("Mixed", ()), ("Mixed", ["Unknown", "mixed"]), ("nan", ["NA"])])
def test_a_type_that_is_called_so_can_be_reached(labelled, word, unlabelled):
    found = counted(labelled(word), unlabelled=unlabelled)
    assert found.pop("hierarchical_label_scores") == {"T", "B", "odd"}
    assert set(map(frozenset, found.values())) == {frozenset({"T", "B", word})}


def test_the_report_scores_what_it_counts(labelled):
    adata = labelled("Mixed")
    report = sp.metrics.evaluate(
        adata, "X_scarches", "batch", labels_key="type", scores=["KNI"], unlabelled=(), progress=False
    )
    z, batches, types = adata.obsm["X_scarches"], adata.obs["batch"], adata.obs["type"]
    every = sp.metrics.kni(z, batches, types, unlabelled=())
    assert report.scores["value"].tolist() == [every.score]
    assert every.score != sp.metrics.kni(z, batches, types).score


def test_other_words_are_named(labelled):
    found = counted(labelled("doublet"), unlabelled=["doublet"])
    assert set(map(frozenset, found.values())) == {frozenset({"T", "B"})}
    assert "doublet" in counted(labelled("doublet"))["kni"]


def test_what_is_left_out_is_logged_and_what_was_always_is_not(labelled, caplog):
    caplog.set_level(logging.WARNING, "scarches_plus")
    sp.tl.transfer_labels(labelled("T")[:9].copy(), labelled("Mixed"), "type", k=5)
    assert "40 of 120 cells count as cells without a label: ['Mixed'] are no labels in obs['type']" in caplog.text
    caplog.clear()
    for word in ("Unknown", None):
        sp.tl.transfer_labels(labelled("T")[:9].copy(), labelled(word), "type", k=5)
    assert "without a label" not in caplog.text


@pytest.fixture
def mixed():
    ref, query = split(cells(), "batch2")
    for adata in (ref, query):
        adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).replace({"type0": "Mixed", "type1": "nan"})
        adata.obs.loc[adata.obs_names[::2], "cell_type"] = "alpha"
    return ref, query


def test_training_says_what_it_takes_for_no_label(mixed, caplog):
    ref, _ = mixed
    caplog.set_level(logging.WARNING, "scarches_plus")
    scvi.settings.seed = 0
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", **FAST)
    assert set(model.spec.labels) == {"alpha", "type2"}
    n_cells = int(ref.obs["cell_type"].isin(["Mixed", "nan"]).sum())
    assert f"{n_cells} of {ref.n_obs} cells count as cells without a label" in caplog.text
    assert (model.adata.obs["cell_type"] == "Unknown").sum() == n_cells
    assert "Mixed" in set(ref.obs["cell_type"])  # the user's column stays

    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", unlabelled=["nan"], **FAST)
    assert set(model.spec.labels) == {"alpha", "type2", "Mixed"}
    tree = {"Mixed": None, "alpha": None, "type2": None}
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", hierarchy=tree, **FAST)
    assert set(model.classes) == {"alpha", "type2", "Mixed"}


def test_a_model_learns_such_a_label_when_told_and_keeps_it(mixed):
    ref, query = mixed
    scvi.settings.seed = 0
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", **FAST)
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    with pytest.raises(ValueError, match="the model knows all labels"):
        sp.tl.extend_reference(query, mapped, "cell_type", reference=ref)
    known = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", unlabelled=["nan"], **FAST)
    assert "Mixed" in known.spec.labels
    ref.obs["cell_type"] = ref.obs["cell_type"].replace("Mixed", "type2")
    sp.tl.embed(ref, mapped)
    extended = sp.tl.extend_reference(query, mapped, "cell_type", reference=ref, unlabelled=["nan"])
    assert set(extended.spec.labels) == {"alpha", "type2", "Mixed"}


def test_profiles_and_novelty(mixed):
    ref, query = mixed
    found = sp.tl.label_profiles(ref, "cell_type", "batch", min_cells=5)
    assert found.labels == ("alpha", "type2")
    assert "Mixed" in sp.tl.label_profiles(ref, "cell_type", "batch", min_cells=5, unlabelled=["nan"]).labels
    with pytest.raises(ValueError, match=r"leave out .* unlabelled"):
        sp.tl.detect_novel(query, found, unlabelled=["nan"])


def test_classifiers_of_expression(mixed):
    ref, query = mixed
    assert sp.tl.expression_classifier(ref, "cell_type").labels == ("alpha", "type2")
    found = sp.tl.expression_classifier(ref, "cell_type", unlabelled=["nan"])
    assert found.labels == ("Mixed", "alpha", "type2")
    with pytest.raises(ValueError, match=r"leave out .*unlabelled"):
        sp.tl.annotate(query, found, unlabelled=["nan"])


def test_a_model_in_place_of_cells_takes_no_words(mixed):
    ref, query = mixed
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", **FAST)
    query.obsm["X_scarches"] = np.zeros((query.n_obs, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="leave it out"):
        sp.tl.transfer_labels(query, model, "cell_type", unlabelled=["Mixed"])
