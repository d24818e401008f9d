"""The fast path against lightning's loop."""

import logging

import numpy as np
import pytest
import scvi
import torch
from scipy import sparse
from small_models import SCANVI, SCVI, cells, reference, split, train

from scarches_plus.model import load
from scarches_plus.model._registration._groupings import setting_of
from scarches_plus.model._speed._condensed import Condensed
from scarches_plus.model._speed._fast_training import _Cells, _draws, clipped, minibatch_moments, train_fast
from scarches_plus.model._surgery._strategies import as_tensors
from scarches_plus.train import MMD, AdamStrides, Penalty, Step, store_anchors
from scarches_plus.train._penalties._shared._activations import caught

PLAN = {"module_mode": "eval", "freeze_norms": True, "weight_decay": 0.0}
PENALTIES = (MMD(weight=20.0, anchors=True), MMD(on="decoder", weight=20.0, anchors=True, warmup_epochs=3))


class Counts(Penalty):
    """Reads more than the latent space."""

    name = "counts"

    def value(self, step):
        return (step.inference["z"].sum(1) * step.tensors["X"].sum(1)).mean() * 1e-9


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=["SCVI", "SCANVI"])
def pair(request):
    ref, query = split(cells(300), "batch2")
    return reference(request.param, ref), query


def query_model(pair, seed=0, **kwargs):
    model, query = pair
    scvi.settings.seed = seed
    return type(model).load_query_data(query, model, **kwargs)


def load_cells(model, rows):
    with torch.random.fork_rng():  # a data loader draws a seed
        return next(iter(model._make_data_loader(adata=model.adata, indices=list(rows), batch_size=len(rows))))


def free_entries(model):
    named = dict(model.module.named_parameters())
    return {
        name: named[name].detach().index_select(*where) for name, where in as_tensors(model.surgery.entries).items()
    }


@pytest.mark.parametrize(
    ("cls", "use_labels"), [(SCVI, False), (SCANVI, False), (SCANVI, True)], ids=["SCVI", "SCANVI", "SCANVI, labels"]
)
@pytest.mark.parametrize("hard", [False, True], ids=["ZINB", "NB, normalised input, missing genes, two batches"])
@pytest.mark.parametrize(
    ("penalties", "clip"), [((), None), (PENALTIES, None), ((), 5.0)], ids=["", "penalties", "gradients clipped"]
)
def test_taken_step_by_step_it_is_adam_on_the_module(cls, use_labels, hard, penalties, clip):
    ref, query = split(cells(400, n_batches=4), "batch2", "batch3") if hard else split(cells(300), "batch2")
    query = query[:, query.var_names[6:]].copy() if hard else query
    pair = reference(cls, ref, gene_likelihood="nb" if hard else "zinb", normalize_encoder_input=hard), query
    store_anchors(pair[0], n_cells=40)
    epochs, batch_size = 6, 32
    ours, theirs = (query_model(pair, use_query_labels=use_labels) for _ in range(2))
    entries = as_tensors(ours.surgery.entries)
    setting = setting_of(theirs, entries)
    torch.manual_seed(5)
    train_fast(
        ours, {**PLAN, "entries": entries, "penalties": penalties, "setting": setting}, max_epochs=epochs, batch_size=batch_size, longest_stride=1,
        enable_progress_bar=False, gradient_clip_val=clip,
    )  # fmt: skip

    steps_per_epoch = int(np.ceil(0.9 * theirs.adata.n_obs / batch_size))
    sizes = [batch_size] * epochs * steps_per_epoch
    labelled = np.asarray(getattr(theirs, "_labeled_indices", ()), dtype=int)
    named = dict(theirs.module.named_parameters())
    adam = torch.optim.Adam([named[name] for name in entries], lr=1e-3, eps=0.01)
    terms = [(penalty, penalty.prepare(setting)) for penalty in penalties]
    norms = []
    torch.manual_seed(5)
    for step, (rows, labelled_rows) in enumerate(
        zip(_draws(np.arange(theirs.adata.n_obs), sizes), _draws(labelled, sizes), strict=True)
    ):
        kwargs = {"kl_weight": (step // steps_per_epoch) / 400}
        if len(labelled_rows):
            kwargs |= {"labelled_tensors": load_cells(theirs, labelled_rows), "classification_ratio": 50}
        adam.zero_grad()
        part = load_cells(theirs, rows)
        with caught(theirs.module, ["decoder"]) as activations:
            inference, generative, losses = theirs.module(part, loss_kwargs=kwargs)
        epoch = step // steps_per_epoch
        seen = Step(part, inference, generative, activations, theirs.module, epoch)
        loss = losses.loss + sum(penalty.weight_at(epoch) * term(seen) for penalty, term in terms)
        loss.backward()
        for name, (dim, index) in entries.items():
            kept = torch.zeros_like(named[name].grad).index_copy(dim, index, named[name].grad.index_select(dim, index))
            named[name].grad = kept
        if clip is not None:
            norms.append(float(torch.nn.utils.clip_grad_norm_([named[name] for name in entries], clip)))
        adam.step()

    assert clip is None or max(norms) > clip
    start = free_entries(query_model(pair, use_query_labels=use_labels))
    for name, value in free_entries(theirs).items():
        assert (value - start[name]).abs().max() > 0.005
        torch.testing.assert_close(free_entries(ours)[name], value, rtol=0, atol=2e-4)


def test_a_clipped_gradient_has_the_norm_it_is_clipped_to():
    """The expected squared norm is the sum of squared means and variances; what is short enough stays."""
    generator = torch.Generator().manual_seed(0)
    means, variances = ([torch.rand(size, generator=generator) for size in ((4, 3), (5,))] for _ in range(2))

    def square(moments):
        return float(sum((mean.square() + variance).sum() for mean, variance in zip(*moments, strict=True)))

    limit = 0.3 * square((means, variances)) ** 0.5
    scaled = clipped(means, variances, limit)
    assert square(scaled) == pytest.approx(limit**2, rel=1e-5)
    ratio = scaled[0][0] / means[0]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.3))
    for no_limit in (None, 0.0, 100.0):
        for one, other in zip(clipped(means, variances, no_limit), (means, variances), strict=True):
            assert all(map(torch.equal, one, other))


def test_moments_are_those_of_minibatches(pair):
    """Mean and spread over minibatches, from the gradients of single cells."""
    model = query_model(pair)
    module, entries = model.module.eval(), as_tensors(model.surgery.entries)
    condensed = Condensed(module, entries)
    layers = list(condensed.layers.values())
    part = load_cells(model, range(60))
    x = part["X"]

    def loss(rows):
        cells_ = {key: value[rows] for key, value in part.items() if value is not None}
        with pytest.MonkeyPatch.context() as patch:  # the noise of a cell must not depend on the others
            patch.setattr(torch.distributions.Normal, "rsample", lambda self: self.loc + 0.7 * self.scale)
            return condensed.loss(cells_, condensed.project(x[rows]), condensed.constant(cells_))[1].loss

    single = []
    for row in range(60):
        gradients, variances = minibatch_moments(loss([row]), layers, 1)
        assert all((variance == 0).all() for variance in variances)
        single.append(gradients)
    gradients, variances = minibatch_moments(loss(list(range(60))), layers, 8)
    for position in range(len(layers)):
        stack = torch.stack([gradient[position] for gradient in single])
        torch.testing.assert_close(gradients[position], stack.mean(0), rtol=1e-3, atol=1e-4)
        # unbiased for the mean square of a minibatch of 8, given that of the sample of 60
        spread = stack.var(0, correction=0)
        torch.testing.assert_close(variances[position], spread * (1 / 8 - 1 / 60), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("lr", "batch_size", "penalties"),
    [
        (1e-3, 32, ()),
        (1e-3, 32, (MMD(weight=30.0, on="z_mean"),)),
        pytest.param(1e-3, 4, (), marks=pytest.mark.slow),
        pytest.param(1e-2, 32, (), marks=pytest.mark.slow),
    ],
)
def test_ends_where_the_loop_ends(pair, lr, batch_size, penalties):
    """As near to lightning's loop as that is to itself from another seed."""
    model, query = pair
    store_anchors(model, n_cells=100)
    start = query_model(pair)
    start.is_trained_ = True
    ends = {}
    for name, engine, seed in (("loop", "scvi", 1), ("loop again", "scvi", 2), ("fast", "fast", 3)):
        model = query_model(pair)
        scvi.settings.seed = seed
        plan = {"weight_decay": 0.0, "lr": lr}
        train(model, 60, engine=engine, batch_size=batch_size, penalties=penalties, plan_kwargs=plan)
        ends[name] = model.embed(query)
    moved = np.linalg.norm(ends["loop"] - start.embed(query))
    floor = np.linalg.norm(ends["loop"] - ends["loop again"])
    assert moved > 3 * floor
    assert np.linalg.norm(ends["fast"] - ends["loop"]) < 1.5 * floor + 0.02 * moved


def test_same_seed_same_bits(pair):
    weights = []
    for _ in range(2):
        model = query_model(pair)
        scvi.settings.seed = 7
        train(model, 5, engine="fast")
        weights.append(model.module.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_keeps_history_and_continues(pair):
    model = query_model(pair)
    fast = train(model, 5, engine="fast", plan_kwargs={"weight_decay": 0.0})
    loop = train(query_model(pair), 5, engine="scvi", plan_kwargs={"weight_decay": 0.0})
    shared = {"elbo_train", "reconstruction_loss_train", "kl_local_train", "kl_global_train", "train_loss"}
    assert shared <= set(fast.history) & set(loop.history)
    for name in shared - {"kl_global_train"}:
        assert list(fast.history[name].index) == list(range(5))
        np.testing.assert_allclose(
            fast.history[name].to_numpy(dtype=float), loop.history[name].to_numpy(dtype=float), rtol=0.02, atol=0.2
        )
    train(model, 3, engine="fast")
    assert list(model.history["elbo_train"].index) == list(range(8))
    assert model.is_trained_
    assert len(model.train_indices) == model.adata.n_obs
    assert "status: trained" in str(model).lower() or model.is_trained


def test_long_strides_give_every_epoch_a_row(pair):
    model = train(query_model(pair), 120, engine="fast")
    assert list(model.history["elbo_train"].index) == list(range(120))
    train(model, 60, engine="fast")
    train(model, 2, engine="scvi")
    assert list(model.history["elbo_train"].index) == list(range(182))
    assert np.isfinite(model.history["elbo_train"].to_numpy(dtype=float)).all()


def test_a_cell_without_counts_does_no_harm(pair):
    model, query = pair
    query = query.copy()
    query.X = sparse.csr_matrix(query.X.toarray() * (np.arange(query.n_obs) != 3)[:, np.newaxis])
    mapped = type(model).load_query_data(query, model)
    train(mapped, 5, engine="fast")
    assert np.isfinite(mapped.embed(query)).all()
    loop = train(type(model).load_query_data(query, model), 5, engine="scvi")
    assert np.isfinite(loop.embed(query)).all()


@pytest.mark.parametrize("n_cells", [4, 143, 144, 145, 285, 286, 287])
def test_as_many_steps_as_the_loop(n_cells):
    ref, query = split(cells(900, n_batches=3), "batch2")
    model = reference(SCVI, ref, n_hidden=4)
    query = query[:n_cells].copy()
    loop = train(SCVI.load_query_data(query, model), 2, engine="scvi")
    seen = []
    stride = AdamStrides.stride
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdamStrides, "stride", lambda self, *args: (seen.append(args[-1]), stride(self, *args)))
        train(SCVI.load_query_data(query, model), 2, engine="fast")
    assert sum(seen) == loop.trainer.global_step


def test_saves_and_loads(pair, tmp_path):
    _, query = pair
    model = train(query_model(pair), 3, engine="fast")
    model.save(tmp_path / "mapped")
    loaded = load(tmp_path / "mapped")
    np.testing.assert_array_equal(loaded.embed(query), model.embed(query))
    assert loaded.state.space == pair[0].state.space


def test_default_takes_it_and_says_so(pair, caplog):
    with caplog.at_level(logging.INFO, logger="scarches_plus"):
        train(query_model(pair), 2)
    assert "on the fast path" in caplog.text


def test_remembers_which_engine_trained(pair):
    assert pair[0].state.engine == "loop"
    for engine in ("fast", "scvi"):
        assert train(query_model(pair), 1, engine=engine).state.engine == engine


@pytest.mark.parametrize(
    ("surgery", "kwargs", "reason"),
    [
        ({"strategy": "all"}, {}, "strategy 'all'"),
        ({}, {"module_mode": "train"}, "dropout"),
        ({}, {"penalties": [Counts()]}, "penalty 'counts'"),
        ({}, {"early_stopping": True}, "early_stopping"),
        ({}, {"check_val_every_n_epoch": 1}, "check_val_every_n_epoch"),
        ({}, {"plan_kwargs": {"reduce_lr_on_plateau": True}}, "reduce_lr_on_plateau"),
        ({}, {"accelerator": "gpu"}, "device"),
    ],
)
def test_falls_back_and_says_why(pair, caplog, surgery, kwargs, reason):
    steps = {"early_stopping", "check_val_every_n_epoch", "plan_kwargs"}.isdisjoint(kwargs)
    if "accelerator" in kwargs:
        if not torch.cuda.is_available():
            with pytest.raises(Exception, match=r"(?i)gpu|cuda|accelerator"):
                train(query_model(pair, **surgery), 1, engine="fast", **kwargs)
        return
    if not steps:
        with pytest.raises(ValueError, match=f"does not apply: .*{reason}"):
            train(query_model(pair, **surgery), 1, engine="fast", **kwargs)
    with caplog.at_level(logging.INFO, logger="scarches_plus"):
        model = train(query_model(pair, **surgery), 1, **kwargs)
    assert reason in caplog.text
    assert model.state.engine == ("loop" if steps else "scvi")
    assert model.trainer is not None


def test_arguments_of_no_effect_change_nothing(pair):
    model = train(query_model(pair), 1, engine="fast", check_val_every_n_epoch=None, train_size=None)
    assert model.trainer is None
    with pytest.raises(TypeError, match="two values for max_epochs"):
        model.train(2, max_epochs=4)
    weights = free_entries(model)
    with pytest.raises(ValueError, match="max_epochs must be at least 1"):
        train(model, 0)
    assert all(torch.equal(value, weights[name]) for name, value in free_entries(model).items())


def test_engines_have_names(pair):
    with pytest.raises(ValueError, match="engine must be one of"):
        train(query_model(pair), 1, engine="slow")


def test_an_interrupt_keeps_what_was_learned(pair, monkeypatch):
    model = query_model(pair)
    before = free_entries(model)
    calls = []

    def interrupt_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return minibatch_moments(*args)

    monkeypatch.setattr("scarches_plus.model._speed._fast_training.minibatch_moments", interrupt_third)
    with pytest.raises(KeyboardInterrupt, match="interrupted"):
        train(model, 5, engine="fast")
    after = free_entries(model)
    assert all((after[name] != before[name]).any() for name in before)
    monkeypatch.undo()
    train(model, 2, engine="fast")
    assert np.isfinite(model.embed(pair[1])).all()


def test_more_visits_than_cells_or_fewer_give_the_same(pair, monkeypatch):
    """Projections kept in memory are those computed on the way."""
    results = []
    for kept in (True, False):
        model = query_model(pair)
        scvi.settings.seed = 0
        if not kept:
            monkeypatch.setattr("scarches_plus.model._speed._fast_training._Cells.__init__", _without_memory)
        train(model, 3, engine="fast")
        results.append(free_entries(model))
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=0, atol=1e-5)


def _without_memory(self, manager, condensed, *, n_visits, device, make=_Cells.__init__):
    assert n_visits > manager.adata.n_obs
    make(self, manager, condensed, n_visits=0, device=device)
