"""Check options of networks, such as ``n_hidden``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus import _limits

from ._check import check_options, or_none, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_UNITS = partial(check.whole, least=1, most=_limits.UNITS)
_LAYERS = partial(check.whole, least=1, most=_limits.LAYERS)
_SHARE = partial(check.number, least=0, below=1)
_DISPERSION = partial(check.choice, options=("gene", "gene-batch", "gene-label", "gene-cell"))
_WHERE = partial(check.choice, options=("encoder", "decoder", "none", "both"))
_RULES: dict[str, Callable[[str, Any], Any]] = {
    "n_hidden": _UNITS,
    "n_latent": _UNITS,
    "n_layers": _LAYERS,
    "n_layers_encoder": _LAYERS,
    "n_layers_decoder": _LAYERS,
    "dropout_rate": _SHARE,
    "dropout_rate_encoder": _SHARE,
    "dropout_rate_decoder": _SHARE,
    "dispersion": _DISPERSION,
    "gene_dispersion": _DISPERSION,
    "protein_dispersion": partial(check.choice, options=("protein", "protein-batch", "protein-label")),
    "gene_likelihood": partial(check.choice, options=("zinb", "nb", "poisson", "normal", "mse", "sse")),
    "latent_distribution": partial(check.choice, options=("normal", "ln")),
    "use_batch_norm": _WHERE,
    "use_layer_norm": _WHERE,
    "encode_covariates": check.flag,
    "deeply_inject_covariates": check.flag,
    "use_observed_lib_size": check.flag,
    "linear_classifier": check.flag,
    "empirical_protein_background_prior": or_none(check.flag),
    "override_missing_proteins": check.flag,
    "batch_free_decoder_layer": check.flag,
    "normalize_encoder_input": check.flag,
    "reconstruction_weight": partial(check.number, above=0),
    "n_unobserved": partial(check.whole, least=0, most=_limits.UNITS),
    "labels_in_elbo": check.flag,
}


def check_network(
    options: Mapping[str, Any] | None, *classes: type, name: str, without: Collection[str] = ()
) -> dict[str, Any]:
    """Return options of a network by name, whole numbers as such.

    Parameters
    ----------
    options
        Options; ``None`` means none.
    classes
        Constructors that take them, such as a model's class and that of its module.
    name
        Name of the options, for messages.
    without
        Parameters that are no options, as others give them.

    Raises
    ------
    TypeError
        If no constructor knows an option, or its value is of another kind.
    ValueError
        If a value is out of range.
    """
    return check_options(name, options, parameters_of(*classes) - set(without), _RULES)
