"""Every penalty on every model, for references and queries, keeps every promise."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from small_models import NETWORK, cells, setup, split, train

from scarches_plus.model import SCANVI, SCVI, load
from scarches_plus.train import (
    EWC,
    MMD,
    BatchAdversary,
    CellReplay,
    LatentReplay,
    Penalty,
    carry_anchors,
    estimate_importance,
    store_anchors,
)

GAMMAS = (0.1, 1.0, 3.0)
N_ANCHORS = 40
#: Penalties that keep the reference where it is: of no use where it cannot move.
HOLDING = (EWC, LatentReplay, CellReplay)
REFERENCE, QUERY = split(cells(n_batches=4), "batch2", "batch3")


# --- The penalties, and what each must be: written naively ---


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


def naive_cell_replay(_, step, __):
    """Negative ELBO of the reference cells, by scvi-tools."""
    counts = torch.as_tensor(REFERENCE.X.toarray())
    batch = torch.as_tensor((REFERENCE.obs["batch"] == "batch1").to_numpy().astype(int))[:, None]
    tensors = {"X": counts, "batch": batch, "labels": torch.zeros_like(batch)}
    losses = [float(step.module(tensors)[2].loss) for _ in range(20)]
    return torch.tensor(sum(losses) / len(losses))


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
    "cell replay": (CellReplay(cells=REFERENCE, n_cells=1000), naive_cell_replay, {""}),
}  # fmt: skip
MODELS = {"SCVI": SCVI, "SCANVI": SCANVI}
STAGES = ("reference", "condition", "all")
SILENT = {"enable_progress_bar": False}


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def references(request):
    """A reference with everything a penalty can ask for, its query, and the folder it was saved in."""
    ref = REFERENCE.copy()
    scvi.settings.seed = 0
    setup(request.param, ref)
    model = train(request.param(ref, **NETWORK))
    estimate_importance(model)
    store_anchors(model, n_cells=N_ANCHORS)
    return request.param, QUERY, model


def pairs(names):
    """Stages and cases that go together."""
    return [
        pytest.param((stage, CASES[name]), id=f"{stage}-{name}")
        for stage in STAGES
        for name in names
        if not (stage == "condition" and isinstance(CASES[name][0], HOLDING))
    ]


every_case = pytest.mark.parametrize("pair", pairs(CASES))
#: One of each kind, where it does not matter what a penalty looks at.
each_kind = pytest.mark.parametrize(
    "pair", pairs(["MMD on the decoder", "adversary", "EWC", "latent replay", "cell replay"])
)


def model_at(references, stage):
    """A model about to train, at a stage."""
    cls, query, reference = references
    scvi.settings.seed = 1
    if stage == "reference":
        ref = reference.adata.copy()
        setup(cls, ref)
        model = cls(ref, **NETWORK)
        model.module.load_state_dict(reference.module.state_dict())
        model.is_trained_, model.history_ = True, dict(reference.history_)
        model.remember(importance=reference.state.importance, anchors=reference.state.anchors)
        return model
    return cls.load_query_data(query.copy(), reference, strategy=stage)


@dataclass(frozen=True, kw_only=True)
class Watched(Penalty):
    """Keeps what a penalty saw and said."""

    name = "watched"
    inner: Penalty = None
    seen: list = None

    @property
    def layers(self):
        return self.inner.layers

    def prepare(self, setting):
        term = self.inner.prepare(setting)

        def value(step):
            value = term(step)
            self.seen.append((step, term, value.detach()))
            return value

        return value


class StopError(Exception):
    pass


class StopAfter(Callback):
    """Raises after a number of steps, before the optimiser changes anything."""

    def on_before_optimizer_step(self, trainer, *_):
        raise StopError


class MoveAway(Callback):
    """Moves the weights, once penalties are prepared."""

    def on_train_start(self, _, plan):
        with torch.no_grad():
            for parameter in plan.module.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))


def first_step(model, penalty, *, away=False):
    seen, callbacks = [], [StopAfter(), *([MoveAway()] if away else [])]
    with pytest.raises(StopError):
        train(model, 1, penalties=[Watched(inner=penalty, seen=seen)], callbacks=callbacks, engine="scvi")
    return seen[0]


@every_case
def test_value_is_the_formula(references, pair):
    stage, case = pair
    penalty, naive, _ = case
    model = model_at(references, stage)
    step, term, value = first_step(model, penalty, away=isinstance(penalty, EWC | LatentReplay))
    with torch.no_grad():
        expected = naive(penalty, step, term)
    assert float(value) == pytest.approx(float(expected), rel=0.02 if penalty.name == "cell_replay" else 1e-3, abs=1e-5)
    assert float(value) != 0


@every_case
def test_gradient_reaches_what_it_must_and_nothing_else(references, pair):
    stage, case = pair
    penalty, _, expected = case
    model = model_at(references, stage)
    seen = {}

    class Look(Penalty):
        name = "look"
        layers = penalty.layers

        def prepare(self, setting):
            term = penalty.prepare(setting)

            def value(step):
                parameters = {name: p for name, p in step.module.named_parameters() if p.requires_grad}
                if isinstance(penalty, EWC | LatentReplay):
                    for parameter in parameters.values():
                        parameter.data.add_(0.1)
                total = term(step)
                gradients = torch.autograd.grad(total, parameters.values(), allow_unused=True, retain_graph=True)
                seen.update({n: g is not None and bool(g.any()) for n, g in zip(parameters, gradients, strict=True)})
                seen["a discriminator"] = isinstance(term, torch.nn.Module) and any(
                    p.grad is not None for p in term.parameters()
                )
                return total

            return value

    with pytest.raises(StopError):
        train(model, 1, penalties=[Look()], callbacks=[StopAfter()], engine="scvi")
    reached = {name for name, is_reached in seen.items() if is_reached}
    if isinstance(penalty, EWC):
        fisher = references[2].state.importance.fisher
        assert reached == {name for name, values in fisher.items() if values.any() and name in seen}
    else:
        assert all(any(name.startswith(part) for part in expected) for name in reached)
        frozen = stage == "condition"  # then only the layers with columns of the batch train
        missed = {part for part in expected if not any(name.startswith(part) for name in reached)}
        assert not missed or (frozen and missed <= {"z_encoder.mean_encoder", "z_encoder.var_encoder"})


@each_kind
def test_history_record_and_a_second_training(references, pair):
    stage, case = pair
    penalty, *_ = case
    model = train(model_at(references, stage), 2)
    before = len(model.history["elbo_train"])
    train(model, 2, penalties=[penalty])
    train(model, 1, penalties=[penalty])
    values = model.history[f"{penalty.name}_train"]
    assert np.isfinite(values.to_numpy(dtype=float)).all()
    assert values.index.tolist() == [before, before + 1, before + 2]
    assert model.history["elbo_train"].index.tolist() == list(range(before + 3))
    assert model.state.penalties == (penalty.options(),)
    train(model, 1)
    assert model.state.penalties == ()


@each_kind
def test_it_acts(references, pair):
    stage, case = pair
    penalty, *_ = case
    results = []
    for weight in (0.0, 1e4):
        model = model_at(references, stage)
        if isinstance(penalty, HOLDING):
            train(model, 3, plan_kwargs={"lr": 0.01}, penalties=[replace(penalty, weight=weight)])
        else:
            train(model, 3, penalties=[replace(penalty, weight=weight)], engine="scvi")
        results.append(model.embed(model.adata))
    assert np.abs(results[0] - results[1]).max() > 1e-4
    assert np.isfinite(results[1]).all()


@each_kind
def test_saved_loaded_and_opened_by_scvi_tools(references, pair, tmp_path):
    stage, case = pair
    penalty, *_ = case
    cls, query, _ = references
    model = train(model_at(references, stage), 1, penalties=[penalty])
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.state == model.state
    importance, kept = again.state.importance, model.state.importance
    assert all(torch.equal(importance.fisher[name], kept.fisher[name]) for name in kept.fisher)
    np.testing.assert_array_equal(again.embed(query if stage != "reference" else model.adata), model.embed(model.adata))
    theirs = getattr(scvi.model, cls.__name__).load(str(tmp_path / "model"), adata=model.adata.copy())
    np.testing.assert_allclose(
        theirs.get_latent_representation(), model.get_latent_representation(), rtol=1e-5, atol=1e-6
    )


@each_kind
def test_survives_surgery(references, pair):
    stage, case = pair
    penalty, *_ = case
    cls, _, reference = references
    model = train(model_at(references, stage), 1, penalties=[penalty])
    carry_anchors(reference, model)
    another = cells(n_batches=6, rng=3)
    another = another[another.obs["batch"].isin(["batch4", "batch5"])].copy()
    strategy = "all" if isinstance(penalty, HOLDING) else "condition"
    mapped = cls.load_query_data(another, model, strategy=strategy)
    train(mapped, 1, penalties=[penalty])
    assert np.isfinite(mapped.history[f"{penalty.name}_train"].to_numpy(dtype=float)).all()
    assert np.isfinite(mapped.embed(another)).all()


@each_kind
def test_same_seed_same_result(references, pair):
    stage, case = pair
    penalty, *_ = case
    embeddings = []
    for _ in range(2):
        model = train(model_at(references, stage), 2, penalties=[penalty])
        embeddings.append(model.embed(model.adata))
    np.testing.assert_array_equal(*embeddings)


@each_kind
def test_early_stopping_and_validation(references, pair):
    stage, case = pair
    penalty, *_ = case
    model = model_at(references, stage)
    options = {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_min_delta": 1e9}
    train(model, 8, penalties=[penalty], check_val_every_n_epoch=1, **options)
    assert len(model.history["elbo_train"]) < 8
    assert f"{penalty.name}_validation" not in model.history


@each_kind
def test_interrupted_and_trained_on(references, pair):
    stage, case = pair
    penalty, *_ = case

    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer, *_):
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    model = model_at(references, stage)
    with pytest.raises(KeyboardInterrupt):
        train(model, 5, penalties=[penalty], callbacks=[Interrupt()], engine="scvi")
    hooks = [module for module in model.module.modules() if module._forward_hooks]
    assert hooks == []
    train(model, 1, penalties=[penalty])
    assert np.isfinite(model.embed(model.adata)).all()


@each_kind
def test_resumes_from_a_checkpoint(references, pair, tmp_path):
    stage, case = pair
    penalty, *_ = case

    class Keep(Callback):
        def on_train_epoch_end(self, trainer, plan):
            if not (tmp_path / "kept.ckpt").exists():
                trainer.save_checkpoint(tmp_path / "kept.ckpt")
                self.terms = terms_of(plan)

    class Compare(Callback):
        def on_train_start(self, _, plan):
            self.terms = terms_of(plan)

    def terms_of(plan):
        tensors = {
            f"{name}": value.clone() for name, value in plan.penalty_terms.state_dict().items() if "extra" not in name
        }
        for term in plan.penalty_terms.values():
            if isinstance(penalty, BatchAdversary):
                state = (term._optimizer.state_dict() if term._optimizer else term._stored)["state"]
                tensors |= {f"adam {i} {key}": value.clone() for i, one in state.items() for key, value in one.items()}
        return tensors

    keep, compare = Keep(), Compare()
    train(model_at(references, stage), 1, penalties=[penalty], callbacks=[keep], engine="scvi")
    model = model_at(references, stage)
    train(model, 3, penalties=[penalty], callbacks=[compare], ckpt_path=tmp_path / "kept.ckpt")
    assert keep.terms.keys() == compare.terms.keys()
    assert all(torch.equal(keep.terms[name], compare.terms[name]) for name in keep.terms)
    assert bool(keep.terms) == isinstance(penalty, BatchAdversary)
    assert np.isfinite(model.history[f"{penalty.name}_train"].to_numpy(dtype=float)).all()


# --- Refusals ---


@pytest.mark.parametrize("penalty", [MMD(), BatchAdversary()], ids=["MMD", "adversary"])
def test_one_batch_is_refused(references, penalty):
    cls, query, reference = references
    one = query[query.obs["batch"] == "batch2"].copy()
    mapped = cls.load_query_data(one, reference)
    if isinstance(penalty, MMD):
        train(mapped, 1, penalties=[penalty])  # compares with the anchors
        assert (mapped.history["mmd_train"] > 0).all(axis=None)
        penalty = replace(penalty, anchors=False)
    with pytest.raises(ValueError, match=r"one|only"):
        train(mapped, 1, penalties=[penalty])


@pytest.mark.parametrize("penalty", [EWC(), LatentReplay(), CellReplay(cells=REFERENCE)], ids=lambda p: p.name)
def test_what_holds_the_reference_is_refused_where_it_cannot_move(references, penalty):
    cls, query, reference = references
    mapped = cls.load_query_data(query, reference, strategy="condition")
    with pytest.raises(ValueError, match="strategy='all'"):
        train(mapped, 1, penalties=[penalty])


@pytest.mark.parametrize(
    ("penalty", "remedy"), [(EWC(), "estimate_importance"), (LatentReplay(), "store_anchors")], ids=["EWC", "replay"]
)
def test_what_needs_more_of_the_reference_says_so(references, penalty, remedy):
    model = model_at(references, "reference")
    model.scarches_plus_ = {**model.scarches_plus_, "importance": None, "anchors": None}
    with pytest.raises(ValueError, match=remedy):
        train(model, 1, penalties=[penalty])


def test_the_fast_path_is_refused(references):
    mapped = model_at(references, "condition")
    with pytest.raises(ValueError, match="penalties"):
        train(mapped, 1, penalties=[MMD()], engine="fast")
