"""Adapt scANVI's module."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import scvi.module
import torch
from scvi import REGISTRY_KEYS
from torch.nn.functional import cross_entropy

from scarches_plus import _arguments as check
from scarches_plus._label_tree import LabelTree
from scarches_plus._options import check_network, extends

from ._layers._adapted import AdaptedMixin
from ._layers._hierarchical_classifier import HierarchicalClassifier
from ._layers._restricted import restricted
from ._layers._unobserved_classes import UnobservedClassesMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scvi.model.base import BaseModelClass
    from torch import Tensor


#: Version of scvi-tools from which on classifiers return logits.
_LOGITS_SINCE = (1, 1)


class SCANVAE(UnobservedClassesMixin, AdaptedMixin, scvi.module.SCANVAE):
    """:class:`scvi.module.SCANVAE` with a gene mask, further networks, a hierarchy of labels, and a cheaper likelihood.

    The further networks are those of trVAE and BA-scVI.

    Genes a batch did not measure can be left out of the likelihood (:meth:`set_gene_mask`).

    Parameters
    ----------
    *args, **kwargs
        As in scvi-tools, with ``gene_likelihood`` as in :class:`VAE`.
    batch_free_decoder_layer, reconstruction_weight, layer_widths, normalize_encoder_input
        As in :class:`VAE`.
    n_unobserved
        Classes beyond the labels, for types that no cell is labelled with. To the outside they are one class, the last.
    hierarchy
        Hierarchy of labels, or its plain form. Its leaves are then the labels of the model, whatever ``n_labels`` is,
        and cells may have a label at any level (:meth:`set_leaves`).
    labels_in_elbo
        Let a labelled cell enter the ELBO with its label, and only unlabelled ones with an expectation over labels, as
        the paper has it. ``False`` takes the expectation for all cells, as scvi-tools does. With a hierarchy labels
        enter the ELBO in any case.

    Raises
    ------
    ValueError
        If the hierarchy has a single leaf, or there are unobserved classes beside it.

    References
    ----------
    Xu et al. 2021 (scANVI), Suppl. Note 2: the ELBO is L of cells with a label plus U of those without.
    """

    classifier: Any

    @extends(scvi.module.SCANVAE.__init__)
    def __init__(
        self,
        *args: Any,
        batch_free_decoder_layer: bool = False,
        reconstruction_weight: float = 1.0,
        layer_widths: Sequence[int] | None = None,
        normalize_encoder_input: bool = False,
        n_unobserved: int = 0,
        hierarchy: LabelTree | Mapping[str, str | None] | None = None,
        labels_in_elbo: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs = check_network(kwargs, type(self), name="SCANVAE")
        tree = None if hierarchy is None else LabelTree.of(hierarchy)
        given = signature(super().__init__).bind(*args, **kwargs)
        if tree is not None:
            if len(tree.leaves) < 2:
                message = f"the hierarchy must have at least two leaves; it has {list(tree.leaves)}"
                raise ValueError(message)
            if n_unobserved:
                message = "a hierarchy has no place for unobserved classes: pass hierarchy or n_unobserved, not both"
                raise ValueError(message)
            given.arguments["n_labels"] = len(tree.leaves)
        n_unobserved = check.whole("n_unobserved", n_unobserved, least=0)
        given.arguments["n_labels"] = given.arguments.get("n_labels", 0) + n_unobserved
        super().__init__(*given.args, **given.kwargs)
        self.n_unobserved = n_unobserved
        check.flags(labels_in_elbo=labels_in_elbo)
        self.labels_in_elbo = labels_in_elbo or tree is not None
        if tree is not None:
            self.classifier = HierarchicalClassifier(self.classifier, tree)
            self.set_leaves(torch.eye(self.n_labels, dtype=torch.bool))
        self.adapt(
            batch_free_decoder_layer=batch_free_decoder_layer,
            reconstruction_weight=reconstruction_weight,
            layer_widths=layer_widths,
            normalize_encoder_input=normalize_encoder_input,
        )

    def set_leaves(self, leaves: Tensor) -> None:
        """Set which leaves of the hierarchy each label stands for.

        Parameters
        ----------
        leaves
            Boolean, shape ``(n_codes, n_leaves)``: a row for each code that cells have as their label. The next code
            means no label. By default the leaves in the order of the hierarchy.
        """
        unlabeled = torch.ones_like(leaves[:1])
        self.register_buffer("_leaves", torch.cat([leaves, unlabeled]), persistent=False)

    @property
    def unlabeled_code(self) -> int:
        """Code of cells without a label."""
        return self.n_labels - self.n_unobserved if self._leaves_of_codes is None else len(self._leaves_of_codes) - 1

    @property
    def _label_weights(self) -> Tensor | None:
        return self._buffers.get("_weights_of_codes")

    @property
    def _leaves_of_codes(self) -> Tensor | None:
        return self._buffers.get("_leaves")

    def _classes_of(self, labels: Tensor) -> Tensor:
        """Return the classes that each cell may belong to, Boolean, shape ``(n_cells, n_labels)``."""
        if self._leaves_of_codes is not None:
            return self._leaves_of_codes[labels]
        classes = torch.arange(self.n_labels, device=labels.device)
        return (labels[:, None] == classes) | (labels[:, None] >= self.unlabeled_code)

    def label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of labels, shape ``(n_cells,)``, which may be inner labels of a hierarchy.

        An inner label has the probability of all leaves below it. The mean is weighted by :meth:`set_label_weights`.
        """
        if self._leaves_of_codes is None:
            losses = cross_entropy(logits, labels, reduction="none")
        else:
            allowed = self._leaves_of_codes[labels]
            losses = logits.logsumexp(-1) - logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)
        if self._label_weights is None:
            return losses.mean()
        weights = self._label_weights[labels]
        return (losses * weights).sum() / weights.sum()

    def set_label_weights(self, weights: Tensor | None) -> None:
        """Set how much cells of each label count in the classification loss.

        Parameters
        ----------
        weights
            A value for each code of a label, shape ``(n_codes,)``; ``None`` if all cells count alike.
        """
        self.register_buffer("_weights_of_codes", weights, persistent=False)

    def classification_loss(self, labelled_dataset: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of scvi-tools, labels and logits.

        For scores, an inner label is the likeliest leaf below it.
        """
        labels = labelled_dataset[REGISTRY_KEYS.LABELS_KEY]
        if self._leaves_of_codes is None:
            loss, labels, logits = super().classification_loss(labelled_dataset)
            return (
                loss if self._label_weights is None else self.label_loss(logits, labels.view(-1).long()),
                labels,
                logits,
            )
        leaf = torch.zeros_like(labels)  # scvi-tools' own loss, which is not used, knows leaves only
        *_, logits = super().classification_loss({**labelled_dataset, REGISTRY_KEYS.LABELS_KEY: leaf})
        codes = labels.view(-1).long()
        likeliest = logits.masked_fill(~self._leaves_of_codes[codes], -torch.inf).argmax(-1, keepdim=True)
        return self.label_loss(logits, codes), likeliest, logits

    def loss(  # noqa: PLR0917 (scvi-tools reads this signature)
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Any],
        generative_ouputs: dict[str, Any],  # scvi-tools' spelling
        kl_weight: float = 1.0,
        labelled_tensors: dict[str, Tensor] | None = None,
        classification_ratio: float | None = None,
    ) -> Any:
        """Return the loss of scvi-tools, or with ``labels_in_elbo`` that of the paper.

        With a hierarchy, labelled cells are expected in the leaves of their label only.
        """
        if not self.labels_in_elbo:
            return super().loss(
                tensors, inference_outputs, generative_ouputs, kl_weight, labelled_tensors, classification_ratio
            )
        labels = tensors[REGISTRY_KEYS.LABELS_KEY].view(-1).long()
        with restricted(self.classifier, self._classes_of(labels)):
            output = super().loss(tensors, inference_outputs, generative_ouputs, kl_weight)
        if labelled_tensors is None:
            return output
        loss, true_labels, logits = self.classification_loss(labelled_tensors)
        return replace(
            output,
            loss=output.loss + loss * classification_ratio,
            classification_loss=loss,
            true_labels=true_labels,
            logits=logits,
        )

    def classify(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Classify cells from their counts, as scvi-tools does."""
        return super().classify(self.encoded(x), *args, **kwargs)

    def on_load(self, model: BaseModelClass, **kwargs: Any) -> None:
        """Adapt the classifier of scvi-tools before 1.1, which scvi-tools does with the cells at hand only."""
        if model.adata is not None:
            super().on_load(model, **kwargs)
            return
        version = str(model.registry_["scvi_version"])  # type: ignore[attr-defined]
        options = model.init_params_.get("model_kwargs", {}).get("classifier_parameters", {})  # type: ignore[attr-defined]
        if tuple(map(int, version.split(".")[:2])) < _LOGITS_SINCE and not options.get("logits", False):
            self.classifier.logits = False
            self.classifier.classifier.append(torch.nn.Softmax(dim=-1))
