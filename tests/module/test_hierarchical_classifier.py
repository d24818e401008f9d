"""Chained softmax heads against the formula of the paper, and scANVI's loss with labels at any level."""

import numpy as np
import pytest
import scvi.module
import torch

from scarches_plus.module import SCANVAE
from scarches_plus.pp import LabelTree

#: Two levels, with a group of one type and a type without a group.
PAIR = LabelTree({"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c", "d": None})
DEEP = LabelTree({"a": "all", "b": "all", "a1": "a", "a2": "a", "a11": "a1", "a12": "a1", "b1": "b", "all": None})


def classifier(tree, **kwargs):
    torch.manual_seed(0)
    options = {"n_hidden": 8, **kwargs}
    norms = {"use_batch_norm": "none", "use_layer_norm": "encoder" if options.pop("use_layer_norm", False) else "none"}
    return SCANVAE(5, n_latent=4, hierarchy=tree, classifier_parameters=options, **norms).classifier.eval()


def latent(n_cells=6):
    return torch.randn(n_cells, 4, generator=torch.Generator().manual_seed(1))


def test_two_levels_are_the_paper_s_formula():
    model, z = classifier(PAIR), latent()
    groups, types = (network(z).softmax(-1) for network in model.levels)  # f^g and f
    group = dict(zip(["a", "b", "c", "d"], groups.T, strict=True))
    f = dict(zip(["a1", "a2", "a3", "b1", "b2"], types.T, strict=True))
    in_a, in_b = f["a1"] + f["a2"] + f["a3"], f["b1"] + f["b2"]
    expected = {
        "a1": f["a1"] / in_a * group["a"], "a2": f["a2"] / in_a * group["a"], "a3": f["a3"] / in_a * group["a"],
        "b1": f["b1"] / in_b * group["b"], "b2": f["b2"] / in_b * group["b"], "c1": group["c"], "d": group["d"],
    }  # fmt: skip
    torch.testing.assert_close(model(z).exp(), torch.stack([expected[leaf] for leaf in PAIR.leaves], dim=-1))


@pytest.mark.parametrize("tree", [PAIR, DEEP])
@pytest.mark.parametrize("options", [{}, {"n_layers": 0, "n_hidden": 0}, {"logits": False}, {"use_layer_norm": True}])
def test_probabilities_sum_to_one_and_softmax_leaves_them(tree, options):
    log_probabilities = classifier(tree, **options)(latent())
    assert log_probabilities.shape == (6, len(tree.leaves))
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(6))
    torch.testing.assert_close(log_probabilities.softmax(-1), log_probabilities.exp())


def test_deep_trees_have_a_network_for_each_level_that_decides():
    model = classifier(DEEP)
    assert [network.classifier[-1].out_features for network in model.levels] == [2, 2, 2]
    weights = [network.classifier[0].fc_layers[0][0].weight for network in model.levels]
    assert not torch.equal(weights[0], weights[1])


def test_samples_of_the_latent_variable():
    model, z = classifier(DEEP), latent()
    torch.testing.assert_close(model(torch.stack([z, 2 * z]))[1], model(2 * z))


def test_far_logits_stay_finite():
    model = classifier(PAIR, n_layers=0, n_hidden=0)
    z = (1e4 * latent()).requires_grad_()
    out = model(z)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(z.grad).all()


def module(**kwargs):
    torch.manual_seed(0)
    return SCANVAE(12, n_batch=2, n_labels=99, n_hidden=8, n_latent=4, hierarchy=PAIR.to_plain(), **kwargs).eval()


def cells(labels):
    counts = torch.poisson(torch.full((len(labels), 12), 3.0), generator=torch.Generator().manual_seed(2))
    return {
        "X": counts,
        "batch": torch.arange(len(labels))[:, None] % 2,
        "labels": torch.tensor(labels)[:, None],
    }


def labelled_by(model, *labels):
    """Let codes mean labels of the hierarchy; the next one is no label."""
    model.set_leaves(torch.from_numpy(PAIR.covers(labels)))
    return model


def test_labels_are_the_leaves():
    assert module().n_labels == len(PAIR.leaves)
    assert module().unlabeled_code == len(PAIR.leaves)
    with pytest.raises(ValueError, match=r"at least two leaves; it has \['a'\]"):
        SCANVAE(12, hierarchy={"a": "b"})


def test_a_flat_hierarchy_is_scvi_tools():
    leaves = ["x", "y", "z"]
    torch.manual_seed(0)
    ours = SCANVAE(12, n_batch=2, n_hidden=8, n_latent=4, hierarchy=dict.fromkeys(leaves)).eval()
    theirs = scvi.module.SCANVAE(12, n_batch=2, n_labels=3, n_hidden=8, n_latent=4).eval()
    weights = {name.replace("classifier.levels.0.", "classifier."): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict(weights)
    unlabelled, labelled = cells([3] * 5), cells([0, 2, 1, 1])
    losses = []
    for one in (ours, theirs):
        torch.manual_seed(3)
        *_, out = one(
            unlabelled, loss_kwargs={"labelled_tensors": labelled, "classification_ratio": 7.0, "kl_weight": 0.3}
        )
        losses.append(out)
    torch.testing.assert_close(losses[0].loss, losses[1].loss)
    torch.testing.assert_close(losses[0].classification_loss, losses[1].classification_loss)
    torch.testing.assert_close(losses[0].true_labels, losses[1].true_labels.long())


def test_a_coarse_label_has_the_probability_of_its_leaves():
    model = labelled_by(module(), "b2", "a", "d", "c")
    loss, true_labels, logits = model.classification_loss(cells([0, 1, 1, 2, 3]))
    p = logits.softmax(-1).detach().double().numpy()
    leaf = {name: i for i, name in enumerate(PAIR.leaves)}
    in_a = [leaf["a1"], leaf["a2"], leaf["a3"]]
    of_labels = [p[0, leaf["b2"]], p[1, in_a].sum(), p[2, in_a].sum(), p[3, leaf["d"]], p[4, leaf["c1"]]]
    assert loss.item() == pytest.approx(-np.log(of_labels).mean(), rel=1e-5)
    likeliest = [leaf["b2"], *(in_a[p[row, in_a].argmax()] for row in (1, 2)), leaf["d"], leaf["c1"]]
    assert true_labels.flatten().tolist() == likeliest


def test_the_elbo_of_labelled_cells_is_over_the_leaves_of_their_label():
    model = labelled_by(module(), "a", "b2")
    tensors = cells([0, 1, 2, 0])  # inner label, leaf, no label, inner label
    torch.manual_seed(4)
    inference, generative, out = model(tensors)

    q = model.classifier(inference["z"]).exp().detach()
    allowed = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0], [1] * 7, [1, 1, 1, 0, 0, 0, 0]])
    restricted = q * allowed / (q * allowed).sum(-1, keepdim=True)

    class Known(torch.nn.Module):
        logits = False

        def forward(self, _):
            return restricted

    model.classifier = Known()
    torch.manual_seed(4)
    inference, generative = model(tensors, compute_loss=False)
    expected = scvi.module.SCANVAE.loss(model, tensors, inference, generative)
    torch.testing.assert_close(out.loss, expected.loss)
    torch.testing.assert_close(out.kl_local["kl_local"], expected.kl_local["kl_local"])


def test_gradients_are_finite_with_labels_at_all_levels():
    model = labelled_by(module(), "a", "b2", "b")
    *_, out = model(
        cells([0, 1, 2, 3]), loss_kwargs={"labelled_tensors": cells([2, 1, 0]), "classification_ratio": 50.0}
    )
    out.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    assert all(gradients[f"classifier.levels.{i}.classifier.1.weight"].abs().sum() > 0 for i in (0, 1))
