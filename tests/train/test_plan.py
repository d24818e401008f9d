"""Training plans on real models: exact freezing through lightning's own loop."""

import numpy as np
import pytest
import torch
from small_models import cells, reference, split, train

from scarches_plus.model import SCANVI, SCVI


@pytest.fixture(params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def mapped(request):
    ref, query = split(cells(), "batch2")
    return request.param.load_query_data(query, reference(request.param, ref))


def frozen_part(model):
    return torch.cat([value[:, :40].flatten() for name, value in model.module.state_dict().items() if value.dim() > 1])


@pytest.mark.parametrize(
    "options",
    [
        {"plan_kwargs": {"optimizer": "AdamW", "weight_decay": 0.1}},
        {
            "plan_kwargs": {"reduce_lr_on_plateau": True, "lr_patience": 1},
            "check_val_every_n_epoch": 1,
            "max_epochs": 4,
        },
        {"gradient_clip_val": 0.1},
        {"accumulate_grad_batches": 2, "batch_size": 16},
        {
            "plan_kwargs": {
                "optimizer": "Custom",
                "optimizer_creator": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=0.1),
            }
        },
        {"early_stopping": True, "check_val_every_n_epoch": 1},
    ],
    ids=["AdamW", "plateau", "clipping", "accumulation", "custom", "early stopping"],
)
def test_freezing_holds_under(mapped, options):
    before = {name: value.clone() for name, value in mapped.module.state_dict().items()}
    train(mapped, **options)
    after = mapped.module.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(mapped.surgery.entries)
    for name, where in mapped.surgery.entries.items():
        fixed = torch.ones(before[name].shape[where[0]], dtype=bool)
        fixed[where[1]] = False
        assert torch.equal(before[name][:, fixed], after[name][:, fixed])


def test_optimiser_holds_the_free_values_only(mapped):
    train(mapped, engine="scvi")
    held = sum(p.numel() for group in mapped.trainer.optimizers[0].param_groups for p in group["params"])
    assert held == mapped.surgery.n_trainable


@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")
def test_plain_gradient_step_is_the_same_without_weight_decay():
    """scvi-tools masks gradients; on the new columns that is the same optimisation."""
    import scvi

    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    scvi.settings.seed = 1
    ours = train(SCVI.load_query_data(query, model), engine="scvi", plan_kwargs={"weight_decay": 0.0})
    scvi.settings.seed = 1
    theirs = scvi.model.SCVI.load_query_data(query.copy(), model)
    theirs.train(
        max_epochs=2,
        enable_progress_bar=False,
        plan_kwargs={"weight_decay": 0.0},
        log_every_n_steps=1,
    )
    np.testing.assert_allclose(
        ours.get_latent_representation(), theirs.get_latent_representation(), rtol=1e-5, atol=1e-6
    )


def test_resumes_from_a_saved_query_model(tmp_path):
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    mapped = train(SCVI.load_query_data(query, model))
    mapped.save(tmp_path / "mapped", save_anndata=True)
    again = SCVI.load(tmp_path / "mapped")
    assert again.surgery == mapped.surgery
    before = again.embed(ref)
    train(again, plan_kwargs={"weight_decay": 0.04})
    assert np.abs(again.embed(ref) - before).max() == 0.0
    assert np.abs(again.embed(query) - mapped.embed(query)).max() > 0


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_resumes_from_a_checkpoint_of_lightning(cls, tmp_path):
    from lightning.pytorch.callbacks import Callback

    class Keep(Callback):
        def on_train_epoch_end(self, trainer, _):
            trainer.save_checkpoint(tmp_path / "kept.ckpt")

    ref, query = split(cells(), "batch2")
    model = reference(cls, ref)
    slow = {"plan_kwargs": {"lr": 1e-7}}
    first = train(cls.load_query_data(query, model), max_epochs=1, callbacks=[Keep()], **slow)
    torch.manual_seed(99)
    second = cls.load_query_data(query, model)
    name = "z_encoder.encoder.fc_layers.Layer 0.0.weight"
    kept, fresh = first.module.state_dict()[name][:, -1], second.module.state_dict()[name][:, -1].clone()
    assert not torch.allclose(kept, fresh, atol=1e-3)
    train(second, max_epochs=3, ckpt_path=tmp_path / "kept.ckpt", **slow)
    torch.testing.assert_close(second.module.state_dict()[name][:, -1], kept, atol=1e-4, rtol=0)
    assert len(second.history["elbo_train"]) == 2


def test_unlabelled_queries_with_covariates_of_both_kinds():
    adata = cells()
    adata.obs["donor"] = ["a", "b"] * (adata.n_obs // 2)
    adata.obs["depth"] = np.linspace(0, 1, adata.n_obs)
    ref, query = split(adata, "batch2")
    covariates = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["depth"]}
    model = reference(SCANVI, ref, setup_kwargs=covariates)
    mapped = train(SCANVI.load_query_data(query, model), 1, engine="scvi")
    assert np.isfinite(mapped.embed(query)).all()
