"""Serialise importance, anchors and label summaries to safetensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scarches_plus.bundle._manifest import AnchorsSection, BundleError, ImportanceSection, LatentSection
from scarches_plus.train import Anchors, Grouping, Importance, LatentSummary

from ._tensors import pack, refuse_rest, require, take, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def pack_importance(importance: Importance, weights: Mapping[str, Tensor]) -> tuple[bytes, dict[str, Any]]:
    """Return the file of an importance, and its section; weights that have not moved since are not written twice."""
    tensors = {f"fisher/{name}": value for name, value in importance.fisher.items()}
    for name, value in importance.values.items():
        if name not in weights or not torch.equal(value.cpu(), weights[name]):
            tensors[f"values/{name}"] = value
    return pack(tensors), {"n_cells": importance.n_cells, "estimator": importance.estimator}


def unpack_importance(
    contents: bytes, section: ImportanceSection, weights: Mapping[str, Tensor], name: str
) -> Importance:
    """Return an importance of these weights."""
    tensors = unpack(contents, name)
    fisher, values = {}, {}
    for key in [one.removeprefix("fisher/") for one in tensors if one.startswith("fisher/")]:
        if key not in weights:
            message = f"{name} speaks of {key!r}, which is no weight of the model"
            raise BundleError(message)
        shape = tuple(weights[key].shape)
        fisher[key] = take(tensors, f"fisher/{key}", shape, name)
        require(fisher[key] >= 0, name, f"fisher/{key}", "0 or more, as a mean of squares is")
        stored = f"values/{key}"
        values[key] = take(tensors, stored, shape, name) if stored in tensors else weights[key]
    refuse_rest(tensors, name)
    return Importance(fisher, values, section.n_cells, section.estimator)


def pack_anchors(anchors: Anchors) -> tuple[bytes, dict[str, Any]]:
    """Return the file of anchors, and its section."""
    tensors = {"z_mean": anchors.z_mean, "z_var": anchors.z_var, "library": anchors.library}
    tensors |= {f"activations/{name}": value for name, value in anchors.activations.items()}
    tensors |= {f"groups/{name}": value for name, value in anchors.groups.items()}
    if anchors.continuous is not None:
        tensors["continuous"] = anchors.continuous
    return pack(tensors), {"n_cells": len(anchors), "space": anchors.space}


def unpack_anchors(contents: bytes, section: AnchorsSection, model: Any, name: str) -> Anchors:
    """Return anchors of a model."""
    tensors, n, d = unpack(contents, name), section.n_cells, model.module.n_latent
    groups = {}
    for key, grouping in model.groupings.items():
        groups[key] = take(tensors, f"groups/{key}", (n,), name, "i")
        if n and not 0 <= int(groups[key].min()) <= int(groups[key].max()) < len(grouping.names):
            message = f"{name}: groups/{key} has codes of groups that the model does not know"
            raise BundleError(message)
    activations = {
        key.removeprefix("activations/"): take(tensors, key, (n, None), name)
        for key in [one for one in tensors if one.startswith("activations/")]
    }
    covariates = len(model.spec.continuous_covariates)
    anchors = Anchors(
        z_mean=take(tensors, "z_mean", (n, d), name),
        z_var=take(tensors, "z_var", (n, d), name),
        library=take(tensors, "library", (n, 1), name),
        activations=activations,
        groups=groups,
        space=section.space,
        continuous=take(tensors, "continuous", (n, covariates), name) if covariates else None,
    )
    refuse_rest(tensors, name)
    require(anchors.z_var >= 0, name, "z_var", "0 or more, as variances are")
    return anchors


#: Further out no latent space reaches; squares of larger values would not be finite, and every cell would get the same
#: label.
_FARTHEST = 1e6
_OF_COMPONENTS = ("of_label", "n_cells", "means", "covariances", "z_var", "library")


def pack_summaries(summaries: Mapping[str, LatentSummary]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of summaries, and their sections."""
    tensors: dict[str, Tensor] = {}
    sections: dict[str, Any] = {}
    for key, one in summaries.items():
        tensors |= {f"{key}/{name}": getattr(one, name) for name in _OF_COMPONENTS}
        tensors |= {f"{key}/groups/{name}": value for name, value in one.groups.items()}
        if one.continuous is not None:
            tensors[f"{key}/continuous"] = one.continuous
        sections[key] = {"labels": list(one.labels), "left_out": list(one.left_out), "space": one.space}
        sections[key]["temperature"] = one.temperature
    return tensors, sections


def unpack_summaries(
    tensors: dict[str, Tensor], sections: Mapping[str, LatentSection], model: Any, name: str
) -> dict[str, LatentSummary]:
    """Return summaries of a model."""
    d = model.module.n_latent
    covariates, groups = len(model.spec.continuous_covariates), model.groupings
    summaries = {}
    for key, section in sections.items():
        of_label = take(tensors, f"{key}/of_label", (None,), name, "i")
        n = len(of_label)
        if sorted(set(of_label.tolist())) != list(range(len(section.labels))):
            message = f"{name}: {key}/of_label does not give each of the {len(section.labels)} labels a component"
            raise BundleError(message)
        summaries[key] = LatentSummary(
            labels=tuple(section.labels),
            left_out=tuple(section.left_out),
            of_label=of_label.long(),
            n_cells=take(tensors, f"{key}/n_cells", (n,), name),
            means=take(tensors, f"{key}/means", (n, d), name),
            covariances=take(tensors, f"{key}/covariances", (n, d, d), name),
            z_var=take(tensors, f"{key}/z_var", (n, d), name),
            library=take(tensors, f"{key}/library", (n, 2), name),
            groups={group: _shares(tensors, f"{key}/groups/{group}", n, one, name) for group, one in groups.items()},
            space=section.space,
            continuous=take(tensors, f"{key}/continuous", (n, covariates), name) if covariates else None,
            temperature=section.temperature,
        )
        _require_mixture(summaries[key], name, key)
    refuse_rest(tensors, name)
    return summaries


def _require_mixture(summary: LatentSummary, name: str, key: str) -> None:
    """Refuse a summary whose tensors do not make a mixture of Gaussians."""
    covariances = summary.covariances.double()
    require(summary.means.abs() <= _FARTHEST, name, f"{key}/means", f"at most {_FARTHEST:g} from 0")
    require(covariances.abs() <= _FARTHEST**2, name, f"{key}/covariances", f"at most {_FARTHEST**2:g}")
    # single precision is enough for what is drawn from them, and not for telling small eigenvalues from none
    close = torch.isclose(covariances, covariances.mT, rtol=1e-4, atol=1e-6 * float(covariances.abs().max()))
    require(close, name, f"{key}/covariances", "symmetric")
    definite = torch.linalg.cholesky_ex(covariances).info == 0
    require(definite, name, f"{key}/covariances", "positive definite")
    require(summary.n_cells > 0, name, f"{key}/n_cells", "positive")
    require(summary.z_var >= 0, name, f"{key}/z_var", "0 or more, as variances are")
    require(summary.library[:, 1] >= 0, name, f"{key}/library", "0 or more in its second column, as variances are")


def _shares(tensors: dict[str, Tensor], key: str, n: int, grouping: Grouping, name: str) -> Tensor:
    """Return the shares of groups; a model that was mapped since has more of them, at the end."""
    shares = take(tensors, key, (n, None), name)
    if not 0 < shares.shape[1] <= len(grouping.names):
        message = f"{name}: {key} speaks of {shares.shape[1]} groups, and the model knows {len(grouping.names)}"
        raise BundleError(message)
    require((shares >= 0).all(1) & (shares.sum(1) > 0), name, key, "shares, 0 or more and not all 0")
    return shares
