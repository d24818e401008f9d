"""Map a query onto a reference model by architecture surgery."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

from scarches_plus import _arguments as check
from scarches_plus import _keys, _limits
from scarches_plus._cells import require_writable
from scarches_plus.pp import check_query

from ._provenance._drift import measure_drift
from ._provenance._embedding_record import versions, write_embedding
from ._provenance._mapping_record import mapping_record
from ._provenance.summary import tell_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus.model import SCANVI, SCVI, TOTALVI
    from scarches_plus.pp import QueryReport
    from scarches_plus.train import Penalty

_EPOCHS = 200


def map_query(
    adata: AnnData | MuData,
    model: SCVI | SCANVI | TOTALVI | str | Path,
    *,
    strategy: Literal["condition", "input_layers", "all", "clcvae"] = "condition",
    penalties: Sequence[Penalty] | None = None,
    train_reference_columns: bool = False,
    shared_batches: Sequence[str] = (),
    use_query_labels: bool = False,
    layer: str | None = None,
    batch_key: str | None = None,
    max_epochs: int | None = None,
    engine: Literal["auto", "fast", "scvi"] = "auto",
    plan_kwargs: Mapping[str, Any] | None = None,
    train_kwargs: Mapping[str, Any] | None = None,
    on_problem: Literal["raise", "warn"] = "raise",
    drift_cells: AnnData | None = None,
    key_added: str = _keys.EMBEDDING,
) -> SCVI | SCANVI | TOTALVI:
    """Map query cells into the latent space of a reference by architecture surgery (scArches).

    Parameters
    ----------
    adata
        Query cells with raw counts, one or several batches; MuData for a totalVI model. Receives ``obsm[key_added]``
        and a record in ``uns["scarches_plus"]``; nothing else of it changes. Counts on disk
        (:func:`scarches_plus.pp.open_cells`) are read in parts (:doc:`/guide/disk`).
    model
        Reference model, of this package or of scvi-tools, or what names one for :func:`scarches_plus.load`: a path, a
        name, a DOI, an address. It is not changed. A mapped model is a reference for the next query.
    strategy
        What trains: ``"condition"`` the columns of the query's batches, which leaves the reference exactly where it
        is; ``"input_layers"`` also the first layers of encoder and decoder; ``"all"`` everything; ``"clcvae"``
        everything, with elastic weight consolidation. After all but the first the reference must be embedded again
        (:func:`embed`).
    penalties
        Terms to add to the loss, such as :class:`~scarches_plus.train.MMD`, instead of those of the reference's
        training; ``()`` for none. See :meth:`SCVI.train <scarches_plus.model.SCVI.train>`. Where scANVI's classifier
        could move on a query without labels, :class:`~scarches_plus.train.LabelReplay` joins them, but for ``()``.
    train_reference_columns
        Also train the columns of the reference's batches (the paper's (n + m)(p + q) parameters). The reference can
        then move: it does with shared batches or weight decay.
    shared_batches
        Batches of the query that are the reference's own batches of the same name.
    use_query_labels
        Let known labels of the query take part in scANVI's training. They are ignored otherwise.
    layer, batch_key
        Where the query keeps counts (``"X"`` for ``adata.X``) and batches, if not where the reference does.
    max_epochs
        Epochs; ``None`` means 200, for more than 40,000 cells fewer in proportion, and at least 10.
    engine
        ``"fast"`` follows the path of scvi-tools' training in strides of many steps, where only columns of the query's
        batches train, and ends as near to it as two seeds of it are to each other; with other strategies it takes the
        same steps without lightning, with the same result. ``"scvi"`` is scvi-tools' training itself; ``"auto"`` takes
        the fast one where it applies, and the log says which.
    plan_kwargs, train_kwargs
        Arguments of the training plan (default: no weight decay) and of ``train``. They stand above those that the
        query inherits from the reference's training: weight and warm-up of the KL term, size of minibatches, clipping
        of gradients and, for a query with labels in use, scANVI's schedule
        (:meth:`SCVI.inherited_training <scarches_plus.model.SCVI.inherited_training>`). ``mapping`` in the record says
        what was inherited.
    on_problem
        ``"raise"`` stops at problems that would make the result misleading; ``"warn"`` goes on where it can.
    drift_cells
        Reference cells with raw counts, on which to measure how far the reference moved. Default: the cells that the
        model carries, if any, at most 2,000. If they have their embedding by the first reference in
        ``obsm[key_added]``, the record also says how far they are from there, after any number of queries.
    key_added
        ``obsm`` slot of the embedding, shape ``(n_cells, n_latent)``.

    Returns
    -------
    SCVI, SCANVI or TOTALVI
        The mapped model. ``model.state.lineage`` holds a record of each query so far, drift included
        (:func:`scarches_plus.pl.drift`). Set ``scvi.settings.seed`` right before for a repeatable result.

    Raises
    ------
    QueryError
        If the query cannot be mapped, naming every problem and its fix (:func:`scarches_plus.pp.check_query`).
    ValueError
        If nothing would train, or the latent space could not move, or ``engine="fast"`` does not apply, or a penalty
        could have no effect.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If the latent space moved and anchors or summaries of labels cannot be taken along (``gene_likelihood``
        ``"mse"`` and ``"sse"``), or for each problem of the cells that mapping gets over, or goes over with
        ``on_problem="warn"``.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), Fig. 1 and 2, and eq. 12-14 for what is inherited; for ``"clcvae"``, CLCVAE 2022.
    """
    from scarches_plus.model import ENGINES, QUERY_RECIPES, check_training, default_epochs, load, trained_model_kept
    from scarches_plus.train import name_terms

    check.cells("adata", adata, mudata=True)
    way, of_strategy = QUERY_RECIPES[check.choice("strategy", strategy, QUERY_RECIPES)]
    name_terms(penalties or ())
    shared_batches = check.names("shared_batches", shared_batches, of=object)
    check.texts_or_none(layer=layer, batch_key=batch_key)
    check.choice("engine", engine, ENGINES)
    check.choice("on_problem", on_problem, ("raise", "warn"))
    check.slot("key_added", key_added)
    check.flags(train_reference_columns=train_reference_columns, use_query_labels=use_query_labels)
    check.cells("drift_cells", drift_cells, mudata=True, or_none=True)
    max_epochs = None if max_epochs is None else check.whole("max_epochs", max_epochs, least=1, most=_limits.EPOCHS)
    start = perf_counter()
    require_writable(adata, copy=None)
    reference = load(model)
    plan_kwargs, train_kwargs = check_training(type(reference), plan_kwargs, train_kwargs)
    report = check_query(adata, reference, layer=layer, batch_key=batch_key, shared_batches=shared_batches)
    report.raise_for_problems(on_problem, offer_warn=True)
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=2)
    if drift_cells is not None:
        drift_report = _check_drift_cells(drift_cells, reference)
        drift_report.raise_for_problems(on_problem)
        for problem in drift_report.problems:
            warn(f"drift_cells: {problem}", UserWarning, stacklevel=2)

    mapped = type(reference).load_query_data(
        adata,
        reference,
        strategy=way,
        train_reference_columns=train_reference_columns,
        shared_batches=shared_batches,
        use_query_labels=use_query_labels,
        layer=layer,
        batch_key=batch_key,
    )
    epochs = default_epochs(adata.n_obs, _EPOCHS) if max_epochs is None else max_epochs
    inherited = mapped.inherited_training().without(penalties, plan_kwargs, train_kwargs)
    held = () if penalties is not None and not len(penalties) else mapped.own_penalties(penalties or ())
    mapped.train(
        max_epochs=epochs,
        penalties=(*of_strategy, *held, *inherited.penalties, *(penalties or ())),
        engine=engine,
        plan_kwargs={"weight_decay": 0.0, **inherited.plan_kwargs, **plan_kwargs},
        **inherited.train_kwargs,
        **train_kwargs,
    )
    with trained_model_kept(mapped):
        mapped.inherit_memory(reference, stacklevel=3)
        record = mapping_record(mapped, reference, report, strategy, epochs, layer=layer, batch_key=batch_key)
        record["inherited"] = inherited.to_text()
        latent = mapped.get_latent_representation()
        write_embedding(adata, key_added, latent, mapped, layer=layer, role=_keys.QUERY, mapping=record)
        record["drift"] = measure_drift(reference, mapped, drift_cells, key_added)
        record["seconds"] = perf_counter() - start
        mapped.add_to_lineage({**record, "versions": versions()})
    tell_outcome(adata, _keys.EMBEDDINGS, key_added)
    return mapped


def _check_drift_cells(cells: AnnData, reference: SCVI | SCANVI | TOTALVI) -> QueryReport:
    """Find before any work what is wrong with the cells on which drift is measured."""
    report = check_query(cells, reference, shared_batches=reference.spec.batches)
    if report.new_batches:
        message = (
            f"drift_cells are no cells of the reference, which has no batches {list(report.new_batches)[:5]}: pass "
            "reference cells"
        )
        raise ValueError(message)
    return report
