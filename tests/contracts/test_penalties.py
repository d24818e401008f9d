"""Every penalty on every model, for references and queries, keeps every promise."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from penalty_cases import CASES, HOLDING, N_ANCHORS, QUERY, REFERENCE, adapted, parts_of
from small_models import as_taken, cells, network, setup, train

from scarches_plus.model import SCANVI, SCVI, TOTALVI, load
from scarches_plus.train import (
    EWC,
    MMD,
    BatchAdversary,
    CellReplay,
    LabelReplay,
    LatentReplay,
    Penalty,
    carry_anchors,
    estimate_importance,
    store_anchors,
)

MODELS = {"SCVI": SCVI, "SCANVI": SCANVI, "TOTALVI": TOTALVI}
STAGES = ("reference", "condition", "all")
#: Parts without columns of the batch.
MOMENTS = ("z_encoder.mean_encoder", "z_encoder.var_encoder")


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def references(request):
    """A reference with everything a penalty can ask for, its query, and the folder it was saved in."""
    ref = as_taken(request.param, REFERENCE.copy())
    scvi.settings.seed = 0
    setup(request.param, ref)
    model = train(request.param(ref, **network(request.param)))
    estimate_importance(model)
    store_anchors(model, n_cells=N_ANCHORS)
    return request.param, as_taken(request.param, QUERY), model


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
    "pair", pairs(["MMD on the decoder", "adversary", "EWC", "latent replay", "label replay", "cell replay"])
)


def model_at(references, stage):
    """A model about to train, at a stage."""
    cls, query, reference = references
    scvi.settings.seed = 1
    if stage == "reference":
        ref = reference.adata.copy()
        setup(cls, ref)
        model = cls(ref, **network(cls))
        model.module.load_state_dict(reference.module.state_dict())
        model.is_trained_, model.history_ = True, dict(reference.history_)
        model.remember(importance=reference.state.importance, anchors=reference.state.anchors)
        return model
    return cls.load_query_data(query.copy(), reference, strategy=stage)


def renew_anchors(references, model, stage):
    """Take anchors along to where a model is now."""
    if stage == "reference":
        store_anchors(model, n_cells=N_ANCHORS)
    else:
        carry_anchors(references[2], model)


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
    penalty, naive = adapted(case[0], references[0]), case[1]
    model = model_at(references, stage)
    step, term, value = first_step(model, penalty, away=isinstance(penalty, EWC | LatentReplay | LabelReplay))
    with torch.no_grad():
        expected = naive(penalty, step, term)
    assert float(value) == pytest.approx(float(expected), rel=0.02 if penalty.name == "cell_replay" else 1e-3, abs=1e-5)
    assert float(value) != 0


@every_case
def test_gradient_reaches_what_it_must_and_nothing_else(references, pair):
    stage, case = pair
    penalty, expected = adapted(case[0], references[0]), parts_of(case[2] or (), references[0])
    model = model_at(references, stage)
    seen = {}

    class Look(Penalty):
        name = "look"
        layers = penalty.layers

        def prepare(self, setting):
            term = penalty.prepare(setting)

            def value(step):
                parameters = {name: p for name, p in step.module.named_parameters() if p.requires_grad}
                if isinstance(penalty, EWC | LatentReplay | LabelReplay):
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
        assert not missed or (frozen and missed <= parts_of(MOMENTS, references[0]))


@each_kind
def test_history_record_and_a_second_training(references, pair):
    stage, case = pair
    penalty = adapted(case[0], references[0])
    model = train(model_at(references, stage), 2)
    before = len(model.history["elbo_train"])
    renew_anchors(references, model, stage)
    train(model, 2, penalties=[penalty])
    renew_anchors(references, model, stage)
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
    penalty = adapted(case[0], references[0])
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
    penalty = adapted(case[0], references[0])
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
    penalty = adapted(case[0], references[0])
    cls, _, reference = references
    model = train(model_at(references, stage), 1, penalties=[penalty])
    carry_anchors(reference, model)
    another = cells(n_batches=6, rng=3)
    another = as_taken(cls, another[another.obs["batch"].isin(["batch4", "batch5"])].copy())
    strategy = "all" if isinstance(penalty, HOLDING) else "condition"
    mapped = cls.load_query_data(another, model, strategy=strategy)
    train(mapped, 1, penalties=[penalty])
    assert np.isfinite(mapped.history[f"{penalty.name}_train"].to_numpy(dtype=float)).all()
    assert np.isfinite(mapped.embed(another)).all()


@each_kind
def test_same_seed_same_result(references, pair):
    stage, case = pair
    penalty = adapted(case[0], references[0])
    embeddings = []
    for _ in range(2):
        model = train(model_at(references, stage), 2, penalties=[penalty])
        embeddings.append(model.embed(model.adata))
    np.testing.assert_array_equal(*embeddings)


@each_kind
def test_early_stopping_and_validation(references, pair):
    stage, case = pair
    penalty = adapted(case[0], references[0])
    model = model_at(references, stage)
    options = {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_min_delta": 1e9}
    train(model, 8, penalties=[penalty], check_val_every_n_epoch=1, **options)
    assert len(model.history["elbo_train"]) < 8
    assert f"{penalty.name}_validation" not in model.history


@each_kind
def test_interrupted_and_trained_on(references, pair):
    stage, case = pair
    penalty = adapted(case[0], references[0])

    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer, *_):
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    model = model_at(references, stage)
    with pytest.raises(KeyboardInterrupt):
        train(model, 5, penalties=[penalty], callbacks=[Interrupt()], engine="scvi")
    hooks = [module for module in model.module.modules() if module._forward_hooks]
    assert hooks == []
    renew_anchors(references, model, stage)
    train(model, 1, penalties=[penalty])
    assert np.isfinite(model.embed(model.adata)).all()


@each_kind
def test_resumes_from_a_checkpoint(references, pair, tmp_path):
    stage, case = pair
    penalty = adapted(case[0], references[0])

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
            f"{name}": value.clone()
            for name, value in plan.penalty_sum.terms.state_dict().items()
            if "extra" not in name
        }
        for term in plan.penalty_sum.terms.values():
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
def test_one_batch_needs_anchors(references, penalty):
    cls, query, reference = references
    one = query[query.obs["batch"] == "batch2"].copy()
    mapped = cls.load_query_data(one, reference)
    train(mapped, 1, penalties=[penalty])  # compares with the anchors
    assert (mapped.history[f"{penalty.name}_train"] > 0).all(axis=None)
    penalty = replace(penalty, anchors=False)
    with pytest.raises(ValueError, match=r"one|only"):
        train(mapped, 1, penalties=[penalty])


@pytest.mark.parametrize(
    "penalty", [EWC(), LatentReplay(), LabelReplay(), CellReplay(cells=REFERENCE)], ids=lambda p: p.name
)
def test_what_holds_the_reference_is_refused_where_it_cannot_move(references, penalty):
    cls, query, reference = references
    penalty = adapted(penalty, cls)
    mapped = cls.load_query_data(query, reference, strategy="condition")
    with pytest.raises(ValueError, match="strategy='all'"):
        train(mapped, 1, penalties=[penalty])


def test_anchors_of_another_latent_space_are_refused(references):
    cls, query, reference = references
    one = query[query.obs["batch"] == "batch2"].copy()
    mapped = train(cls.load_query_data(one, reference, strategy="all"), 1, penalties=[MMD(), LatentReplay()])
    for penalty in (MMD(), LatentReplay()):
        with pytest.raises(ValueError, match="carry_anchors"):
            train(mapped, 1, penalties=[penalty])
    carry_anchors(reference, mapped)
    train(mapped, 1, penalties=[MMD(), LatentReplay()])


@pytest.mark.parametrize(
    ("penalty", "remedy"),
    [(EWC(), "estimate_importance"), (LatentReplay(), "store_anchors"), (LabelReplay(), "summarize_reference")],
    ids=["EWC", "latent replay", "label replay"],
)
def test_what_needs_more_of_the_reference_says_so(references, penalty, remedy):
    penalty = adapted(penalty, references[0])
    model = model_at(references, "reference")
    model.scarches_plus_ = {**model.scarches_plus_, "importance": None, "anchors": None}
    with pytest.raises(ValueError, match=remedy):
        train(model, 1, penalties=[penalty])


def test_strides_take_what_reads_the_latent_space_only(references):
    mapped = model_at(references, "condition")
    if references[0] is TOTALVI:
        pytest.skip("totalVI has no fast path")
    train(mapped, 2, penalties=[MMD(weight=2.0)], engine="fast")
    assert mapped.state.engine == "fast"
    assert mapped.state.penalties == (MMD(weight=2.0).options(),)
    assert len(mapped.history["mmd_train"]) == 2
    assert (mapped.history["mmd_train"] > 0).all().all()
    train(mapped, 1, penalties=[BatchAdversary()], engine="fast")
    assert mapped.state.engine == "loop"
