"""scANVI as a reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import scvi.model
from scvi.train._callbacks import SubSampleLabels

from scarches_plus.module import SCANVAE
from scarches_plus.train import SemiSupervisedTrainingPlan

from ._data_splitter import SemiSupervisedDataSplitter
from ._differential_expression import DifferentialExpressionMixin
from ._label_expression import LabelExpressionMixin
from ._mixin import ReferenceMixin
from ._spec import state_registry
from ._state import get_state, update_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData


class SCANVI(LabelExpressionMixin, DifferentialExpressionMixin, ReferenceMixin, scvi.model.SCANVI):
    """:class:`scvi.model.SCANVI` that maps queries by strategy and can prove that the reference did not move.

    Everything of scvi-tools' class works, and files open in both packages. What differs: :meth:`load_query_data`,
    :meth:`train`, and that a model loads without cells.

    Parameters
    ----------
    adata
        Cells that ``SCANVI.setup_anndata`` registered.
    registry, n_hidden, n_latent, n_layers, dropout_rate, dispersion, use_observed_lib_size
        As in scvi-tools.
    gene_likelihood
        As in scvi-tools, or ``"mse"`` or ``"sse"`` as in :class:`SCVI`.
    linear_classifier, datamodule
        As in scvi-tools.
    model_kwargs
        As in scvi-tools (options of :class:`~scarches_plus.module.SCANVAE`), and ``batch_free_decoder_layer``,
        ``reconstruction_weight`` and ``layer_widths`` as in :class:`SCVI`. ``n_unobserved`` adds classes that no cell is labelled
        with, for types that the labels lack; the paper has one. ``predict`` gives them one answer, the unlabelled category, whose
        probability is the sum of theirs: a cell is called so where that sum exceeds the probability of every label. They learn from
        unlabelled cells, which have to be among those that train.

    References
    ----------
    Xu et al. 2021 (scANVI); Lotfollahi et al. 2021 (scArches).
    """

    _module_cls = SCANVAE
    _training_plan_cls = SemiSupervisedTrainingPlan
    _data_splitter_cls = SemiSupervisedDataSplitter

    @classmethod
    def from_scvi_model(cls, scvi_model: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a scANVI model from a trained scVI model, whose gene mask it takes over.

        Parameters
        ----------
        scvi_model
            Model of this package or of scvi-tools.
        *args, **kwargs
            As in scvi-tools.
        """
        model = super().from_scvi_model(scvi_model, *args, **kwargs)
        update_state(model, unmeasured=get_state(scvi_model).unmeasured)
        return model

    def _set_indices_and_labels(self, datamodule: Any = None) -> None:
        """Set labelled and unlabelled cells, such that the number of labels does not depend on the cells at hand.

        scvi-tools counts the labels of the cells: without cells (1.4), or with labelled cells of fewer types than the
        reference has, it makes a classifier with one label too many.
        """
        if self.adata is None and datamodule is None:
            state = state_registry(self, "labels")
            self.original_label_key = state["original_key"]
            self.unlabeled_category_ = state["unlabeled_category"]
            self._label_mapping = state["categorical_mapping"]
            self._code_to_label = dict(enumerate(self._label_mapping))
            self._labeled_indices = self._unlabeled_indices = np.array([], dtype=int)
            self.labels_ = np.array([self.unlabeled_category_], dtype=object)
            return
        super()._set_indices_and_labels(datamodule)
        if datamodule is None and self.unlabeled_category_ not in self.labels_:
            # the registry always holds the unlabelled category, which is no class of the classifier
            self.labels_ = np.append(self.labels_.astype(object), self.unlabeled_category_)

    def train(self, *args: Any, **kwargs: Any) -> None:
        """Train the model as :meth:`ReferenceMixin.train` does, keeping scANVI's label sampler beside user callbacks.

        Parameters
        ----------
        *args, **kwargs
            As in :meth:`SCVI.train`, with scANVI's own arguments of scvi-tools.
        """
        # scvi-tools drops its sampler as soon as callbacks are given
        if kwargs.get("callbacks") and kwargs.get("datamodule") is None and len(self._labeled_indices):
            kwargs["callbacks"] = [*kwargs["callbacks"], SubSampleLabels()]
        if self.module.n_unobserved and not len(self._unlabeled_indices) and self.surgery is None:
            message = (
                f"n_unobserved={self.module.n_unobserved} has nothing to learn from, since every cell has a label: add the cells "
                "to annotate, unlabelled, or leave it out"
            )
            warn(message, UserWarning, stacklevel=2)
        super().train(*args, **kwargs)

    def confidence(
        self, adata: AnnData | None = None, *, indices: Sequence[int] | None = None, batch_size: int | None = None
    ) -> pd.Series:
        """Return the probability of each cell's best label, low where none fits.

        With ``n_unobserved`` it does not hold the classes without labels: what these take is lost to it.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`predict`.

        References
        ----------
        Xu et al. 2021 (scANVI), "Maximum Posterior Probability".
        """
        posterior = self.predict(adata, indices=indices, soft=True, batch_size=batch_size)
        return posterior[list(self.spec.labels)].max(axis=1).rename("confidence")
