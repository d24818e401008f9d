"""Map many queries at once, in processes of this machine or on a Dask cluster."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from joblib import cpu_count

from scarches_plus import _arguments as check
from scarches_plus import _limits, _visit, hub  # of _visit, which needs this package, names are taken at the call
from scarches_plus._files import check_output_file, lock, private_folder, unlock
from scarches_plus._label_tree import LabelTree
from scarches_plus._logging import logger

from ._many._cluster import connected, on_cluster, require_alike
from ._many._content import hash_of_reference
from ._many._processes import in_processes
from ._many._report import REPORT, TABLE, table_of_rows, write_summary
from ._many._tasks import VERSION, Task, make_tasks, setting_of
from ._many._visit_query import failed_row, visit_query

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

    import pandas as pd

    from scarches_plus.model import SCANVI, SCVI


def map_many(
    queries: str | Path | Sequence[str | Path],
    model: SCVI | SCANVI | str | Path,
    *,
    out: str | Path,
    client: Any = None,
    n_jobs: int | None = None,
    n_threads: int = 1,
    labels_key: str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    modality: str | None = None,
    max_epochs: int | None = None,
    seed: int = 0,
    unknown_above: float | None = 0.5,
    unlabelled: Collection[Any] | None = None,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    probabilities: bool = False,
) -> pd.DataFrame:
    """Map many queries onto a reference: the whole visit for each file, several at a time.

    A query is mapped, or embedded where the encoder does not see batches, looked through for novel cells, labelled, and
    placed on the map of the reference, as far as the reference carries what that takes. Its result is that of the
    command ``annotate``, whatever else runs beside it. A second call does what is left: queries whose contents,
    reference, options and version of this package are those of their results are kept.

    Parameters
    ----------
    queries
        Files of cells with raw counts, in any format that the commands read (:doc:`/guide/command_line`); or one.
    model
        What names the reference for :func:`scarches_plus.load`, with the cells or the summary that it came with; or a
        model of this package, which labels by the summaries that it carries, or by scANVI's classifier.
    out
        Folder for the results: ``NAME.h5ad`` and ``NAME.json`` for each query, ``queries.csv`` and ``report.html``.
    client
        A ``dask.distributed.Client``, or the address of a scheduler, whose workers do the work. They must see queries,
        reference and ``out`` under the same paths. ``None`` for processes of this machine.
    n_jobs
        Queries at a time on this machine; ``None`` for as many as there are cores.
    n_threads
        Threads that each of them computes with.
    labels_key
        Labels to transfer, if not those that the model was trained on.
    batch_key, layer
        Where the queries keep batches and counts (``"X"`` for ``adata.X``), if not where the reference does. Without a
        column of batches, all cells of a query are one batch.
    modality
        Modality of ``.h5mu`` files; by default that of the genes.
    max_epochs
        Epochs, as in :func:`map_query`.
    seed
        Seed of each query's training.
    unknown_above, unlabelled, hierarchy, probabilities
        As in :func:`transfer_labels`.

    Returns
    -------
    pandas.DataFrame
        A row for each query: ``name`` (of its results), ``query`` (path), ``status`` (``"done"``, ``"kept"`` from an
        earlier call, or ``"failed"``), ``n_cells``, ``unknown`` and ``novel`` (shares of its cells; missing if novel
        cells could not be looked for), ``seconds``, ``labels`` (number of cells of each), ``notes``, ``warnings``,
        ``message`` (why it failed) and ``file`` (the result). ``queries.csv`` holds the same.

    Raises
    ------
    ValueError
        If the reference has no labels, or not these, ``out`` is the folder of a query, or a worker of the cluster has
        another version of this package or does not see the files.
    OSError
        If there is no reference, the results cannot be written, or another call writes into ``out``.
    ImportError
        If a cluster is given and Dask is not installed.

    Notes
    -----
    A query that fails stops no other. If the system ends a process, for want of memory for example, its query is begun
    once more (on a cluster, as often as Dask's ``allowed-failures`` says). Ctrl-C keeps what is done.

    References
    ----------
    Lotfollahi et al. 2021 (scArches).
    """
    given = [queries] if isinstance(queries, str | Path) else check.names("queries", queries, of=object, least=1)
    paths = list(dict.fromkeys(check.path("queries", one).absolute() for one in given))
    folder = check.path("out", out).absolute()
    n_jobs = cpu_count() if n_jobs is None else check.whole("n_jobs", n_jobs, least=1)
    n_threads = check.whole("n_threads", n_threads, least=1)
    check.texts_or_none(labels_key=labels_key, batch_key=batch_key, layer=layer, modality=modality)
    check.seed("seed", seed, generator=False)
    if unknown_above is not None:
        check.number("unknown_above", unknown_above, least=0, most=1)
    check.flags(probabilities=probabilities)
    options = _visit.VisitOptions(
        labels_key=labels_key,
        batch_key=batch_key,
        layer=layer,
        max_epochs=None if max_epochs is None else check.whole("max_epochs", max_epochs, least=1, most=_limits.EPOCHS),
        seed=int(seed),
        unknown_above=unknown_above,
        unlabelled=None if unlabelled is None else check.names("unlabelled", unlabelled, of=object),
        hierarchy=None if hierarchy is None else LabelTree.of(hierarchy),
        probabilities=probabilities,
    )
    if not isinstance(model, str | Path):
        model = hub.load(model)
    for name in (TABLE, REPORT):
        check_output_file(folder / name)
    with ExitStack() as held:
        held.enter_context(_alone_in(folder))
        reference = held.enter_context(_on_disk(model, folder))
        setting = setting_of(hash_of_reference(reference), modality, options)
        tasks = make_tasks(
            paths, folder, reference=str(reference), setting=setting, options=options, modality=modality,
            n_threads=n_threads,
        )  # fmt: skip
        rows = {task.name: row for task in tasks if (row := task.kept()) is not None}
        todo = [task for task in tasks if task.name not in rows]
        if rows:
            logger.info("%d of %d queries were done before and are kept", len(rows), len(tasks))
        if todo:  # what is wrong with the reference is told here, and once
            _visit.Visit.to(_visit.open_known(reference), options)
        try:
            with closing(_outcomes(todo, client, n_jobs, n_threads)) as outcomes:
                rows.update((task.name, row) for task, row in outcomes)
        finally:
            table = table_of_rows([rows.get(task.name) or task.empty_row() for task in tasks])
            settings = {"reference": _named(model), "version of scarches-plus": VERSION, **_chosen(options)}
            write_summary(table, folder, settings)
    return table


def _outcomes(
    tasks: Sequence[Task], client: Any, n_jobs: int, n_threads: int
) -> Generator[tuple[Task, dict[str, Any]]]:
    """Do the tasks, and yield each with its row; say how far this is."""
    if not tasks:
        return
    outcomes: Generator[tuple[Task, dict[str, Any] | BaseException]]
    with ExitStack() as held:
        if client is None:
            outcomes = in_processes(visit_query, tasks, n_jobs=n_jobs, n_threads=n_threads)
        else:
            cluster = held.enter_context(connected(client))
            one = tasks[0]
            require_alike(cluster, [Path(one.folder), Path(one.reference), *(Path(task.query) for task in tasks)])
            outcomes = on_cluster(visit_query, tasks, cluster)
        held.enter_context(closing(outcomes))
        start = perf_counter()
        for n_done, (task, outcome) in enumerate(outcomes, start=1):
            row = outcome if isinstance(outcome, dict) else failed_row(task, outcome)
            left = (perf_counter() - start) / n_done * (len(tasks) - n_done)
            logger.info(
                "%d of %d: %s %s%s; about %s left", n_done, len(tasks), task.query, row["status"],
                f" ({row['message']})" if row["message"] else "", _duration(left),
            )  # fmt: skip
            yield task, row


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, so that two calls do not write the same results."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = lock(folder)
    except BlockingIOError as error:
        message = f"another call of map_many writes into {folder}: wait for it, or choose another folder"
        raise BlockingIOError(message) from error
    try:
        yield
    finally:
        unlock(handle)


@contextmanager
def _on_disk(model: Any, folder: Path) -> Iterator[Path]:
    """Return the path of a reference; a model object lies beside the results until these are there."""
    if isinstance(model, str | Path):
        yield hub.local_path(model, with_cells=True).absolute()
        return
    with private_folder(folder / "reference") as own:
        yield hub.save_bundle(model, own / "reference", anchors=model.state.anchors is not None)


def _named(model: Any) -> str:
    return str(model) if isinstance(model, str | Path) else f"a model ({type(model).__name__})"


def _chosen(options: _visit.VisitOptions) -> dict[str, object]:
    """Return the options that are not the default."""
    return {name: value for name, value in vars(options).items() if value != getattr(_visit.VisitOptions, name)}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
