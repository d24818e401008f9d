"""Add classes without labelled cells to scANVI's module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


class UnobservedClassesMixin:
    """scANVI's module with classes beyond the labels, which answer as one (C_observed + C_unobserved classes).

    The networks know each of them: the prior is uniform over all classes, and each has a density of its own in the
    latent space. To the outside they are one more class, the last, whose probability is their sum.
    """

    if TYPE_CHECKING:
        classifier: Any

    n_unobserved = 0

    def classify(self, *args: Any, **kwargs: Any) -> Tensor:
        """Classify cells from their counts, as scvi-tools does.

        Returns
        -------
        Tensor
            One column per label and, if there are unobserved classes, one for all of these: logits, or probabilities
            where the classifier gives such.
        """
        classes: Tensor = super().classify(*args, **kwargs)  # type: ignore[misc]
        if not self.n_unobserved:
            return classes
        n_observed = classes.shape[-1] - self.n_unobserved
        observed, unobserved = classes[..., :n_observed], classes[..., n_observed:]
        add = torch.logsumexp if self.classifier.logits else torch.sum
        return torch.cat([observed, add(unobserved, -1, keepdim=True)], dim=-1)
