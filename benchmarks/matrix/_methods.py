"""This package's ways to map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._study import Mapped, Method

if TYPE_CHECKING:
    from pathlib import Path

    from ._study import Study

QUIET = {"enable_progress_bar": False}
N_ANCHORS = 2000


def train_reference(
    study: Study, *, recipe: str, reference_penalties: dict | None = None, model_kwargs: dict | None = None
) -> Path:
    """Return the folder of a reference by recipe."""
    import scarches_plus as sp

    def train(folder: Path) -> None:
        study.seed_all()
        model = sp.tl.build_reference(
            study.reference,
            "batch",
            "cell_type" if sp.model.RECIPES[recipe].model == "SCANVI" else None,
            recipe=recipe,
            penalties=penalties_of(reference_penalties) or None,
            model_kwargs=model_kwargs,
            max_epochs=study.epochs,
            train_kwargs=QUIET,
        )
        model.save(folder)

    options = {"recipe": recipe, "reference_penalties": reference_penalties, "model_kwargs": model_kwargs}
    return study.trained(options, train)


def surgery(
    study: Study,
    *,
    recipe: str,
    strategy: str = "condition",
    penalties: dict | None = None,
    train_reference_columns: bool = False,
    reference_penalties: dict | None = None,
    model_kwargs: dict | None = None,
) -> Mapped:
    """Map by architecture surgery; what penalties need of the reference counts as time of the reference."""
    import scarches_plus as sp

    terms = penalties_of(penalties)
    model = _loaded(study, recipe=recipe, reference_penalties=reference_penalties, model_kwargs=model_kwargs)
    before = model.embed(study.reference)
    with study.timed("reference"):
        if strategy == "clcvae" or any(one.name == "ewc" for one in terms):
            sp.train.estimate_importance(model)
        if any(getattr(one, "anchors", False) or one.name == "latent_replay" for one in terms):
            sp.train.store_anchors(model, n_cells=N_ANCHORS)
    study.seed_all()
    with study.timed("query"):
        mapped = sp.tl.map_query(
            study.query,
            model,
            strategy=strategy,
            penalties=terms or None,
            train_reference_columns=train_reference_columns,
            max_epochs=study.epochs,
            train_kwargs=QUIET,
        )
    labels, uncertainty = own_labels(mapped)
    return Mapped(
        reference=mapped.embed(study.reference),
        query=study.query.obsm["X_scarches"],
        before=before,
        labels=labels,
        uncertainty=uncertainty,
        trained=mapped.surgery.n_trainable,
    )


def zero_shot(
    study: Study, *, recipe: str = "bascvi", reference_penalties: dict | None = None, model_kwargs: dict | None = None
) -> Mapped:
    """Embed the query by an encoder that is blind to batches."""
    import scarches_plus as sp

    model = _loaded(study, recipe=recipe, reference_penalties=reference_penalties, model_kwargs=model_kwargs)
    before = model.embed(study.reference)
    with study.timed("query"):
        sp.tl.embed(study.query, model)
    return Mapped(before, study.query.obsm["X_scarches"], before, trained=0)


def de_novo(study: Study, *, recipe: str, model_kwargs: dict | None = None) -> Mapped:
    """Integrate reference and query anew, as if there were no reference; labels of the query are hidden."""
    import scarches_plus as sp

    labels_key = "cell_type" if sp.model.RECIPES[recipe].model == "SCANVI" else None
    cells = study.together()
    study.seed_all()
    with study.timed("query"):
        model = sp.tl.build_reference(
            cells,
            "batch",
            labels_key,
            recipe=recipe,
            model_kwargs=model_kwargs,
            max_epochs=study.epochs,
            train_kwargs=QUIET,
        )
    labels, uncertainty = own_labels(model)
    of_query = slice(study.reference.n_obs, None)
    return study.split(
        cells.obsm["X_scarches"],
        labels=None if labels is None else labels[of_query],
        uncertainty=None if uncertainty is None else uncertainty[of_query],
        trained=sum(values.numel() for values in model.module.parameters()),
    )


def penalties_of(described: dict[str, dict] | None) -> tuple:
    """Make penalties of ``{"MMD": {"weight": 10}}``."""
    import scarches_plus as sp

    return tuple(getattr(sp.train, name)(**(options or {})) for name, options in (described or {}).items())


def own_labels(model: Any) -> tuple:
    """Return labels and uncertainty by the classifier of a mapped scANVI, or nothing."""
    if type(model).__name__ != "SCANVI":
        return None, None
    probabilities = model.predict(soft=True)
    labels = probabilities.columns.to_numpy()[probabilities.to_numpy().argmax(axis=1)]
    return labels, 1 - probabilities.max(axis=1).to_numpy()


def _loaded(study: Study, **options: Any) -> Any:
    import scarches_plus as sp

    return sp.model.load(train_reference(study, **options), study.reference)


OURS = {
    "surgery": Method(surgery, train_reference),
    "zero_shot": Method(zero_shot, train_reference),
    "de_novo": Method(de_novo),
}
