"""extend_reference: new labels are predicted, and everything else is what it was."""

import numpy as np
import pytest
import scvi
import torch
from small_models import NETWORK, SCANVI, SCVI, TOTALVI, setup, train, with_proteins

import scarches_plus as sp
from scarches_plus.datasets import simulate
from scarches_plus.model import load

ONLY_QUERY = ["type3", "type4"]
FAST = {"enable_progress_bar": False}
TREE = {"left": ["type0"], "right": {"far": ["type1", "type2"]}}


@pytest.fixture(scope="module")
def batches():
    """The reference (two batches without two of the types), and two queries."""
    adata = simulate(
        800, 200, 5, n_batches=4, mean_depth=2000.0, batch_effect=0.1, type_effect=3.0,
        missing_types={"batch0": ONLY_QUERY, "batch1": ONLY_QUERY}, rng=0,
    )  # fmt: skip
    of = adata.obs["batch"].astype(str).to_numpy()
    ref, first, second = (adata[np.isin(of, names)].copy() for names in (["batch0", "batch1"], ["batch2"], ["batch3"]))
    first.obs["named"] = first.obs["cell_type"].astype(str)
    first.obs.loc[first.obs_names[::3], "named"] = "Unknown"
    return ref, first, second


@pytest.fixture(scope="module")
def base(batches):
    cells = batches[0].copy()
    scvi.settings.seed = 0
    setup(SCVI, cells, labels_key="cell_type")
    return train(SCVI(cells, **{**NETWORK, "n_hidden": 32, "n_latent": 6}), 20, plan_kwargs={"lr": 1e-2})


def without_truth(query):
    hidden = query.copy()
    return hidden, hidden.obs.pop("cell_type").astype(str).to_numpy()


def scanvi(base, *, n_epochs=3, **options):
    scvi.settings.seed = 0
    return train(SCANVI.from_scvi_model(base, "Unknown", **options), n_epochs, plan_kwargs={"lr": 1e-2})


def mapped_onto(model, query, **options):
    """The model mapped, and the reference in its latent space."""
    scvi.settings.seed = 0
    return sp.tl.map_query(without_truth(query)[0], model, **{"max_epochs": 3, "train_kwargs": FAST, **options})


def embedded(ref, model):
    return sp.tl.embed(ref, model, copy=True)


@pytest.fixture(scope="module")
def mapped(base, batches):
    return mapped_onto(scanvi(base), batches[1])


@pytest.fixture(scope="module")
def extended(batches, mapped):
    ref, first, _ = batches
    return sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))


@pytest.fixture
def few_steps(limits):
    """Where the networks that are conditioned on labels need not be good."""
    limits(label_steps=5)


def probabilities(model, latent):
    """Probabilities of the classes that cells can be labelled with, for given latent means."""
    with torch.no_grad():
        output = model.module.classifier(torch.as_tensor(latent))
    shares = output.softmax(-1) if model.module.classifier.logits else output
    return shares.double().numpy()[:, : len(model.classes)]


def require_the_rest_is_kept(before, after, z):
    """Old labels keep their probabilities, divided by their sum; weights that do not depend on labels keep every
    bit.
    """
    old, new = probabilities(before, z), probabilities(after, z)
    kept = new[:, [after.classes.index(label) for label in before.classes]]
    np.testing.assert_allclose(kept / kept.sum(1, keepdims=True), old / old.sum(1, keepdims=True), atol=1e-6)
    assert after.state.space == before.state.space
    grown = ("classifier", "encoder_z2_z1", "decoder_z1_z2", "y_prior")
    weights = before.module.state_dict()
    for name, tensor in after.module.state_dict().items():
        if not name.startswith(grown):
            assert torch.equal(tensor, weights[name]), name


def test_new_labels_are_predicted_and_old_ones_keep_their_probabilities(batches, mapped):
    ref, first, _ = batches
    weights = {name: tensor.clone() for name, tensor in mapped.module.state_dict().items()}
    extended = sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in mapped.module.state_dict().items())
    assert mapped.classes == ("type0", "type1", "type2")
    assert extended.classes == ("type0", "type1", "type2", "type3", "type4")
    assert extended._label_mapping[-1] == extended.unlabeled_category_ == "Unknown"
    z = mapped.embed(ref)
    require_the_rest_is_kept(mapped, extended, z)
    np.testing.assert_array_equal(extended.embed(ref), z)
    truth = first.obs["cell_type"].astype(str).to_numpy()
    hidden = (first.obs["named"] == "Unknown").to_numpy()
    assert (extended.predict() == truth)[hidden].mean() > 0.9
    assert (extended.predict() == truth)[hidden & np.isin(truth, ONLY_QUERY)].mean() > 0.8
    record = extended.state.lineage[-1]
    assert record["reference_changed"] == np.mean(probabilities(extended, z).argmax(1) > 2) <= 0.01
    assert record["new_labels"] == {name: int((first.obs["named"] == name).sum()) for name in ONLY_QUERY}
    np.testing.assert_allclose(extended.module.y_prior, 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "network",
    [
        {"linear_classifier": True},
        {"classifier_parameters": {"logits": False}},
        {"n_unobserved": 2},
        {"use_batch_norm": "both", "use_layer_norm": "none"},
        {"deeply_inject_covariates": False},
        {"y_prior": torch.tensor([[0.5, 0.25, 0.25]])},
    ],
    ids=lambda network: next(iter(network)),
)
@pytest.mark.filterwarnings("ignore:n_unobserved=2 has nothing to learn from", "ignore:.*would be given a new label")
@pytest.mark.usefixtures("few_steps")
def test_other_networks_keep_what_they_know(batches, network):
    ref, first, _ = batches
    cells = ref.copy()
    scvi.settings.seed = 0
    setup(SCANVI, cells)
    before = mapped_onto(train(SCANVI(cells, **{**NETWORK, **network}), 1), first, max_epochs=1)
    extended = sp.tl.extend_reference(first, before, "named", reference=embedded(ref, before))
    require_the_rest_is_kept(before, extended, before.embed(ref))
    assert extended.module.n_labels == before.module.n_labels + 2
    is_new = first.obs["named"].isin(ONLY_QUERY).to_numpy()
    shares = extended.predict(soft=True)[ONLY_QUERY].sum(axis=1)
    assert shares[is_new].mean() > shares[~is_new].mean()
    prior, old = extended.module.y_prior[0], before.module.y_prior[0]
    np.testing.assert_allclose(prior.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(prior[:3] / prior[0], old[:3] / old[0], rtol=1e-6)


def test_old_entries_of_grown_weights_keep_every_bit(mapped, extended):
    weights = mapped.module.state_dict()
    for name, tensor in extended.module.state_dict().items():
        old = weights[name]
        if name != "y_prior" and tensor.shape != old.shape:
            rows, columns = old.shape[0], old.shape[-1]
            assert torch.equal(tensor[:rows] if tensor.dim() == 1 else tensor[:rows, :columns], old), name


@pytest.mark.filterwarnings("ignore:.*would be given a new label")  # some cells that are alike, called another type
def test_a_second_query_of_the_new_types_is_mapped_onto_it(batches, mapped, extended):
    ref, _, second = batches
    truth = second.obs["cell_type"].astype(str).to_numpy()
    after = mapped_onto(extended, second)
    found = after.predict()
    assert (found == truth)[np.isin(truth, ONLY_QUERY)].mean() > 0.75
    assert (found == truth).mean() > 0.85
    assert after.state.space == mapped.state.space
    np.testing.assert_array_equal(after.embed(ref), mapped.embed(ref))
    kinds = [set(one) & {"strategy", "new_labels"} for one in after.state.lineage]
    assert kinds == [{"strategy"}, {"new_labels"}, {"strategy"}]
    assert len(sp.pl.drift(after.state.lineage).get_yticks()) == 2
    named = second.copy()
    named.obs["named"] = np.where(np.arange(named.n_obs) < 30, "another", "Unknown")
    with pytest.warns(UserWarning, match=r"cells of \['type3', 'type4'\], which the model knows"):
        again = sp.tl.extend_reference(named, after, "named", reference=embedded(ref, after))
    assert again.classes == (*extended.classes, "another")
    require_the_rest_is_kept(after, again, after.embed(ref))


def test_saved_loaded_bundled_and_trained_on(batches, extended, tmp_path):
    z = extended.embed(batches[0])
    extended.save(tmp_path / "model")
    again = load(tmp_path / "model", extended.adata.copy())
    np.testing.assert_array_equal(again.predict(), extended.predict())
    sp.hub.save_bundle(extended, tmp_path / "bundle")
    bundled = sp.hub.load_bundle(tmp_path / "bundle")
    assert bundled.classes == extended.classes
    assert bundled.state == extended.state
    np.testing.assert_array_equal(probabilities(bundled, z), probabilities(extended, z))
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "| Queries mapped so far | 1 |" in card
    assert "| Labels named since | type3, type4 |" in card
    train(again, 1)  # the columns of the query's batch
    np.testing.assert_array_equal(again.embed(batches[0]), z)
    np.testing.assert_array_equal(probabilities(again, z), probabilities(extended, z))


def test_what_asks_for_labels_gets_the_new_ones(batches, base):
    """Of a model that is trained long enough for its old labels to tell cells: new labels are fitted as well as old
    ones are.
    """
    ref, first, _ = batches
    mapped = mapped_onto(scanvi(base, n_epochs=60), first)
    extended = sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))
    scvi.settings.seed = 0
    de = extended.label_differential_expression(
        "type3", "type4", mode="change", batchid1=["batch2"], batchid2=["batch2"]
    )
    decoded = np.log2(extended.get_normalized_expression())
    means = {name: decoded[(first.obs["named"] == name).to_numpy()].mean() for name in ONLY_QUERY}
    assert np.corrcoef(de.loc[first.var_names, "lfc_mean"], means["type3"] - means["type4"])[0, 1] > 0.9
    assert set(extended.adata.obs["cell_type"]) == {"Unknown", *ONLY_QUERY}
    assert len(extended._labeled_indices) == first.obs["named"].isin(ONLY_QUERY).sum()


def test_neighbours_vote_for_names_too(batches, base):
    """Without a classifier the extended reference is reference and named query, joined."""
    ref, first, second = batches
    (named, _), (query, truth) = without_truth(first), without_truth(second)
    once = sp.tl.map_query(named, base, max_epochs=3, train_kwargs=FAST)
    named.obs["cell_type"] = named.obs["named"]
    joint = sp.tl.joint_embedding(embedded(ref, base), named)
    sp.tl.map_query(query, once, max_epochs=3, train_kwargs=FAST)
    sp.tl.transfer_labels(query, joint, "cell_type", k=15)
    found = query.obs["cell_type_pred"].astype(str)
    assert (found == truth)[np.isin(truth, ONLY_QUERY)].mean() > 0.8
    assert (found == truth).mean() > 0.9


@pytest.mark.usefixtures("few_steps")
def test_only_some_cells_of_the_model_may_be_named(batches, mapped):
    ref, first, _ = batches
    some = first[first.obs["named"] == "type3"][::-1].copy()
    extended = sp.tl.extend_reference(some, mapped, "named", reference=embedded(ref, mapped))
    assert extended.state.lineage[-1]["new_labels"] == {"type3": some.n_obs}
    labelled = extended.adata.obs_names[extended.adata.obs["cell_type"] == "type3"]
    assert set(labelled) == set(some.obs_names)


def test_summaries_stand_in_for_the_reference_and_grow(base, batches):
    ref, first, second = batches
    model = scanvi(base)
    sp.train.summarize_reference(model, "cell_type")
    onto = mapped_onto(model, first)
    extended = sp.tl.extend_reference(first, onto, "named")
    before, after = onto.state.summaries["cell_type"], extended.state.summaries["cell_type"]
    assert after.labels == (*before.labels, *ONLY_QUERY)
    z = onto.embed(ref)
    np.testing.assert_array_equal(after.log_densities(z)[:, :3], before.log_densities(z))
    assert extended.state.lineage[-1]["reference_cells"] >= 300
    assert np.mean(probabilities(extended, z).argmax(1) > 2) <= 0.01
    query, truth = without_truth(second)
    after = sp.tl.map_query(query, extended, max_epochs=3, train_kwargs=FAST)
    sp.tl.transfer_labels(query, after, "cell_type")
    assert (query.obs["cell_type_pred"] == truth)[np.isin(truth, ONLY_QUERY)].mean() > 0.7


@pytest.mark.parametrize("remembered", ["cells", "summary"])
def test_a_second_round_keeps_the_types_of_the_first(base, batches, remembered):
    ref, first, second = batches
    model = scanvi(base)
    if remembered == "summary":
        sp.train.summarize_reference(model, "cell_type")
    once = mapped_onto(model, first)
    first = first.copy()
    first.obs["named"] = first.obs["cell_type"].astype(str).where(lambda label: label == "type3", "Unknown")
    extended = sp.tl.extend_reference(first, once, "named", reference=embedded(ref, once))
    without = second[second.obs["cell_type"] != "type3"].copy()
    after = mapped_onto(extended, without)
    without.obs["named"] = without.obs["cell_type"].astype(str).where(lambda label: label == "type4", "Unknown")
    joint = embedded(ref, after)
    if remembered == "cells":
        first.obs["cell_type"] = first.obs["named"]
        joint = sp.tl.joint_embedding(joint, embedded(first, after))
    twice = sp.tl.extend_reference(without, after, "named", reference=joint)
    is_first = (batches[1].obs["cell_type"] == "type3").to_numpy()
    kept, of_second = (
        np.asarray(twice.classes)[probabilities(twice, after.embed(cells)).argmax(1)]
        for cells in (batches[1][is_first], second[second.obs["cell_type"] == "type4"])
    )
    before = np.asarray(after.classes)[probabilities(after, after.embed(batches[1][is_first])).argmax(1)]
    summary = after.state.summaries.get("cell_type")
    components = 0 if summary is None else int((summary.of_label == summary.labels.index("type3")).sum())
    n_known = {"cells": int(first.obs["named"].eq("type3").sum()), "summary": 100 * components}[remembered]
    assert twice.state.lineage[-1]["reference_cells"] == ref.n_obs + n_known > ref.n_obs
    assert (before == "type3").mean() > 0.8
    assert (kept == "type3").mean() > (before == "type3").mean() - 0.05
    assert (of_second == "type4").mean() > 0.8


@pytest.mark.usefixtures("few_steps")
def test_cells_of_the_query_alone_will_do_with_a_warning(batches, mapped):
    with pytest.warns(UserWarning, match="types that the query lacks"):
        alone = sp.tl.extend_reference(batches[1], mapped, "named")
    assert "reference_changed" not in alone.state.lineage[-1]
    assert alone.classes[3:] == tuple(ONLY_QUERY)


@pytest.mark.usefixtures("few_steps")
def test_types_that_are_none_are_warned_of(batches, mapped):
    ref, first, _ = batches
    same = first.copy()
    same.obs["named"] = np.where(same.obs["cell_type"] == "type0", "again", "Unknown")
    some = embedded(ref[::5].copy(), mapped)
    with pytest.warns(UserWarning, match="of the reference cells would be given a new label"):
        extended = sp.tl.extend_reference(same, mapped, "named", reference=some)
    assert extended.classes[-1] == "again"


@pytest.mark.usefixtures("few_steps")
def test_importance_grows_with_the_model(base, batches):
    ref, first, second = batches
    model = scanvi(base)
    sp.train.estimate_importance(model, n_cells=64)
    mapped = mapped_onto(model, first, strategy="all", max_epochs=1)
    extended = sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))
    importance, old = extended.state.importance, mapped.state.importance
    for name, parameter in extended.module.named_parameters():
        if name in importance.fisher:
            assert importance.fisher[name].shape == importance.values[name].shape == parameter.shape
            torch.testing.assert_close(importance.fisher[name].sum(), old.fisher[name].sum())
    assert set(extended.surgery.entries) == set(mapped.surgery.entries)
    mapped_onto(extended, second, strategy="clcvae", max_epochs=1)


# --- Hierarchies ---


@pytest.fixture(scope="module")
def on_tree(base, batches):
    return mapped_onto(scanvi(base, hierarchy=sp.pp.label_tree(TREE)), batches[1])


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    "parents",
    [
        {"type3": "far", "type4": "right"},  # beside leaves, beside an inner label that was alone
        {"type3": "left", "type4": "left"},  # beside a leaf that was alone, and had no output
        {"type3": None, "type4": None},
    ],
    ids=["below", "beside a leaf that was alone", "at the top"],
)
def test_leaves_join_a_hierarchy(batches, on_tree, parents, tmp_path):
    ref, first, _ = batches
    extended = sp.tl.extend_reference(first, on_tree, "named", reference=embedded(ref, on_tree), parents=parents)
    tree = extended.hierarchy
    assert {label: tree.parents[label] for label in ONLY_QUERY} == parents
    assert set(tree.leaves) == set(extended.classes) == {f"type{i}" for i in range(5)}
    z = on_tree.embed(ref)
    before, after = probabilities(on_tree, z), probabilities(extended, z)
    inner = [node for node in on_tree.hierarchy.nodes if node not in on_tree.hierarchy.leaves]
    of_old, of_new = (
        dict(zip(model.hierarchy.nodes, model.hierarchy.node_probabilities(p).T, strict=True))
        for model, p in ((on_tree, before), (extended, after))
    )
    # an old label keeps its share among its old siblings
    for node in on_tree.hierarchy.nodes:
        siblings = [one for one, above in on_tree.hierarchy.parents.items() if above == on_tree.hierarchy.parents[node]]
        old, new = (of[node] / sum(of[one] for one in siblings) for of in (of_old, of_new))
        np.testing.assert_allclose(new, old, atol=1e-6)
    if None not in parents.values():
        for node in set(inner) - {"far"}:
            np.testing.assert_allclose(of_new[node], of_old[node], atol=1e-6)
    np.testing.assert_array_equal(extended.embed(ref), on_tree.embed(ref))
    truth = first.obs["cell_type"].astype(str).to_numpy()
    if None in parents.values():  # a new leaf is no likelier than the label that contains it
        assert (extended.predict() == truth).mean() > 0.85
    sp.hub.save_bundle(extended, tmp_path / "bundle")
    np.testing.assert_array_equal(probabilities(sp.hub.load_bundle(tmp_path / "bundle"), z), after)
    extended.save(tmp_path / "model")
    again = load(tmp_path / "model", extended.adata.copy())
    np.testing.assert_array_equal(again.predict(), extended.predict())


@pytest.mark.usefixtures("few_steps")
def test_a_level_that_decided_nothing_gets_a_network(base, batches):
    ref, first, _ = batches
    tree = sp.pp.label_tree({"left": ["type0"], "middle": ["type1"], "right": ["type2"]})
    model = mapped_onto(scanvi(base, hierarchy=tree), first, strategy="all", max_epochs=1)
    parents = {"type3": "left", "type4": "middle"}
    extended = sp.tl.extend_reference(first, model, "named", reference=embedded(ref, model), parents=parents)
    added = {name for name, _ in extended.module.named_parameters()} - {
        name for name, _ in model.module.named_parameters()
    }
    assert added == set(extended.surgery.entries) - set(model.surgery.entries)
    assert len(extended.module.classifier.levels) == len(model.module.classifier.levels) + 1
    z = model.embed(ref)
    before, after = probabilities(model, z), extended.hierarchy.node_probabilities(probabilities(extended, z))
    nodes = list(extended.hierarchy.nodes)
    np.testing.assert_allclose(after[:, [nodes.index(name) for name in ("left", "middle", "right")]], before, atol=1e-6)


def test_parents_have_to_fit(batches, mapped, on_tree):
    first = batches[1]
    with pytest.raises(ValueError, match="no hierarchy"):
        sp.tl.extend_reference(first, mapped, "named", parents={"type3": None})
    with pytest.raises(ValueError, match=r"contains \['type4'\]"):
        sp.tl.extend_reference(first, on_tree, "named", parents={"type3": "left"})
    with pytest.raises(ValueError, match="'type0' is no inner label"):
        sp.tl.extend_reference(first, on_tree, "named", parents={"type3": "type0", "type4": None})
    with pytest.raises(ValueError, match=r"\['other'\], which are no new labels"):
        sp.tl.extend_reference(first, on_tree, "named", parents={"type3": None, "type4": None, "other": None})


# --- What is refused ---


def test_refused(batches, mapped):
    ref, first, second = batches
    with pytest.raises(KeyError, match="'nothing' not found"):
        sp.tl.extend_reference(first, mapped, "nothing")
    second = second.copy()
    second.obs["named"] = "type3"
    with pytest.raises(ValueError, match="are not the model's"):
        sp.tl.extend_reference(second, mapped, "named")
    known = first.copy()
    known.obs["named"] = known.obs["named"].where(~known.obs["named"].isin(ONLY_QUERY), "Unknown")
    with pytest.raises(ValueError, match=r"knows all labels .*type0"):
        sp.tl.extend_reference(known, mapped, "named")
    known.obs["named"] = known.obs["named"].where(known.obs["named"] != "type0", "Mixed")
    with pytest.raises(ValueError, match=r"'type2'\]\. \['Mixed'\] are taken for no labels; unlabelled=\(\) lets"):
        sp.tl.extend_reference(known, mapped, "named")
    only = first[first.obs["named"].isin(ONLY_QUERY)].copy()
    with pytest.raises(ValueError, match="nothing tells"), pytest.warns(UserWarning, match="told from"):
        sp.tl.extend_reference(only, mapped, "named")
    stray = embedded(ref, mapped)
    stray.obs["cell_type"] = stray.obs["cell_type"].astype(str).replace("type0", "stray")
    with pytest.raises(ValueError, match=r"\['stray'\] of the reference"):
        sp.tl.extend_reference(first, mapped, "named", reference=stray)
    stray.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] = "another"
    with pytest.raises(ValueError, match="another latent space"):
        sp.tl.extend_reference(first, mapped, "named", reference=stray)
    with pytest.raises(KeyError, match="X_scarches"):
        sp.tl.extend_reference(first, mapped, "named", reference=ref)


@pytest.mark.usefixtures("few_steps")
def test_a_model_that_was_saved_without_cells_learns_from_those_given(batches, mapped, extended, tmp_path):
    ref, first, second = batches
    mapped.save(tmp_path / "mapped")
    extended = sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))
    again = sp.tl.extend_reference(first, load(tmp_path / "mapped"), "named", reference=embedded(ref, mapped))
    for name, tensor in extended.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], tensor), name
    assert set(again.adata.obs["cell_type"]) == {"Unknown", *ONLY_QUERY}
    stranger = second.copy()
    stranger.obs["named"] = "type3"
    with pytest.raises(ValueError, match=r"no batches \['batch3'\]"):
        sp.tl.extend_reference(stranger, load(tmp_path / "mapped"), "named")


def test_batches_are_those_of_the_column_that_the_cells_were_mapped_by(base, batches, tmp_path):
    ref, first, _ = batches
    query = without_truth(first)[0]
    query.obs["sample"] = query.obs.pop("batch")
    model = scanvi(base)
    mapped = sp.tl.map_query(query, model, batch_key="sample", max_epochs=3, train_kwargs=FAST)
    mapped.save(tmp_path / "mapped")
    before = query.obs.copy()
    extended = sp.tl.extend_reference(query, tmp_path / "mapped", "named", reference=embedded(ref, mapped))
    assert set(ONLY_QUERY) <= set(extended.spec.labels)
    assert query.obs.equals(before)


@pytest.fixture(scope="module")
def summarized(base, batches):
    cells = batches[0].copy()
    setup(SCVI, cells, labels_key="cell_type")
    model = SCVI(cells, **{**NETWORK, "n_hidden": 32, "n_latent": 6})
    model.module.load_state_dict(base.module.state_dict())
    model.is_trained_ = True
    model.module.eval()
    sp.train.summarize_reference(model, "cell_type")
    return mapped_onto(model, batches[1])


@pytest.fixture(scope="module")
def by_summary(batches, summarized):
    return sp.tl.extend_reference(batches[1], summarized, "named", reference=embedded(batches[0], summarized))


class TestBySummary:
    """Models without a classifier label by the summary of labels that they carry, which is extended."""

    def test_new_labels_are_found_without_cells(self, batches, summarized, by_summary):
        _, first, second = batches
        assert type(by_summary) is SCVI
        old, new = (model.state.summaries["cell_type"] for model in (summarized, by_summary))
        assert new.labels == (*old.labels, *ONLY_QUERY)
        named = first.obs["named"].astype(str)
        expected = sp.train.summarize_reference(
            summarized, "named", labels=named.where(named.isin(ONLY_QUERY), None).tolist(), keep=False
        )
        assert torch.equal(new.means, torch.cat([old.means, expected.means]))
        hidden, truth = without_truth(second)
        onward = mapped_onto(by_summary, second)
        sp.tl.embed(hidden, onward)
        for model, reached in ((onward, True), (mapped_onto(summarized, second), False)):
            sp.tl.transfer_labels(hidden, model, "cell_type", unknown_above=None)
            found = hidden.obs["cell_type_pred"].astype(str).to_numpy()
            of_new = np.isin(truth, ONLY_QUERY)
            assert ((found == truth)[of_new].mean() > 0.7) == reached
            assert (found == truth)[~of_new].mean() > 0.8

    def test_all_else_stays(self, batches, summarized, by_summary):
        ref = batches[0]
        assert summarized.state.summaries["cell_type"].labels == ("type0", "type1", "type2")
        for name, tensor in by_summary.module.state_dict().items():
            assert torch.equal(tensor, summarized.module.state_dict()[name]), name
        assert by_summary.state.space == summarized.state.space
        assert by_summary.history["elbo_train"].equals(summarized.history["elbo_train"])
        record = by_summary.state.lineage[-1]
        assert set(record["new_labels"]) == set(ONLY_QUERY)
        probabilities = by_summary.state.summaries["cell_type"].probabilities(summarized.embed(ref))
        assert record["reference_changed"] == (probabilities.argmax(1) > 2).mean() <= 0.01
        assert record["reference_cells"] == ref.n_obs
        assert len(summarized.state.lineage) + 1 == len(by_summary.state.lineage)

    def test_it_is_a_model_of_its_own(self, batches, summarized):
        """Training it, or letting go of the first, changes nothing of the other."""
        first = batches[1]
        mapped = sp.tl.map_query(without_truth(first)[0], summarized, shared_batches=["batch2"], strategy="all",
                                 max_epochs=1, train_kwargs=FAST)  # fmt: skip
        before = {name: tensor.clone() for name, tensor in mapped.module.state_dict().items()}
        extended = sp.tl.extend_reference(first, mapped, "named")
        extended.train(1, **FAST)
        assert all(torch.equal(tensor, before[name]) for name, tensor in mapped.module.state_dict().items())
        assert any(not torch.equal(tensor, before[name]) for name, tensor in extended.module.state_dict().items())
        del mapped
        assert extended.get_latent_representation().shape == (first.n_obs, 6)

    def test_saved_and_without_cells(self, batches, summarized, by_summary, tmp_path):
        first = batches[1]
        summarized.save(tmp_path / "mapped")
        again = sp.tl.extend_reference(first, tmp_path / "mapped", "named")
        assert again.adata.n_obs == first.n_obs
        expected, found = (model.state.summaries["cell_type"] for model in (by_summary, again))
        assert torch.equal(found.means, expected.means)
        again.save(tmp_path / "extended")
        assert sp.load(tmp_path / "extended").state.summaries["cell_type"].labels == expected.labels

    def test_labels_of_few_cells(self, batches, summarized):
        first = batches[1].copy()
        few = first.obs_names[(first.obs["cell_type"] == "type3").to_numpy()][5:]
        first.obs.loc[few, "named"] = "Unknown"
        with pytest.warns(UserWarning, match=r"labels \['type3'\] are left out"):
            once = sp.tl.extend_reference(first, summarized, "named")
        assert once.state.summaries["cell_type"].left_out == ("type3",)
        assert set(once.state.lineage[-1]["new_labels"]) == {"type4"}
        again = sp.tl.extend_reference(batches[1], once, "named")  # now there are enough
        summary = again.state.summaries["cell_type"]
        assert summary.left_out == ()
        assert summary.labels == ("type0", "type1", "type2", "type4", "type3")
        first.obs.loc[first.obs["named"] == "type4", "named"] = "Unknown"
        with pytest.raises(ValueError, match="no label in 'cell_type' has 20 cells"):
            sp.tl.extend_reference(first, summarized, "named")

    def test_which_summary(self, batches, summarized):
        first = batches[1].copy()
        summaries = summarized.state.summaries
        both = sp.tl.extend_reference(first, summarized, "named")
        both.remember(summaries={**summaries, "coarse": summaries["cell_type"]})
        with pytest.raises(ValueError, match=r"summaries of \['cell_type', 'coarse'\]"):
            sp.tl.extend_reference(first, both, "named")
        first.obs["coarse"] = first.obs["named"]
        state = sp.tl.extend_reference(first, both, "coarse").state
        assert state.summaries["coarse"].labels[-1] == "type4"
        assert "type4" not in state.summaries["cell_type"].labels

    def test_refusals(self, base, batches, summarized):
        ref, first, _ = batches
        with pytest.raises(TypeError, match=r"summarize_reference.*joint_embedding"):
            sp.tl.extend_reference(first, base, "named")
        with pytest.raises(ValueError, match="has no hierarchy"):
            sp.tl.extend_reference(first, summarized, "named", parents={"type3": None})
        known = first[first.obs["named"] == "type1"].copy()
        with pytest.raises(ValueError, match="knows all labels"):
            sp.tl.extend_reference(known, summarized, "named")
        elsewhere = sp.tl.embed(ref, base, copy=True)
        elsewhere.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] = "another"
        with pytest.raises(ValueError, match="another latent space"):
            sp.tl.extend_reference(first, summarized, "named", reference=elsewhere)

    @pytest.mark.filterwarnings("ignore:.*would be given a new label")  # after an epoch
    def test_totalvi_of_modalities(self, batches, tmp_path):
        ref, first = (with_proteins(part) for part in batches[:2])
        for part, cells in zip((ref, first), batches, strict=False):
            part.obs["cell_type"] = cells.obs["cell_type"].to_numpy()
        first.obs["named"] = batches[1].obs["named"].to_numpy()
        options = {"model_kwargs": {"n_hidden": 12, "n_latent": 4}, "train_kwargs": FAST}
        model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="totalvi", max_epochs=1, **options)
        mapped = sp.tl.map_query(first, model, max_epochs=1, train_kwargs=FAST)
        extended = sp.tl.extend_reference(first, mapped, "named", reference=ref)
        assert type(extended) is TOTALVI
        np.testing.assert_array_equal(extended.embed(first), first.obsm["X_scarches"])
        assert extended.state.summaries["cell_type"].labels[3:] == tuple(ONLY_QUERY)
        sp.tl.transfer_labels(first, extended, "cell_type")
        assert set(ONLY_QUERY) < set(first.obs["cell_type_pred"].cat.categories)
        mapped.save(tmp_path / "mapped")
        again = sp.tl.extend_reference(first, tmp_path / "mapped", "named")
        torch.testing.assert_close(
            again.state.summaries["cell_type"].means, extended.state.summaries["cell_type"].means
        )
        genes = first.mod["rna"].copy()
        genes.obs["named"] = first.obs["named"]
        with pytest.raises(ValueError, match=r"\['batch2'\] measured proteins"):
            sp.tl.extend_reference(genes, tmp_path / "mapped", "named")


@pytest.mark.usefixtures("few_steps")
def test_an_extended_model_is_the_same_when_it_is_opened_again(batches, mapped, tmp_path):
    """It would count as trained elsewhere, in a latent space of its own, if it did not know its new weights."""
    ref, first, _ = batches
    extended = sp.tl.extend_reference(first, mapped, "named", reference=embedded(ref, mapped))
    before = extended.state  # saving looks at the weights, too
    extended.save(tmp_path / "model")
    again = sp.load(tmp_path / "model")
    assert again.state.weights == before.weights
    assert again.state == before
    assert again.surgery == before.surgery
