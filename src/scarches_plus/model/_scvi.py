"""scVI as a reference model."""

import scvi.model

from scarches_plus.module import VAE

from ._mixin import ReferenceMixin


class SCVI(ReferenceMixin, scvi.model.SCVI):
    """:class:`scvi.model.SCVI` that maps queries by strategy and can prove that the reference did not move.

    Everything of scvi-tools' class works, and files open in both packages. What differs: :meth:`load_query_data` and
    :meth:`train`. For references, set ``encode_covariates=True``, ``use_layer_norm="both"`` and
    ``use_batch_norm="none"``, as the recipes do: with the defaults of scvi-tools the encoder does not see the batch
    and surgery cannot move a query.

    Parameters
    ----------
    adata
        Cells that ``SCVI.setup_anndata`` registered.
    registry, n_hidden, n_latent, n_layers, dropout_rate, dispersion, gene_likelihood, use_observed_lib_size
        As in scvi-tools.
    latent_distribution, kwargs
        As in scvi-tools.

    References
    ----------
    Lopez et al. 2018 (scVI); Lotfollahi et al. 2021 (scArches).
    """

    _module_cls = VAE
