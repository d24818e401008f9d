import pytest
import torch
from small_models import SCANVI, SCVI, cells, reference, split, train

from scarches_plus.metrics import reference_drift
from scarches_plus.train import LatentReplay, Setting, Step, store_anchors


@pytest.fixture(scope="module", params=[SCVI, SCANVI])
def built(request):
    ref, query = split(cells(), "batch2")
    model = train(reference(request.param, ref, gene_likelihood="nb"), 40, plan_kwargs={"lr": 0.01})
    store_anchors(model, n_cells=150)
    return ref, query, model


def term_of(model, **options):
    return LatentReplay(**options).prepare(Setting(model.module, model.groupings, anchors=model.state.anchors))


def step_of(module):
    return Step({}, {"z": torch.zeros(1)}, {}, {}, module)


def test_it_is_zero_where_nothing_moved(built):
    *_, model = built
    assert term_of(model)(step_of(model.module)).item() == pytest.approx(0, abs=1e-4)


def test_it_holds_the_reference_without_its_cells(built):
    ref, query, model = built
    before = model.embed(ref)
    drift = {}
    for weight in (0.0, 1.0, 100.0):
        torch.manual_seed(0)
        mapped = type(model).load_query_data(query, model, strategy="all")
        train(mapped, 20, penalties=[LatentReplay(weight=weight)])
        drift[weight] = reference_drift(before, mapped.embed(ref)).rmsd
    assert drift[100.0] < drift[1.0] < drift[0.0]
    assert drift[100.0] < 0.5 * drift[0.0]


def test_without_distillation_only_the_encoder_is_held(built):
    *_, model = built
    term = term_of(model, distillation=0.0)
    parameters = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    value = term(step_of(model.module))
    gradients = torch.autograd.grad(value, parameters.values(), allow_unused=True)
    reached = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    assert reached
    assert all(name.startswith("z_encoder") for name in reached)


def test_modes_stay(built):
    *_, model = built
    term = term_of(model)
    model.module.train()
    model.module.decoder.eval()
    term(step_of(model.module))
    assert model.module.training
    assert model.module.z_encoder.training
    assert not model.module.decoder.training
    model.module.eval()


def test_wrong_options_are_named():
    for options in ({"n_cells": 0}, {"distillation": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be at least"):
            LatentReplay(**options)
