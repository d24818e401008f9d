"""Adapt scvi-tools modules where the network or the likelihood changes.

What only changes the loss or the schedule belongs into ``train``; what a user trains belongs into ``model``.
"""

from ._scanvae import SCANVAE
from ._totalvae import TOTALVAE
from ._vae import VAE

# isort: split
# Offered to other packages of scarches_plus; not public.
from ._layers._summed_in_parts import sum_of_parts as sum_of_parts
from ._likelihoods._count_head import CountHead as CountHead
from ._likelihoods._encoder_input import TARGET_SUM as TARGET_SUM
from ._likelihoods._expression_likelihood import SQUARED_ERRORS as SQUARED_ERRORS

__all__ = ["SCANVAE", "TOTALVAE", "VAE"]
