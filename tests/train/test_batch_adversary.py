import numpy as np
import pytest
import torch
from small_models import SCVI, cells, reference, split, train
from torch.nn.functional import cross_entropy

from scarches_plus.train import Anchors, BatchAdversary, Grouping, Setting, Step, store_anchors

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


def test_sum_and_mean_over_layers_and_levels(module):
    """The paper adds up all, the released code averages over levels and adds up layers."""
    both = setting(module, batch=(0, 1), donor=(0, 1, 2))
    codes = {"batch": CODES, "donor": (np.arange(len(CODES)) % 3).tolist()}

    def term_and_parts(**options):
        torch.manual_seed(0)
        term = BatchAdversary(objective="negative_cross_entropy", **options).prepare(both)
        hidden = hidden_of(CODES, 2.0)
        value = float(term(step(module, hidden, **codes)))
        answers = [torch.softmax(reader(hidden), 1).detach().numpy() for reader in term._readers]
        there = [
            np.eye(answer.shape[1])[codes[level.name]] for (_, level), answer in zip(term._places, answers, strict=True)
        ]
        # sum_i b_i log p_i, the mean over cells
        return value, np.array([(b * np.log(p)).sum(1).mean() for b, p in zip(there, answers, strict=True)]).reshape(
            2, 2
        )

    value, parts = term_and_parts(reduction="sum")
    assert value == pytest.approx(parts.sum(), rel=1e-5)
    value, parts = term_and_parts()
    assert value == pytest.approx(parts.mean(), rel=1e-5)
    assert 2 * value == pytest.approx(parts.mean(axis=1).sum(), rel=1e-5)  # rows: layers


def test_adam_takes_its_options(module):
    """The first step from a gradient g is lr * g / (|g| + eps), with the decay's share in g."""

    def first_step(**options):
        torch.manual_seed(0)
        term = BatchAdversary(layers_read=("encoder",), gradient_clip=None, **options).prepare(setting(module))
        before = [parameter.detach().clone() for parameter in term.parameters()]
        hidden = hidden_of(CODES, 1.0)
        loss = cross_entropy(term._readers[0](hidden), torch.tensor(CODES))
        gradients = torch.autograd.grad(loss, list(term.parameters()))
        term(step(module, hidden, batch=CODES))
        return before, gradients, list(term.parameters())

    for eps, decay in ((1e-8, 0.0), (0.01, 1e-5), (0.1, 0.5)):
        for before, gradient, after in zip(*first_step(eps=eps, weight_decay=decay), strict=True):
            pulled = gradient + decay * before
            torch.testing.assert_close(after, before - 0.01 * pulled / (pulled.abs() + eps), rtol=1e-3, atol=1e-5)


def anchors_of(hidden, codes):
    none = torch.zeros(len(codes), 1)
    return Anchors(none, none, none, dict.fromkeys(("encoder", "decoder"), hidden), {"batch": torch.tensor(codes)}, "s")


class TestAnchors:
    """A query of one batch is told from the reference's batches."""

    QUERY = [2] * 128

    def prepared(self, module, apart, **options):
        """The query's cells have code 2; the reference's are of codes 0 and 1."""
        torch.manual_seed(0)
        reference_cells = torch.randn(6000, N_HIDDEN)  # few would be learned by heart
        base = setting(module, batch=(2,))
        given = Setting(module, base.groupings, anchors=anchors_of(reference_cells, [0, 1, 1] * 2000))
        term = BatchAdversary(layers_read=("encoder",), **options).prepare(given)
        for seed in range(60):
            torch.manual_seed(seed)
            hidden = torch.randn(128, N_HIDDEN) + apart
            minibatch = step(module, hidden, batch=self.QUERY)
            value = term(minibatch)
        return term, hidden, float(value.detach()), float(minibatch.metrics["batch_adversary_cross_entropy"])

    def test_what_there_is_to_learn(self, module):
        term, hidden, value, learned = self.prepared(module, 4.0)
        answer = torch.softmax(term._readers[0](hidden), 1).detach()
        assert answer.shape[1] == 3
        assert float(answer[:, 2].min()) > 0.9
        # groups weigh alike: the query's is told, the reference's two are not told from each other
        assert learned == pytest.approx(2 / 3 * np.log(2), abs=0.08)
        term, hidden, value_alike, learned = self.prepared(module, 0.0)
        assert learned == pytest.approx(np.log(3), abs=0.12)
        assert value_alike < 0.1 * value

    def test_the_term_is_the_querys(self, module):
        term, hidden, *_ = self.prepared(module, 1.0)
        torch.manual_seed(0)
        value = float(term(step(module, hidden, batch=self.QUERY)).detach())
        answer = torch.softmax(term._readers[0](hidden), 1).detach().numpy()
        assert value == pytest.approx((1 / 3 * np.log(1 / 3 / answer)).sum(1).mean(), rel=1e-4)

    def test_the_query_is_pulled_to_the_reference(self, module):
        term, *_ = self.prepared(module, 2.0)
        hidden = (torch.randn(128, N_HIDDEN) + 2).requires_grad_()
        optimizer = torch.optim.Adam([hidden], lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            term(step(module, hidden, batch=self.QUERY)).backward()
            optimizer.step()
        assert float(hidden.detach().mean()) < 1.2

    def test_when_they_are_used(self, module):
        kept = anchors_of(torch.randn(30, N_HIDDEN), [0, 1, 2] * 10)
        several = Setting(module, setting(module, batch=(3, 4)).groupings, anchors=kept)
        assert BatchAdversary().prepare(several)._readers[0][-1].out_features == 2
        assert BatchAdversary(anchors=True).prepare(several)._readers[0][-1].out_features == 5
        shared = Setting(module, setting(module, batch=(1, 4)).groupings, anchors=kept)
        assert BatchAdversary(anchors=True).prepare(shared)._readers[0][-1].out_features == 4
        alone = Setting(module, setting(module, batch=(3,)).groupings, anchors=kept)
        assert BatchAdversary().prepare(alone)._readers[0][-1].out_features == 4
        with pytest.raises(ValueError, match="Train it on the reference"):
            BatchAdversary(anchors=False).prepare(alone)
        with pytest.raises(ValueError, match="store_anchors"):
            BatchAdversary(anchors=True).prepare(setting(module))

    def test_on_a_query(self):
        ref, query = split(cells(), "batch2")
        model = reference(SCVI, ref)
        with pytest.raises(ValueError, match=r"store_anchors\(reference_model\)"):
            train(SCVI.load_query_data(query.copy(), model), penalties=[BatchAdversary()])
        store_anchors(model, n_cells=60)
        mapped = SCVI.load_query_data(query, model, strategy="all")
        train(mapped, penalties=[BatchAdversary()])
        assert np.isfinite(mapped.history["batch_adversary_train"].to_numpy(dtype=float)).all()


def test_refusals(module):
    with pytest.raises(ValueError, match="batch"):
        BatchAdversary().prepare(setting(module, batch=(1,)))
    assert len(BatchAdversary().prepare(setting(module, batch=(1,), donor=(0, 1)))._places) == 2
    with pytest.raises(ValueError, match="batch"):
        BatchAdversary(groups=("batch", "donor")).prepare(setting(module, batch=(1,), donor=(0, 1)))
    with pytest.raises(KeyError, match="plate"):
        BatchAdversary(groups=("plate",)).prepare(setting(module))
    for options, message in (
        ({"layers_read": ("latent",)}, "layers_read"),
        ({"layers_read": ()}, "layers_read"),
        ({"objective": "minimax"}, "objective"),
        ({"reduction": "max"}, "reduction"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            BatchAdversary(**options)
