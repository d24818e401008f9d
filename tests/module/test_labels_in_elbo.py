"""The two terms of scANVI's ELBO, for cells with and without a label, against the equation of Suppl. Note 2."""

import pytest
import scvi.module
import torch
from torch.distributions import Normal

from scarches_plus.module import SCANVAE

N_LABELS, N_LATENT, UNLABELLED = 3, 4, 3
SIZES = {"n_batch": 2, "n_labels": N_LABELS, "n_hidden": 8, "n_latent": N_LATENT}


def module(cls=SCANVAE, **kwargs):
    torch.manual_seed(0)
    return cls(12, **SIZES, **kwargs).eval()


def cells(labels):
    counts = torch.poisson(torch.full((len(labels), 12), 3.0), generator=torch.Generator().manual_seed(2))
    return {"X": counts, "batch": torch.arange(len(labels))[:, None] % 2, "labels": torch.tensor(labels)[:, None]}


def loss_of(network, tensors, **kwargs):
    torch.manual_seed(3)
    inference, generative, _ = (*network(tensors, compute_loss=False), None)
    torch.manual_seed(4)
    return inference, generative, network.loss(tensors, inference, generative, **kwargs)


def naive_elbo(network, tensors, inference, generative, n_classes=N_LABELS):
    """Equation (1), cell by cell and class by class: with a label c is that label, without it has q(c | z)."""
    z, n_cells = inference["z"], len(inference["z"])
    torch.manual_seed(4)  # the u that the loss draws, class by class
    classes = torch.arange(n_classes).repeat_interleave(n_cells)[:, None]
    q_u, u = network.encoder_z2_z1(z.repeat(n_classes, 1), classes)
    mean, variance = network.decoder_z1_z2(u, classes)
    output = network.classifier(z)
    shares = output.softmax(1) if network.classifier.logits else output
    values = []
    for n in range(n_cells):
        value = generative["px"].log_prob(tensors["X"])[n].sum()  # (i)
        label = int(tensors["labels"][n])
        for c in range(n_classes) if label == UNLABELLED else [label]:
            row = c * n_cells + n
            q_c = shares[n, c] if label == UNLABELLED else torch.tensor(1.0)
            p_z = Normal(mean[row], variance[row].sqrt()).log_prob(z[n]).sum()
            q_z = inference["qz"].log_prob(z)[n].sum()
            divergence = 0.5 * (q_u.scale[row] ** 2 + q_u.loc[row] ** 2 - 1 - 2 * q_u.scale[row].log()).sum()
            value = value + q_c * (p_z - q_z)  # (ii)
            value = value + q_c * (torch.tensor(1 / n_classes) / q_c).log()  # (iii)
            value = value - q_c * divergence  # (iv)
        values.append(value)
    return torch.stack(values)


@pytest.mark.parametrize("options", [{}, {"classifier_parameters": {"logits": False}}], ids=["logits", "probabilities"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 1], [UNLABELLED] * 4, [0, UNLABELLED, 2, UNLABELLED]], ids=str)
def test_it_is_the_paper_s(labels, options):
    network, tensors = module(labels_in_elbo=True, **options), cells(labels)
    with torch.no_grad():
        inference, generative, output = loss_of(network, tensors)
        expected = -naive_elbo(network, tensors, inference, generative)
    assert output.loss.item() == pytest.approx(expected.mean().item(), rel=1e-5)
    cell_by_cell = output.reconstruction_loss["reconstruction_loss"] + output.kl_local["kl_local"]
    torch.testing.assert_close(cell_by_cell, expected, rtol=1e-4, atol=1e-3)


def test_unlabelled_cells_are_those_of_scvi_tools():
    tensors = cells([UNLABELLED] * 6)
    ours, theirs = module(labels_in_elbo=True), module(scvi.module.SCANVAE)
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        losses = [loss_of(network, tensors)[2].loss for network in (ours, theirs)]
    torch.testing.assert_close(*losses)


def test_scvi_tools_and_the_default_do_not_look_at_labels():
    for network in (module(scvi.module.SCANVAE), module()):
        with torch.no_grad():
            losses = [loss_of(network, cells(labels))[2].loss for labels in ([0, 1, 2], [2, 0, 1], [UNLABELLED] * 3)]
        assert losses[0] == losses[1] == losses[2]
    network = module(labels_in_elbo=True)
    with torch.no_grad():
        right, wrong, none = (
            loss_of(network, cells(labels))[2].loss for labels in ([0, 1, 2], [2, 0, 1], [UNLABELLED] * 3)
        )
    assert len({float(right), float(wrong), float(none)}) == 3


def test_classes_without_labels_are_open_to_unlabelled_cells_only():
    torch.manual_seed(0)
    network = SCANVAE(12, **SIZES, n_unobserved=2, labels_in_elbo=True).eval()
    tensors = cells([0, UNLABELLED, 2, 1])
    with torch.no_grad():
        inference, generative, output = loss_of(network, tensors)
        expected = -naive_elbo(network, tensors, inference, generative, n_classes=N_LABELS + 2)
    assert output.loss.item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_the_classification_loss_is_added():
    network, tensors, labelled = module(labels_in_elbo=True), cells([0, UNLABELLED, 1]), cells([0, 1, 2])
    with torch.no_grad():
        alone = loss_of(network, tensors)[2].loss
        output = loss_of(network, tensors, labelled_tensors=labelled, classification_ratio=50.0)[2]
    assert output.classification_loss > 0
    torch.testing.assert_close(output.loss, alone + 50 * output.classification_loss)


def test_gradients_reach_the_classifier_from_unlabelled_cells_only():
    network = module(labels_in_elbo=True).train()
    for labels, reached in (([0, 1, 2, 0], False), ([0, 1, UNLABELLED, 0], True)):
        network.zero_grad()
        loss_of(network, cells(labels))[2].loss.backward()
        gradients = [parameter.grad for parameter in network.classifier.parameters()]
        assert any(gradient is not None and bool(gradient.abs().max() > 1e-8) for gradient in gradients) == reached
        assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)


def test_the_classifier_is_free_again_afterwards():
    network, z = module(labels_in_elbo=True), torch.randn(3, N_LATENT)
    before = network.classifier(z)
    loss_of(network, cells([0, 1, 2]))
    torch.testing.assert_close(network.classifier(z), before)


def test_it_is_yes_or_no():
    with pytest.raises(TypeError, match="labels_in_elbo"):
        module(labels_in_elbo="yes")
