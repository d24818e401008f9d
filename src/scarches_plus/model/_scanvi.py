"""Define scANVI as a reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
import scvi.model
import torch
from scvi.train._callbacks import SubSampleLabels

from scarches_plus import _arguments as check
from scarches_plus._label_tree import LabelTree
from scarches_plus._options import by_name, check_network, extends
from scarches_plus.module import SCANVAE
from scarches_plus.train import SemiSupervisedTrainingPlan, observe_cells, train_classifier

from ._mixins._differential_expression import DifferentialExpressionMixin
from ._mixins._label_expression import LabelExpressionMixin
from ._mixins._mixin import ReferenceMixin
from ._registration._registry import categories, require_model, state_registry
from ._speed._data_splitter import SemiSupervisedDataSplitter
from ._state import get_state, hash_of, update_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray


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
        ``reconstruction_weight``, ``layer_widths`` and ``normalize_encoder_input`` as in :class:`SCVI`.
        ``labels_in_elbo=True`` lets a labelled cell enter the ELBO with its label, and only unlabelled ones with an
        expectation over labels, as in the paper; scvi-tools, and the default, take the expectation for all cells.
        ``n_unobserved`` adds classes that no cell is labelled with, for types that the labels lack; the paper has one.
        ``predict`` gives them one answer, the unlabelled category, whose probability is the sum of theirs: a cell is
        called so where that sum exceeds the probability of every label. They learn from unlabelled cells, which have to
        be among those that train.
    hierarchy
        Hierarchy of labels, made by :func:`scarches_plus.pp.label_tree`: the classifier decides level by level, and
        cells may have a label at any level. The model's labels are the leaves, also those that no cell has.

    Raises
    ------
    ValueError
        If labels of the cells are not in the hierarchy, or the unlabelled category is, or it has a single leaf, or
        there are unobserved classes beside it.

    References
    ----------
    Xu et al. 2021 (scANVI), Suppl. Note 4 for the hierarchy; Lotfollahi et al. 2021 (scArches).
    """

    _module_cls = SCANVAE
    _training_plan_cls = SemiSupervisedTrainingPlan
    _data_splitter_cls = SemiSupervisedDataSplitter
    _hierarchy: LabelTree | None = None

    @extends(scvi.model.SCANVI.__init__)
    def __init__(
        self, *args: Any, hierarchy: LabelTree | Mapping[str, str | None] | None = None, **kwargs: Any
    ) -> None:
        make = super().__init__
        kwargs = check_network(by_name(make, args, kwargs), type(self), SCANVAE, name="SCANVI")
        if hierarchy is not None:
            self._hierarchy = LabelTree.of(hierarchy)
            kwargs["hierarchy"] = self._hierarchy.to_plain()
        make(**kwargs)
        if self._hierarchy is not None:
            self.n_labels = self.module.n_labels
            leaves = self._hierarchy.covers(categories(self, "labels")[:-1])
            self.module.set_leaves(torch.from_numpy(leaves).to(self.device))

    @property
    def hierarchy(self) -> LabelTree | None:
        """Hierarchy of the labels, if the model has one."""
        return self._hierarchy

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
        require_model("scvi_model", scvi_model)
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
        else:
            super()._set_indices_and_labels(datamodule)
            if datamodule is None and self.unlabeled_category_ not in self.labels_:
                # the registry always holds the unlabelled category, which is no class of the classifier
                self.labels_ = np.append(self.labels_.astype(object), self.unlabeled_category_)
        if self._hierarchy is not None:  # the classes are its leaves, not the labels that cells have
            if self.unlabeled_category_ in self._hierarchy.parents:
                message = f"{self.unlabeled_category_!r} means cells without a label; leave it out of the hierarchy"
                raise ValueError(message)
            self._hierarchy.require(categories(self, "labels")[:-1], f"labels of obs[{self.original_label_key!r}]")
            self._label_mapping = np.array([*self._hierarchy.leaves, self.unlabeled_category_], dtype=object)
            self._code_to_label = dict(enumerate(self._label_mapping))

    def predict(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        soft: bool = False,  # noqa: FBT001, FBT002 (scvi-tools' signature)
        *args: Any,
        unknown_above: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Predict labels as scvi-tools does, or at the level of the hierarchy that is certain.

        Parameters
        ----------
        adata, indices, soft
            As in scvi-tools. Probabilities are those of the leaves; :meth:`predict_nodes` has all.
        *args, **kwargs
            As in scvi-tools.
        unknown_above
            Uncertainty, 1 minus the probability, up to which a label is given: the deepest label of the hierarchy that
            is certain enough, the unlabelled category where none is. Without a hierarchy, the best label or the
            unlabelled category. ``None`` always gives the best leaf.

        Returns
        -------
        numpy.ndarray or pandas.DataFrame
            As in scvi-tools.

        Raises
        ------
        ValueError
            If ``unknown_above`` is not between 0 and 1, or given with ``soft=True``.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        check.cells("adata", adata, or_none=True)
        check.flags(soft=soft)
        if kwargs.get("batch_size") is not None:
            kwargs["batch_size"] = check.whole("batch_size", kwargs["batch_size"], least=1)
        if unknown_above is None:
            return super().predict(adata, indices, soft, *args, **kwargs)
        if soft:
            message = "unknown_above is for predicted labels; leave it out, or soft=True"
            raise ValueError(message)
        check.number("unknown_above", unknown_above, least=0, most=1)
        table = self.predict_nodes(adata, indices, *args, **kwargs)
        tree = self._tree
        codes, _ = tree.certain(table.to_numpy(dtype=np.float64), unknown_above)
        return np.array([*tree.nodes, self.unlabeled_category_], dtype=object)[codes].astype(str)

    def predict_nodes(
        self, adata: AnnData | None = None, indices: Sequence[int] | None = None, *args: Any, **kwargs: Any
    ) -> pd.DataFrame:
        """Return the probabilities of all labels of the hierarchy: that of a label is the sum of those below it.

        Parameters
        ----------
        adata, indices
            As in :meth:`predict`.
        *args, **kwargs
            What follows ``soft`` in :meth:`predict`.

        Returns
        -------
        pandas.DataFrame
            Cells x labels, depth first. Without a hierarchy, what :meth:`predict` gives with ``soft=True``.
        """
        check.cells("adata", adata, or_none=True)
        leaves = super().predict(adata, indices, True, *args, **kwargs)  # noqa: FBT003 (scvi-tools' signature)
        tree = self._tree
        observed = leaves.to_numpy()[:, : len(tree.leaves)]  # beyond are classes that no cell is labelled with
        return pd.DataFrame(tree.node_probabilities(observed), index=leaves.index, columns=pd.Index(tree.nodes))

    def predict_embedding(self, embedding: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of labels at points of the latent space, which need no cells of the model.

        Parameters
        ----------
        embedding
            Latent means, such as ``obsm["X_scarches"]``, shape ``(n_cells, n_latent)``.

        Returns
        -------
        Shape ``(n_cells, n_labels)``, labels in the order of :attr:`classes`. Rows sum to 1, or less where the model
        has classes without labels (``n_unobserved``).

        Raises
        ------
        ValueError
            If the points are of another space than the model's.
        TypeError
            If they are no numbers.
        """
        points = check.array("embedding", embedding)
        if points.ndim != 2 or points.shape[1] != self.module.n_latent:
            message = f"embedding must have shape (n_cells, {self.module.n_latent}), not {points.shape}"
            raise ValueError(message)
        self.module.eval()
        with torch.inference_mode():
            output = self.module.classifier(torch.as_tensor(points, dtype=torch.float32, device=self.device))
            shares = output.softmax(-1) if self.module.classifier.logits else output
        found: NDArray[np.float32] = shares[:, : len(self.classes)].cpu().numpy()
        return found

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels that the classifier tells apart, in its order: all, or the leaves of the hierarchy."""
        return self._tree.leaves

    @property
    def _tree(self) -> LabelTree:
        """The hierarchy, of one level if the model has none."""
        if self._hierarchy is not None:
            return self._hierarchy
        return LabelTree(dict.fromkeys(map(str, self._label_mapping[: self.n_labels])))

    def train(self, *args: Any, **kwargs: Any) -> None:
        """Train as :meth:`SCVI.train <scarches_plus.model.SCVI.train>`, with scANVI's label sampler beside callbacks.

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
                f"n_unobserved={self.module.n_unobserved} has nothing to learn from, since every cell has a label: add "
                "the cells to annotate, unlabelled, or leave it out"
            )
            warn(message, UserWarning, stacklevel=2)
        super().train(*args, **kwargs)

    def fit_classifier(self, *, steps: int = 400, label_balance: float = 0.5) -> None:
        r"""Fit the classifier alone to the labelled cells, and leave all other networks as they are.

        Minimises :math:`E_{q(z | x)} [-\log q(y | z)]`, the second part of the paper's Algorithm 2, until it has
        converged. The latent space stays what it is. Recipe ``"scanvi"`` ends with this: after few steps of training,
        as with few cells, the classifier may not know rare labels that nearest neighbours find.

        Parameters
        ----------
        steps
            Steps of Adam, on 128 cells each.
        label_balance
            How cells of different labels count: a label of ``n`` cells counts ``n ** (1 - label_balance)`` in all. 0:
            every cell alike; 1: every label alike.

        Raises
        ------
        ValueError
            If the model has no labelled cells, or classes that no cell is labelled with, or is a query model whose
            surgery left the classifier as it is.
        TypeError
            If an argument is of another kind, such as a text where a number is meant.

        References
        ----------
        Xu et al. 2021 (scANVI), Suppl. Note 3, Algorithm 2.
        """
        steps = check.whole("steps", steps, least=1)
        check.number("label_balance", label_balance, least=0, most=1)
        if self.surgery is not None and self.surgery.strategy != "all":
            message = (
                f"surgery with strategy={self.surgery.strategy!r} leaves the classifier as it is; fit that of the "
                "reference before mapping, or map with strategy='all'"
            )
            raise ValueError(message)
        if self.module.n_unobserved:
            message = (
                f"n_unobserved={self.module.n_unobserved} classes learn from unlabelled cells, and a fit to labelled "
                "cells would forget them: leave it out"
            )
            raise ValueError(message)
        if not len(self._labeled_indices):
            message = "the model has no labelled cells to fit the classifier to: pass cells with labels to its class"
            raise ValueError(message)
        observed = observe_cells(self, self._labeled_indices.tolist())
        codes = self.adata_manager.get_from_registry("labels")[self._labeled_indices].ravel()
        labels = torch.as_tensor(codes.astype(np.int64), device=self.device)
        z_mean, z_var = (observed[name].to(self.device) for name in ("z_mean", "z_var"))
        self.module.set_label_weights(None)
        train_classifier(self.module, z_mean, z_var, labels, steps=steps, balance=label_balance)
        update_state(self, weights=hash_of(self))

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
        return posterior.iloc[:, : len(self.classes)].max(axis=1).rename("confidence")
