"""Perform label surgery: add labels to a scANVI model and keep all else.

Of scANVI's networks the classifier has an output for each label, and those that are conditioned on labels
(``encoder_z2_z1``, ``decoder_z1_z2``) a column. What is there keeps its values; cells are embedded as before.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.nn import FCLayers
from torch import nn

from scarches_plus._label_tree import LabelTree
from scarches_plus.model._registration._query_columns import prepare_cells
from scarches_plus.model._registration._registry import reference_spec, with_text_categories
from scarches_plus.model._state import get_state, hash_of, set_state

from ._query_model import release_cells_with
from ._strategies import IMPLICIT, LABEL_STACKS, NEW, n_trainable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray
    from torch import Tensor

    from scarches_plus.model._scanvi import SCANVI
    from scarches_plus.model._state import ModelState
    from scarches_plus.train import Importance

    #: Parameter name to its name before, the dimension that grew, and the source of each slice (``None``: as it is).
    Sources = dict[str, tuple[str, int, Tensor | None]]

#: What a model with other labels and cells has of its own.
_OWN = {"registry_", "init_params_", "labels_", "unlabeled_category_"}


def with_labels(
    model: SCANVI,
    labels: Sequence[str],
    *,
    parents: Mapping[str, str | None],
    cells: AnnData,
    of_cells: NDArray[np.object_],
) -> tuple[SCANVI, dict[str, tuple[int, Tensor]]]:
    """Return a model that also knows further labels; all weights that these have start at zero.

    Parameters
    ----------
    model
        Model, which is not changed.
    labels
        New labels.
    parents
        New label to the label of the hierarchy that contains it, ``None`` at the top. Empty without a hierarchy.
    cells
        Cells for the new model: those of the old one, or others of batches that it knows.
    of_cells
        New label of each, ``None`` for those that have none.

    Returns
    -------
    tuple
        The model, and the entries of its parameters that are new.

    Raises
    ------
    ValueError
        If the model has groups of labels.
    """
    model = with_text_categories(model)
    if getattr(model.module, "use_labels_groups", False):
        message = "labels cannot be added to a model with use_labels_groups=True: the new ones would be in no group"
        raise ValueError(message)
    given = model.init_params_
    arguments = given["non_kwargs"] | {k: v for group in given["kwargs"].values() for k, v in group.items()}
    if model.hierarchy is not None:
        arguments["hierarchy"] = LabelTree({**model.hierarchy.parents, **parents}).to_plain()
    if arguments.get("y_prior") is not None:
        arguments["y_prior"] = None  # replaced below, as all weights are
    with torch.random.fork_rng(devices=[]):  # a fresh network is drawn, only to be overwritten
        grown = _with_cells(model, labels, arguments, _labelled(model, cells, of_cells))
    sources = _sources(model, grown)
    fresh = {
        name: (dim, torch.nonzero(source == NEW).flatten())
        for name, (_, dim, source) in sources.items()
        if source is not None
    }
    weights = _grown(grown.module.state_dict(), model.module.state_dict(), sources)
    n_before, prior = model.module.n_labels, weights["y_prior"]
    prior *= n_before / prior.shape[1]
    prior.index_fill_(1, fresh["y_prior"][1].to(prior.device), 1 / prior.shape[1])
    grown.module.load_state_dict(weights)
    grown.module.eval()
    grown.to_device(model.device)
    for name, value in vars(model).items():
        if name.endswith("_") and name not in _OWN:
            setattr(grown, name, value)
    set_state(grown, _state(model, grown, sources))
    return grown, {name: where for name, where in fresh.items() if name != "y_prior" and len(where[1])}


def _with_cells(model: SCANVI, labels: Sequence[str], arguments: dict[str, Any], cells: AnnData) -> SCANVI:
    """Return an untrained model of all labels."""
    registry = deepcopy(model.registry_)
    state = registry["field_registries"][REGISTRY_KEYS.LABELS_KEY]["state_registry"]
    *known, unlabeled = state["categorical_mapping"]
    known += [label for label in labels if label not in known]
    state["categorical_mapping"] = np.array([*known, unlabeled], dtype=object)
    cls = type(model)
    cls.setup_anndata(cells, source_registry=registry, **registry["setup_args"])
    grown = cls(cells, **arguments)
    release_cells_with(grown)
    return grown


def _labelled(model: SCANVI, cells: AnnData, of_cells: NDArray[np.object_]) -> AnnData:
    """Return a copy of cells with the labels that the model and the new labels give them.

    The copy shares its counts with the cells.
    """
    spec = reference_spec(model)
    prepared = prepare_cells(cells, spec)
    own = (model.adata if cells is model.adata else prepared).obs[spec.labels_key].astype(object).to_numpy()
    prepared.obs[spec.labels_key] = np.where(of_cells == None, own, of_cells)  # noqa: E711 (element by element)
    return prepared


def _sources(model: SCANVI, grown: SCANVI) -> Sources:
    before, after = _classes(model), _classes(grown)
    source = torch.tensor([before.index(one) if one in before else NEW for one in after])
    sources: Sources = {"y_prior": ("y_prior", 1, source)}
    for stack_name in LABEL_STACKS:
        for name, stack in getattr(grown.module, stack_name).named_modules(prefix=stack_name):
            if not isinstance(stack, FCLayers):
                continue
            for layer_name, layer in stack.named_modules(prefix=name):
                if isinstance(layer, nn.Linear) and stack.inject_into_layer(_position(layer_name)):
                    n_features = layer.in_features - sum(stack.n_cat_list)
                    # scvi-tools gives a single label no column
                    of_label = source + n_features if len(before) > 1 else torch.where(source == 0, IMPLICIT, NEW)
                    columns = torch.cat([torch.arange(n_features), torch.where(source < 0, source, of_label)])
                    sources[f"{layer_name}.weight"] = (f"{layer_name}.weight", 1, columns)
    if model.hierarchy is None:
        last = _last_layer(model.module.classifier)
        return sources | {
            f"classifier.{last}.{end}": (f"classifier.{last}.{end}", 0, source) for end in ("weight", "bias")
        }
    return sources | _sources_of_heads(model, grown)


def _sources_of_heads(model: SCANVI, grown: SCANVI) -> Sources:
    """Return the sources of a hierarchy's networks, one for each level.

    A label that had no siblings had no output either; it gets one of zero. A level that had no network gets that of
    another.
    """
    before, after = model.module.classifier, grown.module.classifier
    depths = [depth for depth, _ in before.heads]
    added = set(grown.classes) - set(model.classes)
    sources: Sources = {}
    for i, (depth, nodes) in enumerate(after.heads):
        j = depths.index(depth) if depth in depths else 0
        old = before.heads[j][1] if depth in depths else ()
        rows = [NEW if node in added else old.index(node) if node in old else IMPLICIT for node in nodes]
        last = _last_layer(after.levels[i])
        for name in after.levels[i].state_dict():
            of_labels = name in {f"{last}.weight", f"{last}.bias"}
            source = torch.tensor(rows) if of_labels else None
            sources[f"classifier.levels.{i}.{name}"] = (f"classifier.levels.{j}.{name}", 0, source)
    return sources


def _classes(model: SCANVI) -> list[str | int]:
    """Return the classes in the order of the networks' columns; those that no cell is labelled with are numbers."""
    return [*model.classes, *range(model.module.n_unobserved)]


def _position(layer_name: str) -> int:
    """Return which layer of its stack a layer is: 1 for ``encoder_z2_z1.encoder.fc_layers.Layer 1.0``."""
    return int(layer_name.split(".")[-2].removeprefix("Layer "))


def _last_layer(classifier: Any) -> str:
    """Return the name of the layer that has an output for each class."""
    return [name for name, layer in classifier.named_modules() if isinstance(layer, nn.Linear)][-1]


def _grown(start: Mapping[str, Tensor], old: Mapping[str, Tensor], sources: Sources) -> dict[str, Tensor]:
    """Return the old tensors in the shapes of the new ones, zero where there was nothing."""
    grown = {}
    for name, tensor in start.items():
        origin, dim, source = sources.get(name, (name, 0, None))
        if source is not None:
            known = torch.nonzero(source >= 0).flatten().to(tensor.device)
            values = old[origin].to(tensor.device).index_select(dim, source[source >= 0].to(tensor.device))
            grown[name] = torch.zeros_like(tensor).index_copy_(dim, known, values)
        elif tensor.shape != old[origin].shape:
            message = (
                f"labels cannot be added: {name!r} would grow from {tuple(old[origin].shape)} to {tuple(tensor.shape)}"
            )
            raise RuntimeError(message)
        else:
            grown[name] = old[origin].clone()
    return grown


def _state(model: SCANVI, grown: SCANVI, sources: Sources) -> ModelState:
    state = get_state(model)
    surgery = state.surgery
    if surgery is not None:
        entries = dict(surgery.entries)
        if surgery.strategy == "all":
            parameters = dict(grown.module.named_parameters())
            added = parameters.keys() - dict(model.module.named_parameters()).keys()
            entries |= dict.fromkeys(added)
        surgery = replace(surgery, entries=entries, n_trainable=n_trainable(grown.module, entries))  # type: ignore[arg-type]
    importance = None if state.importance is None else _grown_importance(state.importance, grown.module, sources)
    return replace(state, weights=hash_of(grown), surgery=surgery, importance=importance)


def _grown_importance(importance: Importance, module: nn.Module, sources: Sources) -> Importance:
    """Fit the importance of the old weights to the new module: what is new matters nothing."""
    weights = {name: tensor.detach().cpu() for name, tensor in module.named_parameters()}
    known = {name for name in weights if sources.get(name, (name,))[0] in importance.fisher}
    starts = {name: weights[name] for name in known}
    nothing = {name: torch.zeros_like(tensor) for name, tensor in starts.items()}
    return replace(
        importance,
        fisher=_grown(nothing, importance.fisher, sources),
        values=_grown(starts, importance.values, sources),
    )
