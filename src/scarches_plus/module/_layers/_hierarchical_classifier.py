"""Classify cells level by level down a hierarchy of labels (scANVI, Suppl. Note 4)."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from scarches_plus._label_tree import LabelTree


class HierarchicalClassifier(nn.Module):
    r"""Chained softmax heads: one among the children of every node, a network for each level.

    It stands in for :class:`scvi.module.Classifier` and returns logarithms of probabilities of the leaves,

    .. math:: \log q(y | z) = \sum_{v \in \mathrm{path}(y)} \log \frac{\exp f_v(z)}{\sum_{w \in \mathrm{siblings}(v)}
    \exp f_w(z)}

    which are logits that softmax leaves as they are.

    Parameters
    ----------
    flat
        scvi-tools' classifier of the same latent space; each level has a network like it, drawn anew.
    tree
        Hierarchy with at least two leaves.

    Attributes
    ----------
    heads
        Of each network, the number of labels on the way to what it decides, and the labels that its outputs are of.

    References
    ----------
    Xu et al. 2021 (scANVI), Suppl. Note 4: the formula with two levels, whose :math:`f_i / \sum_{j \in c(\pi_i)} f_j`
    is the softmax among siblings.
    """

    logits = True

    def __init__(self, flat: Any, tree: LabelTree) -> None:
        super().__init__()
        siblings: dict[str | None, list[str]] = {}
        for node, above in tree.parents.items():
            siblings.setdefault(above, []).append(node)
        # a node without siblings is certain where its parent is
        families = [family for family in siblings.values() if len(family) > 1]
        families.sort(key=lambda family: len(tree.path(family[0])))
        levels = [len(tree.path(family[0])) for family in families]
        decided = [node for family in families for node in family]
        self.heads = tuple(
            (level, tuple(node for family, at in zip(families, levels, strict=True) if at == level for node in family))
            for level in dict.fromkeys(levels)
        )
        self.levels = nn.ModuleList(_network_like(flat, len(nodes)) for _, nodes in self.heads)
        family_of = [i for i, family in enumerate(families) for _ in family]
        lines = [set(tree.path(leaf)) for leaf in tree.leaves]
        self.register_buffer("_family", torch.tensor(family_of), persistent=False)
        self.register_buffer(
            "_line", torch.tensor([[float(node in line) for line in lines] for node in decided]), persistent=False
        )
        self._n_families = len(families)

    def forward(self, z: Tensor) -> Tensor:
        """Return logarithms of the probabilities of the leaves, shape ``(..., n_leaves)``."""
        logits = torch.cat([network(z) for network in self.levels], dim=-1)
        return self._among_siblings(logits) @ self._line

    def _among_siblings(self, logits: Tensor) -> Tensor:
        """Return the log-softmax within each family."""
        family = self._family.expand_as(logits)
        of_families = (*logits.shape[:-1], self._n_families)
        largest = logits.new_full(of_families, -torch.inf).scatter_reduce(-1, family, logits.detach(), "amax")
        shifted = logits - largest.gather(-1, family)
        total = logits.new_zeros(of_families).scatter_add(-1, family, shifted.exp())
        return shifted - total.log().gather(-1, family)


def _network_like(flat: Any, n_outputs: int) -> Any:
    network = deepcopy(flat)
    layers = [layer for layer in network.classifier if not isinstance(layer, nn.Softmax)]
    network.classifier = nn.Sequential(*layers[:-1], nn.Linear(layers[-1].in_features, n_outputs))
    network.logits = True
    for layer in network.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return network
