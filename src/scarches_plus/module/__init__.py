"""Adapt scvi-tools modules where the network or the likelihood changes.

What only changes the loss or the schedule belongs into ``train``; what a user trains belongs into ``model``.
"""

from ._scanvae import SCANVAE
from ._totalvae import TOTALVAE
from ._vae import VAE

__all__ = ["SCANVAE", "TOTALVAE", "VAE"]
