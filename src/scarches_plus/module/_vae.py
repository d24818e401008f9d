"""scVI's module with a gene mask and a cheaper likelihood."""

from functools import wraps
from typing import Any

import scvi.module

from ._count_likelihood import CountLikelihoodMixin
from ._gene_mask import GeneMaskMixin


class VAE(GeneMaskMixin, CountLikelihoodMixin, scvi.module.VAE):
    """:class:`scvi.module.VAE` that can leave genes a batch did not measure out of the likelihood."""

    @wraps(scvi.module.VAE.__init__)  # type: ignore[misc]  # scvi-tools reads the signature
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle_unused_layers()
