"""The penalties that the contract suite looks at, and what each must be, written naively."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import SCANVI, TOTALVI, cells, split, with_proteins

from scarches_plus.train import EWC, MMD, BatchAdversary, CellReplay, LabelReplay, LatentReplay

GAMMAS = (0.1, 1.0, 3.0)
N_ANCHORS = 40
#: Penalties that keep the reference where it is: of no use where it cannot move.
HOLDING = (EWC, LatentReplay, CellReplay, LabelReplay)
REFERENCE, QUERY = split(cells(n_batches=4), "batch2", "batch3")


def naive_mmd(penalty, step, _):
    """Eq. 11, pair by pair and kernel by kernel."""
    place = {"z": step.inference["z"], "z_mean": step.inference["qz"].loc, **step.activations}[penalty.on]
    batch = step.tensors["batch"].flatten()
    groups = [place[batch == code] for code in torch.unique(batch)]

    def mean_kernel(a, b):
        return sum(torch.exp(-gamma * ((x - y) ** 2).sum()) for x in a for y in b for gamma in GAMMAS) / len(a) / len(b)

    pairs = [(a, b) for i, a in enumerate(groups) for b in groups[i + 1 :]]
    values = [mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b) for a, b in pairs]
    return sum(values) / len(values)


def naive_adversary(penalty, step, term):
    """Divergence of each discriminator's answer from an even one, cell by cell."""
    values = []
    for reader, layer in zip(term._readers, penalty.layers_read, strict=True):
        answers = torch.softmax(reader(step.activations[layer]), 1)
        n = answers.shape[1]
        values.append(
            sum(sum(1 / n * math.log(1 / n / p) for p in answer) for answer in answers.tolist()) / len(answers)
        )
    return torch.tensor(sum(values) / len(values))


def naive_ewc(_, step, term):
    """Half the weighted sum of squares, parameter by parameter."""
    total = 0.0
    for i, name in enumerate(term._names):
        parameter = dict(step.module.named_parameters())[name].detach().double().numpy()
        fisher, values = (getattr(term, f"{what}_{i}").double().numpy() for what in ("fisher", "values"))
        total += 0.5 * (fisher * (parameter - values) ** 2).sum()
    return torch.tensor(total)


def naive_latent_replay(_, step, term):
    """Divergence of the drawn cells' posteriors and expected expression, number by number."""
    rows = torch.arange(N_ANCHORS)
    posterior = term._rehearsal.encode(step.module, rows)["qz"]
    mean, scale = (values.double().numpy() for values in (term._mean, term._scale))
    now, spread = posterior.loc.double().numpy(), posterior.scale.double().numpy()
    total = (np.log(spread / scale) + (scale**2 + (mean - now) ** 2) / (2 * spread**2) - 0.5).sum()
    expected, decoded = (
        term._rehearsal.expression.double().numpy(),
        term._rehearsal.decode(step.module, rows).scale.double().numpy(),
    )
    sizes = term._rehearsal._library.exp().double().numpy()
    return torch.tensor((total + (sizes * expected * np.log(expected / decoded)).sum()) / N_ANCHORS)


def naive_label_replay(_, step, term):
    """Divergence of what the classifier says of the drawn cells, averaged over cells and then over their labels."""
    rows = torch.arange(N_ANCHORS)
    means = term._rehearsal.encode(step.module, rows)["qz"].loc
    now, before = step.module.classifier(means).softmax(1).double().numpy(), term._before.exp().double().numpy()
    values = np.array(
        [sum(p * math.log(p / q) for p, q in zip(*pair, strict=True)) for pair in zip(before, now, strict=True)]
    )
    labels = before.argmax(1)
    return torch.tensor(np.mean([values[labels == label].mean() for label in np.unique(labels)]))


def naive_cell_replay(_, step, __):
    """Negative ELBO of the reference cells, by scvi-tools."""
    counts = torch.as_tensor(REFERENCE.X.toarray())
    batch = torch.as_tensor((REFERENCE.obs["batch"] == "batch1").to_numpy().astype(int))[:, None]
    tensors = {"X": counts, "batch": batch, "labels": torch.zeros_like(batch)}
    if hasattr(step.module, "n_input_proteins"):
        tensors["proteins"] = torch.as_tensor(with_proteins(REFERENCE).mod["protein"].X)
    losses = [float(step.module(tensors)[2].loss) for _ in range(20)]
    return torch.tensor(sum(losses) / len(losses))


def adapted(penalty, cls):
    """The penalty for a model class: cells must be what it takes, and classifiers are scANVI's."""
    if isinstance(penalty, LabelReplay) and cls is not SCANVI:
        pytest.skip("no classifier")
    if isinstance(penalty, CellReplay) and cls is TOTALVI:
        return replace(penalty, cells=with_proteins(REFERENCE))
    return penalty


def parts_of(names, cls):
    """Parts of the network by the names that a model class gives them."""
    theirs = {
        "z_encoder.encoder.fc_layers": "encoder.encoder.fc_layers",
        "z_encoder.mean_encoder": "encoder.z_mean_encoder",
        "z_encoder.var_encoder": "encoder.z_var_encoder",
    }
    return {theirs.get(name, name) for name in names} if cls is TOTALVI else set(names)


#: Parts of the network that a gradient may reach, and must.
ENCODER = {"z_encoder.encoder.fc_layers", "z_encoder.mean_encoder", "z_encoder.var_encoder"}
MEAN = ENCODER - {"z_encoder.var_encoder"}
FIRST_BLOCK = {"decoder.px_decoder.fc_layers.Layer 0"}
CASES = {
    "MMD on z": (MMD(bandwidths=GAMMAS), naive_mmd, ENCODER),
    "MMD on means": (MMD(on="z_mean", bandwidths=GAMMAS), naive_mmd, MEAN),
    "MMD on the decoder": (MMD(on="decoder", bandwidths=GAMMAS), naive_mmd, ENCODER | FIRST_BLOCK),
    "MMD on the encoder": (MMD(on="encoder", bandwidths=GAMMAS), naive_mmd, {"z_encoder.encoder.fc_layers"}),
    "adversary": (BatchAdversary(n_hidden=8), naive_adversary, ENCODER | FIRST_BLOCK),
    "adversary on the encoder": (
        BatchAdversary(n_hidden=8, layers_read=("encoder",)), naive_adversary, {"z_encoder.encoder.fc_layers"},
    ),
    "EWC": (EWC(weight=10.0), naive_ewc, None),
    "latent replay": (
        LatentReplay(n_cells=1000), naive_latent_replay, ENCODER | {"decoder.px_decoder", "decoder.px_scale"},
    ),
    "label replay": (LabelReplay(n_cells=1000), naive_label_replay, MEAN | {"classifier"}),
    "cell replay": (CellReplay(cells=REFERENCE, n_cells=1000), naive_cell_replay, {""}),
}  # fmt: skip
