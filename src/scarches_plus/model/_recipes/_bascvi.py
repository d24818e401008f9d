"""Define recipes of BA-scVI."""

from __future__ import annotations

from scarches_plus.train import BatchAdversary

from ._recipe import Recipe

BASCVI_RECIPES = {
    "bascvi": Recipe(
        model="SCVI",
        source=(
            "BA-scVI (arXiv 2503.20730): encoder blind to the batch, first block of the decoder without covariates, "
            "four layers of 512, dropout 0.1, latent 10, ZINB, discriminators on both"
        ),
        departures=(
            "layer norm (as the later code)",
            "library observed",
            "learning rate 1e-4 (code; the paper's 5e-5 is for millions of cells)",
            "weight 1 (code; the paper's 10 costs accuracy)",
            "bounded objective",
        ),
        model_kwargs={
            "encode_covariates": False,
            "batch_free_decoder_layer": True,
            "use_layer_norm": "both",
            "use_batch_norm": "none",
            "n_layers": 4,
            "n_hidden": 512,
            "n_latent": 10,
            "dropout_rate": 0.1,
            "gene_likelihood": "zinb",
        },
        plan_kwargs={"lr": 1e-4, "weight_decay": 1e-5, "eps": 0.01},
        penalties=(BatchAdversary(weight=1.0, warmup_epochs=5, warmup="sigmoid"),),
        train_kwargs={"batch_size": 64, "gradient_clip_val": 5.0},
        max_epochs=100,
    ),
}
