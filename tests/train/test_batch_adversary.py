import numpy as np
import pytest
import torch
from small_models import SCVI, cells, reference
from torch.nn.functional import cross_entropy

from scarches_plus.train import BatchAdversary, Grouping, Setting, Step

N_HIDDEN = 12  # of the small models


@pytest.fixture(scope="module")
def module():
    return reference(SCVI, cells(60)).module


def setting(module, **present):
    groupings = {
        name: Grouping(name, 0, tuple(f"{name}{i}" for i in range(max(codes) + 1)), codes)
        for name, codes in (present or {"batch": (0, 1)}).items()
    }
    return Setting(module, groupings)


def step(module, hidden, epoch=0, **codes):
    tensors = {name: torch.as_tensor(values)[:, None] for name, values in codes.items()}
    return Step(tensors, {}, {}, dict.fromkeys(("encoder", "decoder"), hidden), module, epoch)


def hidden_of(codes, separation, seed=0):
    torch.manual_seed(seed)
    hidden = torch.randn(len(codes), N_HIDDEN)
    hidden[:, 0] += separation * torch.as_tensor(codes)
    return hidden


CODES = [0, 1] * 64


@pytest.mark.parametrize("separation", [0.0, 8.0])
def test_discriminators_learn_what_there_is_to_learn(module, separation):
    torch.manual_seed(0)
    term = BatchAdversary(layers_read=("encoder",)).prepare(setting(module))
    for seed in range(60):
        minibatch = step(module, hidden_of(CODES, separation, seed), batch=CODES)
        term(minibatch)
    learned = float(minibatch.metrics["batch_adversary_cross_entropy"])
    assert learned < 0.05 if separation else learned > 0.9 * np.log(2)


def test_the_network_is_pushed_to_where_batches_look_alike(module):
    torch.manual_seed(0)
    hidden = hidden_of(CODES, 4.0).requires_grad_()
    term = BatchAdversary(layers_read=("encoder",)).prepare(setting(module))
    optimizer = torch.optim.Adam([hidden], lr=0.05)
    before = hidden[1::2, 0].mean() - hidden[::2, 0].mean()
    for _ in range(200):
        optimizer.zero_grad()
        term(step(module, hidden, batch=CODES)).backward()
        optimizer.step()
    after = hidden[1::2, 0].mean() - hidden[::2, 0].mean()
    assert before > 3
    assert abs(after) < 0.7 * before


@pytest.mark.parametrize("objective", ["uniform", "negative_cross_entropy"])
def test_terms(module, objective):
    torch.manual_seed(0)
    term = BatchAdversary(objective=objective).prepare(setting(module))
    hidden = hidden_of(CODES, 2.0)
    value = float(term(step(module, hidden, batch=CODES)))
    logits = [reader(hidden).detach() for reader in term._readers]
    if objective == "uniform":
        answers = [torch.softmax(one, 1).numpy() for one in logits]
        expected = [(0.5 * np.log(0.5 / answer)).sum(1).mean() for answer in answers]
        assert value >= 0
    else:
        expected = [-float(cross_entropy(one, torch.tensor(CODES))) for one in logits]
    assert value == pytest.approx(np.mean(expected), rel=1e-5)


def test_one_discriminator_for_each_layer_and_level(module):
    both = setting(module, batch=(0, 1), donor=(0, 1, 2))
    codes = {"batch": CODES, "donor": (np.arange(len(CODES)) % 3).tolist()}
    term = BatchAdversary().prepare(both)
    assert [reader[-1].out_features for reader in term._readers] == [2, 3, 2, 3]
    assert torch.isfinite(term(step(module, hidden_of(CODES, 1.0), **codes)))
    assert len(BatchAdversary(groups=("donor",), layers_read="encoder").prepare(both)._readers) == 1


def test_groups_that_do_not_occur_are_no_answer(module):
    term = BatchAdversary(layers_read=("encoder",)).prepare(setting(module, batch=(1, 4)))
    assert term._readers[0][-1].out_features == 2
    torch.manual_seed(0)
    for seed in range(60):
        minibatch = step(module, hidden_of(CODES, 8.0, seed), batch=[1 if code == 0 else 4 for code in CODES])
        term(minibatch)
    assert float(minibatch.metrics["batch_adversary_cross_entropy"]) < 0.05


def test_the_learning_rate_decays_and_gradients_are_clipped(module):
    def moved(epoch, **options):
        torch.manual_seed(0)
        term = BatchAdversary(layers_read=("encoder",), **options).prepare(setting(module))
        before = [parameter.clone() for parameter in term.parameters()]
        term(step(module, hidden_of(CODES, 4.0), epoch, batch=CODES))
        assert all(parameter.grad is None for parameter in term.parameters())
        return max(float((a - b).detach().abs().max()) for a, b in zip(term.parameters(), before, strict=True))

    assert moved(0, lr=0.01) == pytest.approx(0.01, rel=1e-2)  # Adam's first step
    assert moved(3, lr=0.01, lr_decay=0.5) == pytest.approx(0.01 / 8, rel=1e-2)
    assert moved(0, lr=0.01, gradient_clip=1e-9) < 0.005
    assert moved(0, lr=0.01, gradient_clip=None) == pytest.approx(0.01, rel=1e-2)
    assert moved(0, lr=0.01, n_steps=3) == pytest.approx(0.03, rel=0.3)


def test_clipping_and_schedules_of_the_plan_go_on_working():
    model = reference(SCVI, cells(n_batches=2))
    plan = {"reduce_lr_on_plateau": True, "lr_patience": 0, "lr_factor": 0.5, "lr_threshold": 1e9}
    options = {"plan_kwargs": plan, "check_val_every_n_epoch": 1, "gradient_clip_val": 1e-6, "train_size": 0.8}
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    model.train(4, penalties=[BatchAdversary()], enable_progress_bar=False, **options)
    (rate,) = {group["lr"] for group in model.trainer.optimizers[0].param_groups}
    assert rate < 1e-3
    # Adam's eps is larger than clipped gradients, so that hardly anything moves
    moved = max(float((value - before[name]).abs().max()) for name, value in model.module.state_dict().items())
    assert moved < 1e-5


def test_released_logits(module):
    term = BatchAdversary(normalize_logits=True, layers_read=("decoder",)).prepare(setting(module, batch=(0, 1, 2)))
    logits = term._readers[0](hidden_of(CODES, 4.0))
    torch.testing.assert_close(logits.mean(1), torch.zeros(len(CODES)), atol=1e-5, rtol=0)


