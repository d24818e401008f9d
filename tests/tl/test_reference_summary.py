"""A summary of a reference stands in its place."""

import numpy as np
import pandas as pd
import pytest

import scarches_plus as sp


@pytest.fixture(scope="module")
def cells():
    """Reference and query of other batches, with a latent space of the true types."""
    adata = sp.datasets.simulate(600, 150, 4, n_batches=4, batch_effect=0.3, rng=3)
    codes = pd.factorize(adata.obs["cell_type"], sort=True)[0]
    noise = np.random.default_rng(0).normal(size=(adata.n_obs, 4))
    adata.obsm["X_scarches"] = (4 * np.eye(4)[codes] + noise).astype(np.float32)
    of_query = (adata.obs["batch"] == "batch3").to_numpy()
    return adata[~of_query].copy(), adata[of_query].copy()


def test_its_parts_are_those_that_are_made_one_by_one(cells):
    reference, _ = cells
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    alone = {
        "profiles": sp.tl.label_profiles(reference, "cell_type", "batch"),
        "classifier": sp.tl.expression_classifier(
            reference, "cell_type", batch_key="batch", use_rep="X_scarches", min_cells=20
        ),
    }
    alone["map"] = sp.tl.reference_map(reference, labels_key="cell_type").without_cells()
    for part, one in alone.items():
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(getattr(summary, part), name), value, err_msg=f"{part}.{name}")


def test_every_verb_takes_it_in_the_place_of_its_parts(cells):
    reference, query = cells
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    verbs = {
        "detect_novel": lambda adata, one: sp.tl.detect_novel(adata, one.profiles if one is parts else one),
        "annotate": lambda adata, one: sp.tl.annotate(adata, one.classifier if one is parts else one),
        "transfer_labels": lambda adata, one: sp.tl.transfer_labels(
            adata, reference, "cell_type", classifier=one.classifier if one is parts else one
        ),
    }
    parts = sp.tl.ReferenceSummary(summary.profiles, summary.classifier)
    placed = [sp.tl.place(query, one, copy=True).obsm["X_map"] for one in (summary, summary.map)]
    np.testing.assert_array_equal(*placed)
    covered = [sp.tl.presence(one, query.copy()) for one in (summary, summary.map)]
    pd.testing.assert_frame_equal(*covered)
    for name, verb in verbs.items():
        whole, by_part = query.copy(), query.copy()
        verb(whole, summary)
        verb(by_part, parts)
        pd.testing.assert_frame_equal(whole.obs, by_part.obs, obj=name)
    tables = [
        sp.tl.explain_labels(query, reference, "cell_type", classifier=one) for one in (summary, summary.classifier)
    ]
    pd.testing.assert_frame_equal(*tables)
    by_key = query.copy()
    sp.tl.transfer_labels(by_key, reference, "cell_type", classifier={"cell_type": summary})
    assert by_key.obs["cell_type_pred"].equals(whole.obs["cell_type_pred"])


def test_labels_of_few_cells_and_other_words_are_left_out(cells):
    reference = cells[0].copy()
    names = reference.obs["cell_type"].astype(str)
    names.iloc[np.flatnonzero(names == "type0")[19:]] = "none of these"
    names.iloc[np.flatnonzero(names == "type1")[:5]] = "Mixed"
    reference.obs["cell_type"] = names
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", unlabelled=["none of these", "Mixed"])
    assert summary.profiles.labels == summary.classifier.labels == ("type1", "type2", "type3")
    assert summary.classifier.vote is None
    assert summary.map is None


@pytest.mark.parametrize(
    ("n_cells", "options", "kept"), [(20, {}, True), (20, {"min_cells": 21}, False), (12, {"min_cells": 12}, True)]
)
def test_labels_of_as_many_cells_as_asked_for_are_kept(cells, n_cells, options, kept):
    reference = cells[0].copy()
    names = reference.obs["cell_type"].astype(str)
    names.iloc[np.flatnonzero(names == "type0")[n_cells:]] = "nothing"
    reference.obs["cell_type"] = names
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", unknown_category="nothing", **options)
    labels = ("type0", "type1", "type2", "type3")[not kept :]
    assert summary.profiles.labels == summary.classifier.labels == labels


def test_counts_and_picture_are_those_that_are_named(cells):
    reference = cells[0].copy()
    reference.obsm["X_tsne"] = np.random.default_rng(1).normal(size=(reference.n_obs, 2)).astype(np.float32)
    plain = sp.tl.reference_summary(reference, "cell_type", "batch")
    reference.layers["counts"] = reference.X.copy()
    reference.X = reference.X * 0
    named = sp.tl.reference_summary(
        reference, "cell_type", "batch", layer="counts", use_rep="X_scarches", basis="X_tsne"
    )
    np.testing.assert_array_equal(named.profiles.logs, plain.profiles.logs)
    np.testing.assert_array_equal(named.classifier.coefficients, plain.classifier.coefficients)
    assert named.map.basis == "X_tsne"
    drawn = sp.tl.reference_map(reference, basis="X_tsne", labels_key="cell_type").without_cells()
    np.testing.assert_array_equal(named.map.points, drawn.points)


def test_refusals(cells):
    reference, query = cells
    with pytest.raises(KeyError, match="nowhere"):
        sp.tl.reference_summary(reference, "nowhere", "batch")
    with pytest.raises(ValueError, match="contrasts need two"):
        sp.tl.reference_summary(reference[reference.obs["cell_type"] == "type0"].copy(), "cell_type", "batch")
    empty = sp.tl.ReferenceSummary()
    with pytest.raises(ValueError, match=r"holds no profiles: where the reference's cells are.*reference_summary"):
        sp.tl.detect_novel(query.copy(), empty)
    for call in (
        lambda: sp.tl.annotate(query.copy(), empty),
        lambda: sp.tl.transfer_labels(query.copy(), reference, "cell_type", classifier=empty),
        lambda: sp.tl.explain_labels(query, reference, "cell_type", classifier=empty),
    ):
        with pytest.raises(ValueError, match="holds no classifier"):
            call()


def test_what_a_notebook_shows_of_it_names_labels_and_no_array(cells):
    summary = sp.tl.reference_summary(cells[0], "cell_type", "batch", use_rep="X_scarches")
    shown = repr(summary)
    assert len(shown) < 1500
    assert "type0" in shown
    assert "array(" not in shown
