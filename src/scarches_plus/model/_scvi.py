"""Define scVI as a reference model."""

from typing import Any

import scvi.model

from scarches_plus._options import by_name, check_network, extends
from scarches_plus.module import VAE

from ._mixins._differential_expression import DifferentialExpressionMixin
from ._mixins._mixin import ReferenceMixin


class SCVI(DifferentialExpressionMixin, ReferenceMixin, scvi.model.SCVI):
    """:class:`scvi.model.SCVI` that maps queries by strategy and can prove that the reference did not move.

    Everything of scvi-tools' class works, and files open in both packages, but for the networks below that scvi-tools
    does not have. What differs: :meth:`load_query_data` and
    :meth:`train`. For references, set ``encode_covariates=True``, ``use_layer_norm="both"`` and
    ``use_batch_norm="none"``, as the recipes do: with the defaults of scvi-tools the encoder does not see the batch
    and surgery cannot move a query.

    Parameters
    ----------
    adata
        Cells that ``SCVI.setup_anndata`` registered.
    registry, n_hidden, n_latent, n_layers, dropout_rate, dispersion, use_observed_lib_size, latent_distribution
        As in scvi-tools.
    gene_likelihood
        As in scvi-tools, or a squared error of normalised expression (trVAE), ``"mse"`` averaged over genes and
        ``"sse"`` summed. The cells still bring raw counts ``x``; encoder and error take ``log1p(1e4 * x / x.sum())``,
        the sum over the genes of the model. The decoder's output is a linear layer cut off at zero, and
        ``get_normalized_expression`` returns shares of counts. What needs a distribution of counts, such as
        posterior predictive samples and marginal likelihoods, is refused; so are options of ``dispersion`` and library
        size.
    kwargs
        As in scvi-tools (options of :class:`~scarches_plus.module.VAE`), and: ``batch_free_decoder_layer=True`` lets
        batch and categorical covariates enter the decoder after its first layer (BA-scVI; with at least two layers).
        ``reconstruction_weight`` is the factor of a squared error (trVAE's eta; its alpha is the training's
        ``plan_kwargs={"max_kl_weight": ...}``). ``layer_widths`` gives the encoder's hidden layers a width each, from
        the data on, and the decoder's the same in reverse. ``normalize_encoder_input=True`` lets the encoder see
        ``log1p(1e4 * x / x.sum())`` (BA-scVI), while the likelihood stays one of counts. Files of models with any of
        these, or with a squared error, do not open in plain scvi-tools.

    References
    ----------
    Lopez et al. 2018 (scVI); Lotfollahi et al. 2021 (scArches, trVAE); arXiv 2503.20730 (BA-scVI).
    """

    _module_cls = VAE

    @extends(scvi.model.SCVI.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        make = super().__init__
        make(**check_network(by_name(make, args, kwargs), type(self), VAE, name="SCVI"))
