"""Other packages' ways to map, as their documentation says; each is skipped where it is not installed."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ._methods import QUIET, own_labels
from ._normalize import log_normalized
from ._study import Mapped, Method

if TYPE_CHECKING:
    from pathlib import Path

    from ._study import Study

#: What scvi-tools' tutorial on scArches sets for references.
SCVI_TOOLS = {
    "use_layer_norm": "both",
    "use_batch_norm": "none",
    "encode_covariates": True,
    "dropout_rate": 0.2,
    "n_layers": 2,
}
#: Harmony's own limits (10 rounds, 1e-2) stop it after one round on islets.
TO_CONVERGENCE = {"max_iter_harmony": 50, "epsilon_harmony": 1e-4}
N_COMPS = 30
LARGEST_VALUE = 10.0


# --- scvi-tools ---


def train_scvi_tools(study: Study, *, model: str) -> Path:
    import scvi

    def train(folder: Path) -> None:
        study.seed_all()
        reference = study.reference.copy()
        scvi.model.SCVI.setup_anndata(reference, batch_key="batch")
        trained = scvi.model.SCVI(reference, **SCVI_TOOLS)
        trained.train(max_epochs=study.epochs, **QUIET)
        if model == "SCANVI":
            trained = scvi.model.SCANVI.from_scvi_model(trained, labels_key="cell_type", unlabeled_category="Unknown")
            trained.train(max_epochs=min(20, study.epochs), n_samples_per_label=100, **QUIET)
        trained.save(str(folder))

    return study.trained({"model": model}, train)


def scvi_tools(study: Study, *, model: str = "SCVI") -> Mapped:
    """Surgery of plain scvi-tools, query labels hidden."""
    import scvi

    cls = getattr(scvi.model, model)
    folder = str(train_scvi_tools(study, model=model))
    reference, query = study.reference.copy(), study.query.copy()
    query.obs["cell_type"] = "Unknown"
    trained = cls.load(folder, reference)
    before = trained.get_latent_representation()
    study.seed_all()
    with study.timed("query"):
        cls.prepare_query_anndata(query, trained)
        mapped = cls.load_query_data(query, trained)
        start = _weights(mapped)
        mapped.train(max_epochs=study.epochs, plan_kwargs={"weight_decay": 0.0}, **QUIET)
        embedded = mapped.get_latent_representation()
    labels, uncertainty = own_labels(mapped)
    changed = sum(int((start[name] != values).sum()) for name, values in _weights(mapped).items())
    return Mapped(mapped.get_latent_representation(reference), embedded, before, labels, uncertainty, changed)


def _weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.detach().cpu().numpy().copy() for name, values in model.module.named_parameters()}


# --- principal components, and what builds on them ---


def pca(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """Principal components of reference and query together: no integration."""
    with study.timed("query"):
        return study.split(_components(study, n_comps))


def combat(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """ComBat of scanpy on reference and query together, then principal components."""
    with study.timed("query"):
        return study.split(_components(study, n_comps, combat=True))


def pca_projected(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """Query on the principal components of the reference."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    with study.timed("reference"):
        expression = log_normalized(study.reference).X.toarray()
        scaler = StandardScaler().fit(expression)
        scaled = np.clip(scaler.transform(expression), -LARGEST_VALUE, LARGEST_VALUE)
        axes = PCA(_possible(n_comps, *scaled.shape), random_state=study.seed).fit(scaled)
        reference = axes.transform(scaled)
    with study.timed("query"):
        scaled = np.clip(scaler.transform(log_normalized(study.query).X.toarray()), -LARGEST_VALUE, LARGEST_VALUE)
        query = axes.transform(scaled)
    return Mapped(reference, query, reference)


def harmony(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """Harmony of reference and query together."""
    from harmonypy import run_harmony

    with study.timed("query"):
        components = _components(study, n_comps)
        batches = {"batch": study.together().obs["batch"].to_numpy()}
        result = run_harmony(
            components, batches, "batch", random_state=study.seed, ncores=1, verbose=False, **TO_CONVERGENCE
        )
        corrected = np.asarray(result.Z_corr)
        corrected = corrected if len(corrected) == len(components) else corrected.T
    return study.split(corrected)


def symphony(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """Symphony: a Harmony reference, then the query is moved into it. Its own labels are those of 5 neighbours."""
    import scanpy as sc
    import symphonypy

    with study.timed("reference"):
        reference = log_normalized(study.reference, 1e5)
        reference.var["highly_variable"] = True
        sc.pp.scale(reference, max_value=LARGEST_VALUE)
        sc.pp.pca(reference, n_comps=_possible(n_comps, *reference.shape), zero_center=False, random_state=study.seed)
        # also for a reference of one batch, which stays where it is: symphonypy without Harmony adds means where sums
        # belong
        symphonypy.pp.harmony_integrate(reference, key="batch", random_seed=study.seed, ncores=1, **TO_CONVERGENCE)
    with study.timed("query"):
        query = log_normalized(study.query, 1e5)
        symphonypy.tl.map_embedding(query, reference, key="batch")
        symphonypy.tl.per_cell_confidence(query, reference)
    labelled = reference[(reference.obs["cell_type"] != "Unknown").to_numpy()]
    symphonypy.tl.transfer_labels_kNN(query, labelled, "cell_type", query_labels="predicted")
    distance = query.obs["symphony_per_cell_dist"].to_numpy(dtype=float)
    corrected = np.asarray(reference.obsm["X_pca_harmony"])
    return Mapped(
        reference=corrected,
        query=np.asarray(query.obsm["X_pca_harmony"]),
        before=corrected,
        labels=query.obs["predicted"].to_numpy(),
        uncertainty=distance / (1 + distance),  # a distance, in the same order between 0 and 1
    )


def scanorama(study: Study, *, dimred: int = 100) -> Mapped:
    """Scanorama of all batches together."""
    import scanorama as package
    from scipy.sparse import csr_matrix

    with study.timed("query"), redirect_stdout(StringIO()):
        cells = log_normalized(study.together())
        parts = [cells[cells.obs["batch"] == batch] for batch in cells.obs["batch"].unique()]
        embedded, _ = package.integrate(
            [csr_matrix(part.X) for part in parts],
            [part.var_names.to_numpy() for part in parts],
            dimred=_possible(dimred, *cells.shape),
            seed=study.seed,
            verbose=False,
        )
    joint = np.empty((cells.n_obs, embedded[0].shape[1]))
    for part, values in zip(parts, embedded, strict=True):
        joint[cells.obs_names.get_indexer(part.obs_names)] = values
    return study.split(joint)


def cellmapper(study: Study, *, n_comps: int = N_COMPS) -> Mapped:
    """cellmapper on its own joint embedding, canonical correlation of query and reference."""
    from cellmapper import CellMapper

    with study.timed("query"):
        reference, query = log_normalized(study.reference), log_normalized(study.query)
        reference.obs["cell_type"] = reference.obs["cell_type"].astype("category")
        mapper = CellMapper(query, reference)
        n_comps = _possible(n_comps, query.n_obs, *reference.shape)
        mapper.compute_fast_cca(n_comps=n_comps, random_state=study.seed)
        mapper.map(obs_keys="cell_type", use_rep="X_cca")
    return Mapped(
        reference=np.asarray(reference.obsm["X_cca"]),
        query=np.asarray(query.obsm["X_cca"]),
        labels=query.obs["cell_type_pred"].astype(str).to_numpy(),
        uncertainty=1 - query.obs["cell_type_conf"].to_numpy(dtype=float),
    )


def celltypist(study: Study) -> Mapped:
    """CellTypist: a logistic regression of labels, no embedding; by gradient descent, as its other solver needs
    scikit-learn < 1.8.
    """
    import celltypist as package

    with study.timed("reference"):
        reference = log_normalized(study.reference)
        reference = reference[(reference.obs["cell_type"] != "Unknown").to_numpy()].copy()
        model = package.train(reference, labels="cell_type", use_SGD=True, n_jobs=1, check_expression=False)
    with study.timed("query"):
        result = package.annotate(log_normalized(study.query), model=model)
    return Mapped(
        reference=None,
        query=None,
        labels=result.predicted_labels["predicted_labels"].astype(str).to_numpy(),
        uncertainty=1 - result.probability_matrix.to_numpy().max(axis=1),
    )


def _components(study: Study, n_comps: int, *, combat: bool = False) -> np.ndarray:
    """Return principal components of all cells."""
    import scanpy as sc

    cells = log_normalized(study.together())
    if combat:
        cells.X = cells.X.toarray()
        cells.X = np.array(sc.pp.combat(cells, key="batch", inplace=False))  # which may not be written on
    sc.pp.scale(cells, max_value=LARGEST_VALUE)
    sc.pp.pca(cells, n_comps=_possible(n_comps, *cells.shape), random_state=study.seed)
    return cells.obsm["X_pca"]


def _possible(n_comps: int, *sizes: int) -> int:
    return min(n_comps, min(sizes) - 1)


PEERS = {
    "scvi_tools": Method(scvi_tools, train_scvi_tools, peer="scvi-tools"),
    "pca": Method(pca),
    "pca_projected": Method(pca_projected),
    "combat": Method(combat),
    "harmony": Method(harmony, peer="harmonypy"),
    "symphony": Method(symphony, peer="symphonypy"),
    "scanorama": Method(scanorama, peer="scanorama"),
    "cellmapper": Method(cellmapper, peer="cellmapper"),
    "celltypist": Method(celltypist, peer="celltypist"),
}
