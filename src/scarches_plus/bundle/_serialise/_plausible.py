"""Check sizes and arguments of a saved model against the shapes of its weights.

The check comes before any memory is taken for the network.
"""

from __future__ import annotations

from inspect import Parameter, signature
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from scarches_plus._reference import ReferenceSpec

#: Arguments of scvi-tools that are no options of the network.
NO_OPTIONS = {"datamodule", "registry", "adata"}
#: Arguments that are arrays or functions, which a file without code cannot hold.
_NEVER_PLAIN = {
    "library_log_means", "library_log_vars", "protein_background_prior_mean", "protein_background_prior_scale",
    "protein_batch_mask", "var_activation", "y_prior",
}  # fmt: skip
_PLACES = ("encoder", "decoder", "none", "both")
_DISPERSIONS = ("gene", "gene-batch", "gene-label", "gene-cell")
_CHOICES = {
    "batch_representation": ("one-hot", "embedding"),
    "dispersion": _DISPERSIONS,
    "gene_dispersion": _DISPERSIONS,
    "gene_likelihood": ("zinb", "nb", "poisson", "normal", "mse", "sse"),
    "latent_distribution": ("normal", "ln"),
    "protein_dispersion": ("protein", "protein-batch", "protein-label"),
    "use_batch_norm": _PLACES,
    "use_layer_norm": _PLACES,
}
#: No number among a model's arguments, and no number of labels, can be larger than this and than every dimension of its
#: weights.
_LARGEST_ARGUMENT = 10_000
#: So many genes, batches or other names are described within a second.
_MANY_NAMES = 30_000
#: Where there are more names, each has at least so many weights of its own.
_WEIGHTS_OF_NAME = 8
#: Values of columns of stand-ins that any model may have.
_FEW_VALUES = 2**24


def require_plausible_sizes(spec: ReferenceSpec, weights: Mapping[str, Tensor]) -> None:
    """Refuse numbers of genes, batches, proteins, labels and covariates that weights of these shapes cannot belong to.

    The network itself is compared later. What it takes to describe it grows with these numbers, and is kept small here:
    each batch, gene, protein and covariate has a place along some dimension of the weights.

    Parameters
    ----------
    spec
        What cells are said to be like.
    weights
        Name to tensor.

    Raises
    ------
    ValueError
        If there is more of something than the weights have room for.
    """
    widest = max((n for value in weights.values() for n in value.shape if value.numel()), default=0)
    categories = {f"categorical_covariates.{key}": values for key, values in spec.categorical_covariates.items()}
    named: dict[str, Any] = {
        "var_names": spec.var_names,
        "batches": spec.batches,
        "proteins": spec.proteins,
        "labels": spec.labels,
        "continuous_covariates": spec.continuous_covariates,
        "categorical_covariates": spec.categorical_covariates,
        **categories,
    }
    n_weights = sum(value.numel() for value in weights.values())
    for name, values in named.items():
        # labels need not be part of the network, nor does a category that is the only one
        room = max(widest, _LARGEST_ARGUMENT) if name == "labels" else max(widest, 1)
        room = min(room, max(_MANY_NAMES, n_weights // _WEIGHTS_OF_NAME))
        if len(values) > room:
            message = (
                f"{name}: {len(values)} are more than the weights have room for, whose widest dimension is {widest}, "
                f"and of which there are {n_weights}"
            )
            raise ValueError(message)
    if spec.labels_key is not None and not spec.labels and spec.unlabeled_category is None:
        message = f"labels: the column {spec.labels_key!r} has none"
        raise ValueError(message)
    rows = max(map(len, (spec.batches, spec.labels, *categories.values())))
    columns = len(spec.proteins) + len(spec.continuous_covariates) + len(categories)
    if rows * columns > max(_FEW_VALUES, n_weights):
        message = (
            f"batches, labels, proteins, covariates: {rows} categories and {columns} columns are more than the weights "
            "have room for"
        )
        raise ValueError(message)


def known_arguments(cls: Any, given: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return arguments of a model, if class and module have all of them and none asks for the impossible.

    Parameters
    ----------
    cls
        Class of the model.
    given
        Arguments of its constructor, as plain values.
    weights
        Name to tensor.

    Raises
    ------
    ValueError
        If there is no such argument, or no such value of it, or it is larger than the weights allow.
    """
    known = _parameters(cls)
    largest = max([_LARGEST_ARGUMENT, len(weights), *(n for value in weights.values() for n in value.shape)])
    arguments = {}
    for name, value in given.items():
        if name not in known:
            if value is None:  # an option of a newer version, at rest
                continue
            message = f"{cls.__name__} has no argument {name!r}; the model may need a newer scvi-tools or scarches_plus"
            raise ValueError(message)
        _require_such_value(name, value, known[name])
        for option, one in value.items() if isinstance(value, dict) else ():
            if isinstance(known.get(option), int | float):  # numbers mean the same in parts of a network
                _require_such_value(f"{name}.{option}", one, known[option])
        for part, number in _integers(name, value):
            if abs(number) > (len(weights) if "layers" in part else largest):
                message = f"argument {name}={value!r} is larger than the weights allow"
                raise ValueError(message)
        arguments[name] = value
    return arguments


def _parameters(cls: Any) -> dict[str, Any]:
    """Return the defaults of all that constructors of a class and its module take, the nearest first."""
    defaults: dict[str, Any] = {}
    for one in (*cls.__mro__, *cls._module_cls.__mro__):
        if one is not object and "__init__" in vars(one):
            for name, parameter in signature(vars(one)["__init__"]).parameters.items():
                if parameter.kind not in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
                    defaults.setdefault(name, parameter.default)
    return {name: default for name, default in defaults.items() if name not in {"self", *NO_OPTIONS}}


def _require_such_value(name: str, value: Any, default: Any) -> None:
    if name in _CHOICES:
        expected, fits = f"one of {_CHOICES[name]}", value in _CHOICES[name]
    elif name in _NEVER_PLAIN:
        expected, fits = "left out, as it is no plain value", value is None
    elif isinstance(default, bool):
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        expected, fits = "a whole number from 0 on", type(value) is int and value >= 0
    elif isinstance(default, float):
        expected, fits = "a number from 0 on", type(value) in {int, float} and isfinite(value) and value >= 0
    elif name == "classifier_parameters" or name.endswith("_kwargs"):
        expected, fits = "a table of options", value is None or isinstance(value, dict)
    else:
        return
    if not fits:
        message = f"argument {name}={value!r} has to be {expected}"
        raise ValueError(message)


def _integers(name: str, value: Any) -> list[tuple[str, int]]:
    """Return the integers in a plain value, each with the name nearest to it."""
    if isinstance(value, dict):
        return [pair for key, one in value.items() for pair in _integers(key, one)]
    if isinstance(value, list | tuple):
        return [pair for one in value for pair in _integers(name, one)]
    return [(name, value)] if isinstance(value, int) else []
