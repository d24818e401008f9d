"""Define recipes of BA-scVI."""

from __future__ import annotations

from scarches_plus.train import BatchAdversary

from ._recipe import Recipe

_NETWORK = {
    "encode_covariates": False,
    "batch_free_decoder_layer": True,
    "n_layers": 4,
    "n_hidden": 512,
    "n_latent": 10,
    "dropout_rate": 0.1,
    "gene_likelihood": "zinb",
}
_ARCHITECTURE = (
    "encoder blind to the batch, first block of the decoder without covariates, four layers of 512, dropout 0.1, "
    "latent 10, ZINB, discriminators on both"
)
_ONE_PASS = "discriminators and network learn from one pass of each minibatch, where theirs takes two"
_LIBRARY = "the library's encoder sees counts as they are: no size shows in normalised input"
_MORE = "100 epochs at most instead of 25, which are for millions of cells"

BASCVI_RECIPES = {
    "bascvi": Recipe(
        model="SCVI",
        source=f"BA-scVI (arXiv 2503.20730): {_ARCHITECTURE}",
        departures=(
            "layer norm (as the later code)",
            "library observed",
            "the encoder sees log1p of the counts, not of counts normalised per cell",
            "learning rate 1e-4 (code; the paper's 5e-5 is for millions of cells)",
            "Adam's eps 1e-8 (as the later code; the paper's 0.01 trains small references slowly)",
            "weight 1 on the mean over discriminators (half of the code's weight; with one level a twentieth of the "
            "paper's)",
            "bounded objective, whose weight warms up over 5 epochs (as the later code's)",
            "gradients clipped at a norm of 5 (as the later code)",
            "discriminators with eps 1e-8 and no weight decay, too",
            "no early stopping, and fewer epochs of more than 40,000 cells",
        ),
        model_kwargs={**_NETWORK, "use_layer_norm": "both", "use_batch_norm": "none"},
        plan_kwargs={"lr": 1e-4, "weight_decay": 1e-5, "eps": 1e-8},
        penalties=(BatchAdversary(weight=1.0, reduction="mean", warmup_epochs=5, warmup="sigmoid"),),
        train_kwargs={"batch_size": 64, "gradient_clip_val": 5.0},
        max_epochs=100,
    ),
    "bascvi_paper": Recipe(
        model="SCVI",
        source=(
            f"BA-scVI as printed (arXiv 2503.20730): {_ARCHITECTURE}; batch norm, library learned, normalised input, "
            "Adam with learning rates 5e-5 and 1e-2, weight decay 1e-5 and eps 0.01, beta 10 on the sum over "
            "discriminators of the negative cross-entropy, 100 epochs, early stopping with patience 5"
        ),
        departures=(_ONE_PASS, _LIBRARY, "early stopping watches the ELBO of validation cells (not said)"),
        model_kwargs={
            **_NETWORK,
            "use_layer_norm": "none",
            "use_batch_norm": "both",
            "use_observed_lib_size": False,
            "normalize_encoder_input": True,
        },
        plan_kwargs={"lr": 5e-5, "weight_decay": 1e-5, "eps": 0.01, "n_epochs_kl_warmup": None},
        penalties=(
            BatchAdversary(
                weight=10.0,
                reduction="sum",
                objective="negative_cross_entropy",
                eps=0.01,
                weight_decay=1e-5,
                gradient_clip=None,
            ),
        ),
        train_kwargs={"batch_size": 64, "early_stopping": True, "early_stopping_patience": 5},
        max_epochs=100,
        epochs_for_any_size=True,
    ),
    "bascvi_code": Recipe(
        model="SCVI",
        source=(
            f"BA-scVI as released (github.com/PhenomicAI/bascvi, settings for scREF): {_ARCHITECTURE}; layer norm, "
            "also on the logits of discriminators of width 512, library learned, normalised input, Adam with learning "
            "rate 1e-4 and weight decay 1e-5 for both, KL weight 0.2, weight 1 on the mean over levels of the sum over "
            "both layers, gradient clipping 5, early stopping with patience 10"
        ),
        departures=(
            _ONE_PASS,
            _LIBRARY,
            _MORE,
            "four hidden layers in each network, the ones that are read among them (theirs come on top)",
            "the dispersion is trained (theirs stays as drawn)",
            "the discriminators' weight warms up over an epoch instead of 100 steps",
            "early stopping watches the ELBO of validation cells (theirs contains the discriminators' term)",
        ),
        model_kwargs={
            **_NETWORK,
            "use_layer_norm": "both",
            "use_batch_norm": "none",
            "use_observed_lib_size": False,
            "normalize_encoder_input": True,
        },
        plan_kwargs={
            "lr": 1e-4,
            "weight_decay": 1e-5,
            "eps": 1e-8,
            "max_kl_weight": 0.2,
            "n_epochs_kl_warmup": None,
            "n_steps_kl_warmup": 50,
        },
        penalties=(
            BatchAdversary(
                weight=2.0,  # of the mean over both layers, too
                reduction="mean",
                objective="negative_cross_entropy",
                lr=1e-4,
                weight_decay=1e-5,
                n_hidden=512,
                normalize_logits=True,
                warmup_epochs=1,
                warmup="sigmoid",
            ),
        ),
        train_kwargs={
            "batch_size": 64,
            "gradient_clip_val": 5.0,
            "early_stopping": True,
            "early_stopping_patience": 10,
        },
        max_epochs=100,
        epochs_for_any_size=True,
    ),
}
