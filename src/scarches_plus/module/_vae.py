"""scVI's module with a gene mask."""

import scvi.module

from ._gene_mask import GeneMaskMixin


class VAE(GeneMaskMixin, scvi.module.VAE):
    """:class:`scvi.module.VAE` that can leave genes a batch did not measure out of the likelihood."""
