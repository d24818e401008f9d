"""Select the entries that each surgery strategy trains, and fill new batch columns.

scvi-tools pads every tensor that grew at its end. That is right for one categorical covariate; with a second one the
new batch column belongs into the middle, and padding would shift the reference's own weights. So each grown tensor is
rebuilt here from the reference's, category by category.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from scvi import REGISTRY_KEYS
from scvi.nn import FCLayers
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from scarches_plus.train import Importance

    Entries = dict[str, tuple[int, Tensor] | None]

Strategy = Literal["condition", "input_layers", "all"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)

#: The stacks whose first layer takes the data: expression, or the latent variable.
_INPUT_STACKS = (
    *("z_encoder.encoder", "l_encoder.encoder", "decoder.px_decoder"),
    *("encoder.encoder", "encoder.l_gene_encoder"),  # totalVI
    *("decoder.py_back_decoder", "decoder.py_fore_decoder", "decoder.sigmoid_decoder"),
)
#: scANVI's stacks that are conditioned on labels.
LABEL_STACKS = ("encoder_z2_z1", "decoder_z1_z2")
#: Tensors with a slice for each batch, and its dimension.
_BATCH_TENSORS = {
    **dict.fromkeys(("px_r", "py_r", "library_log_means", "library_log_vars"), 1),
    **dict.fromkeys(("background_pro_alpha", "background_pro_log_beta", "log_per_batch_efficiency"), 1),  # totalVI
}
#: Dispersions with the options that say what they depend on.
_DISPERSIONS = {"px_r": ("dispersion", "gene_dispersion"), "py_r": ("protein_dispersion",)}
NEW = -1
IMPLICIT = -2


def column_sources(n_features: int, reference: Sequence[int], query: Sequence[int]) -> Tensor:
    """Map the columns of a layer after surgery to the reference's columns.

    A layer's input is features followed by one-hot categories, covariate by covariate; scvi-tools gives a covariate of
    one category no column.

    Parameters
    ----------
    n_features
        Columns that are no categories.
    reference, query
        Number of categories of each covariate in the reference, and after surgery (reference categories first).

    Returns
    -------
    Tensor
        One entry per column after surgery: the reference's column, -1 for a new category, -2 for the reference's only
        category, which had no column.
    """
    sources = list(range(n_features))
    next_column = n_features
    for before, after in zip(reference, query, strict=True):
        had_columns = before > 1
        if after > 1:
            known = range(next_column, next_column + before) if had_columns else [IMPLICIT] * before
            sources += [*known, *[NEW] * (after - before)]
        next_column += before if had_columns else 0
    return torch.tensor(sources)


def grow(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    reference: Mapping[str, int],
    query: Mapping[str, int],
) -> tuple[dict[str, Tensor], Entries, Entries]:
    """Fit the reference's weights into the query's module.

    New columns start at random, as in the paper; new dispersions start at the mean of the reference's. The column of a
    reference's only category, which had none, is zero, so that the reference does not move.

    Parameters
    ----------
    module
        Module of the query, with room for the new categories.
    weights
        State dict of the reference.
    reference, query
        Number of categories of each covariate (batch first) in the reference and after surgery.

    Returns
    -------
    tuple
        The state dict for ``module``, the entries that belong to new categories, and those of all categories.

    Raises
    ------
    RuntimeError
        If a tensor changed its shape for a reason not known here.
    """
    state = dict(module.state_dict())
    fresh: Entries = {}
    conditional: Entries = {}
    sources = _grown_tensors(module, weights, reference, query)
    for name, old in weights.items():
        if name not in sources:
            if state[name].shape != old.shape:
                message = f"surgery cannot grow {name!r} from {tuple(old.shape)} to {tuple(state[name].shape)}"
                raise RuntimeError(message)
            state[name] = old.clone()
            continue
        dim, source, n_features = sources[name]
        state[name] = _rebuild(state[name], old, dim, source, start_at_mean=name in _DISPERSIONS)
        fresh[name] = (dim, torch.nonzero(source == NEW).flatten())
        conditional[name] = (dim, torch.arange(n_features, len(source)))
    return state, fresh, conditional


def grow_importance(
    importance: Importance, module: nn.Module, reference: Mapping[str, int], query: Mapping[str, int]
) -> Importance:
    """Fit the importance of the reference's weights to the query's module: new columns matter nothing.

    Parameters
    ----------
    importance
        Of the reference's weights.
    module
        Module of the query, with the weights of :func:`grow`.
    reference, query
        As in :func:`grow`.
    """
    weights = module.state_dict()
    sources = _grown_tensors(module, {**weights, **importance.values}, reference, query)
    fisher, values = dict(importance.fisher), dict(importance.values)
    for name in sources.keys() & fisher.keys():
        dim, source, _ = sources[name]
        start = weights[name].cpu()
        fisher[name] = _rebuild(torch.zeros_like(start), fisher[name], dim, source, start_at_mean=False)
        values[name] = _rebuild(start, values[name], dim, source, start_at_mean=False)
    return replace(importance, fisher=fisher, values=values)


def _grown_tensors(
    module: nn.Module, weights: Mapping[str, Tensor], reference: Mapping[str, int], query: Mapping[str, int]
) -> dict[str, tuple[int, Tensor, int]]:
    """Find tensors that depend on categories: dimension, source of each slice, and how many are no categories."""
    found: dict[str, tuple[int, Tensor, int]] = {}
    batch = REGISTRY_KEYS.BATCH_KEY
    n_batch = (reference[batch], query[batch])
    for stack_name, stack in module.named_modules():
        if not isinstance(stack, FCLayers) or stack_name.split(".")[0] in LABEL_STACKS:
            continue
        # with a batch embedding the batch is no category of the layers
        covariates = [key for key in query if key != batch or len(stack.n_cat_list) == len(query)]
        if [size if size > 1 else 0 for size in (query[key] for key in covariates)] != stack.n_cat_list:
            continue  # conditioned on nothing
        before = [reference[key] for key in covariates]
        after = [query[key] for key in covariates]
        for layer_name, layer in stack.named_modules():
            if not isinstance(layer, nn.Linear):
                continue
            n_features = layer.in_features - sum(stack.n_cat_list)
            index = int(layer_name.split(".")[1].removeprefix("Layer "))
            if not stack.inject_into_layer(index) or not sum(stack.n_cat_list):
                continue
            source = column_sources(n_features, before, after)
            found[f"{stack_name}.{layer_name}.weight"] = (1, source, n_features)
    for name, dim in (_BATCH_TENSORS | {f"_embeddings_dict.{batch}.weight": 0}).items():
        if name in weights and weights[name].dim() > dim and weights[name].shape[dim] == n_batch[0]:
            if name in _DISPERSIONS and not _is_per_batch(module, name):
                continue
            source = torch.cat([torch.arange(n_batch[0]), torch.full((n_batch[1] - n_batch[0],), NEW)])
            found[name] = (dim, source, 0)
    return found


def _is_per_batch(module: nn.Module, dispersion: str) -> bool:
    return any(str(getattr(module, option, "")).endswith("-batch") for option in _DISPERSIONS[dispersion])


def _rebuild(new: Tensor, old: Tensor, dim: int, source: Tensor, *, start_at_mean: bool) -> Tensor:
    """Fill a grown tensor from the reference's; what is new keeps its random start, or gets the reference's mean."""
    rebuilt = new.clone().to(old.device)
    known, added, implicit = (
        torch.nonzero(which).flatten().to(old.device) for which in (source >= 0, source == NEW, source == IMPLICIT)
    )
    rebuilt.index_copy_(dim, known, old.index_select(dim, source[source >= 0].to(old.device)))
    rebuilt.index_fill_(dim, implicit, 0.0)
    if start_at_mean:
        mean = old.mean(dim, keepdim=True)
        rebuilt.index_copy_(dim, added, mean.repeat_interleave(len(added), dim))
    return rebuilt


def select_entries(
    module: nn.Module,
    strategy: Strategy,
    fresh: Entries,
    conditional: Entries,
    *,
    train_reference_columns: bool = False,
    in_use: set[str],
) -> Entries:
    """Choose what a strategy trains.

    Parameters
    ----------
    module
        Module after surgery.
    strategy
        ``"condition"``: columns of conditions (scArches). ``"input_layers"``: also the whole first layer of encoder and
        decoder. ``"all"``: everything.
    fresh, conditional
        Entries of new categories and of all categories, from :func:`grow`.
    train_reference_columns
        Train the columns of the reference's conditions too.
    in_use
        Names of the parameters that the loss depends on.

    Returns
    -------
    dict
        Parameter name to the slices that train, or to ``None`` where all of it does.

    Raises
    ------
    ValueError
        If there is no such strategy.
    """
    if strategy not in STRATEGIES:
        message = f"strategy must be one of {STRATEGIES}, not {strategy!r}"
        raise ValueError(message)
    if strategy == "all":
        return dict.fromkeys(in_use)
    columns = conditional if train_reference_columns else fresh
    entries: Entries = {name: where for name, where in columns.items() if name in in_use and where and len(where[1])}
    if strategy == "input_layers":
        stacks = dict(module.named_modules())
        for stack in _INPUT_STACKS:
            if stack in stacks:
                entries |= dict.fromkeys(in_use & {f"{stack}.fc_layers.Layer 0.0.{end}" for end in ("weight", "bias")})
    return entries


def reference_change(
    module: nn.Module, weights: Mapping[str, Tensor], reference: Mapping[str, int], query: Mapping[str, int]
) -> float:
    """Return the largest change of any of the reference's weights in a query's module; 0.0 if every bit is kept."""
    grown, fresh, _ = grow(module, weights, reference, query)
    largest = 0.0
    for name, tensor in module.state_dict().items():
        difference = (tensor - grown[name].to(tensor.device)).abs()
        if name in fresh and len(fresh[name][1]):  # type: ignore[index]
            difference.index_fill_(fresh[name][0], fresh[name][1].to(tensor.device), 0)  # type: ignore[index]
        if difference.numel():
            largest = max(largest, float(difference.max()))
    return largest


def n_trainable(module: nn.Module, entries: Entries) -> int:
    """Return the number of values that entries cover."""
    parameters = dict(module.named_parameters())
    total = 0
    for name, where in entries.items():
        size = parameters[name].numel()
        total += size if where is None else size // parameters[name].shape[where[0]] * len(where[1])
    return total


def parameters_in_use(module: nn.Module, minibatch: dict[str, Tensor]) -> set[str]:
    """Return the names of the parameters that the loss of a minibatch depends on.

    scvi-tools' modules hold parameters that some settings never use, such as the library encoder when library sizes
    are observed. The module's mode is left as it was; gradients are cleared.
    """
    training = module.training
    wanted = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    module.eval()
    *_, losses = module(minibatch)
    losses.loss.backward()
    used = {name for name, parameter in module.named_parameters() if parameter.grad is not None and wanted[name]}
    module.zero_grad(set_to_none=True)
    module.train(training)
    return used


def as_lists(entries: Entries) -> dict[str, tuple[int, list[int]] | None]:
    """Return entries with lists of indices, as a state keeps them."""
    return {name: None if where is None else (where[0], where[1].tolist()) for name, where in entries.items()}


def as_tensors(entries: Mapping[str, tuple[int, Sequence[int]] | None]) -> Entries:
    """Undo :func:`as_lists`."""
    return {name: None if where is None else (where[0], torch.tensor(where[1])) for name, where in entries.items()}
