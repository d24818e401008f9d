"""Train a model in an explicit mode, on exactly the weights that surgery left free."""

from __future__ import annotations

import sys
from inspect import signature
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd
import scvi

from scarches_plus import _arguments as check
from scarches_plus._logging import libraries_quiet, logger
from scarches_plus._options import by_name
from scarches_plus._settings import accelerator_for, settings
from scarches_plus.model._registration._groupings import setting_of
from scarches_plus.model._speed._data_splitter import DataSplitter
from scarches_plus.model._speed._fast_training import obstacle_to_fast_training, train_fast
from scarches_plus.model._speed._minibatch_loop import obstacle_to_loop
from scarches_plus.model._state import refresh_state
from scarches_plus.model._surgery._strategies import as_tensors
from scarches_plus.model._surgery.inherited_training import record_of_training
from scarches_plus.model._training._defaults import n_training_cells
from scarches_plus.model._training._interrupt import InterruptibleRunner, interrupts_restored
from scarches_plus.model._training._training_options import check_training
from scarches_plus.train import TrainingPlan, name_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus.model._state import Surgery
    from scarches_plus.train import Penalty

Engine = Literal["auto", "fast", "scvi"]
ENGINES: tuple[str, ...] = get_args(Engine)


class TrainingMixin:
    """``train`` of scvi-tools with modes and freezing that are said and kept."""

    _training_plan_cls = TrainingPlan
    _data_splitter_cls = DataSplitter
    _train_runner_cls = InterruptibleRunner

    if TYPE_CHECKING:

        @property
        def surgery(self) -> Surgery | None: ...

    @libraries_quiet()
    def train(
        self,
        *args: Any,
        penalties: Sequence[Penalty] = (),
        engine: Engine = "auto",
        module_mode: Literal["train", "eval"] | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model; a query model trains exactly what its surgery left free.

        Parameters
        ----------
        *args
            Passed to the ``train`` of scvi-tools; the first is ``max_epochs``.
        penalties
            Terms to add to the loss: :class:`~scarches_plus.train.MMD`, :class:`~scarches_plus.train.BatchAdversary`,
            :class:`~scarches_plus.train.EWC` or a :class:`~scarches_plus.train.Penalty` of your own. The history holds
            the value of each.
        engine
            ``"scvi"``: lightning's loop over minibatches. ``"fast"``: for the columns that strategy ``"condition"``
            trains, the path of that loop in strides of many steps (:class:`~scarches_plus.train.AdamStrides`), on an
            objective reduced to what these columns change; for all else the steps of that loop one by one, without
            lightning, and with the same result. ``"auto"``: the fast one where it applies. The log says which, and
            ``state.engine`` remembers: ``"fast"`` for strides, ``"loop"`` for the loop of this package, ``"scvi"``.
        module_mode
            ``"train"``: dropout and batch statistics are live. ``"eval"``: the network is deterministic. Default:
            ``"eval"`` for the strategies ``"condition"`` and ``"input_layers"`` (what scvi-tools does, unsaid, in every
            surgery), else ``"train"`` (which scvi-tools does in the first training of a model only).
        plan_kwargs
            Passed to the training plan, for example ``{"weight_decay": 0.0, "lr": 1e-3}``.
        **kwargs
            Passed to the ``train`` of scvi-tools.

        Raises
        ------
        ValueError
            If there is no such engine, or the fast one does not apply, or a penalty can have no effect, naming the
            reason.
        KeyboardInterrupt
            If the user stops the training. The model then holds the weights of the last step and can be used and
            trained on.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        name_terms(penalties)
        check.choice("engine", engine, ENGINES)
        check.choice("module_mode", module_mode, ("train", "eval", None))
        parent = super().train  # type: ignore[misc]
        plan_kwargs, kwargs = check_training(type(self), plan_kwargs, by_name(parent, args, kwargs), name="train")
        surgery = self.surgery
        partial = surgery is not None and surgery.strategy != "all"
        plan_kwargs = {
            "module_mode": module_mode or ("eval" if partial else "train"),
            "freeze_norms": partial,
            **plan_kwargs,
        }
        entries = None if surgery is None else as_tensors(surgery.entries)
        if entries is not None:
            plan_kwargs["entries"] = entries
        if name_terms(penalties):
            plan_kwargs |= {"penalties": tuple(penalties), "setting": setting_of(self, entries)}
        if settings.accelerator != "auto" and kwargs.get("accelerator", "auto") == "auto":
            kwargs["accelerator"] = accelerator_for("auto")
        defaults = {name: parameter.default for name, parameter in signature(parent).parameters.items()}
        given = {name: value for name, value in kwargs.items() if name not in defaults or value != defaults[name]}
        options = tuple(penalty.options() for penalty in penalties)
        way = _choose_engine(self, engine, plan_kwargs, given)
        if way == "fast":
            try:
                train_fast(self, plan_kwargs, **kwargs)
            finally:
                refresh_state(self, engine="fast", penalties=options)  # type: ignore[arg-type]
            return
        if way == "scvi" and not settings.shows_progress(sys.stdout):  # where scvi-tools draws
            kwargs["enable_progress_bar"] = False
        _set_sizes(kwargs, self.adata, defaults.get("batch_size"))  # type: ignore[attr-defined]
        module = self.module  # type: ignore[attr-defined]
        n_before = len((self.history or {}).get("elbo_train", ())) if self.is_trained else 0  # type: ignore[attr-defined]
        trainer = getattr(self, "trainer", None)
        module.train()  # the plan sets the mode; lightning warns of any other start
        try:
            with interrupts_restored():
                parent(plan_kwargs=plan_kwargs, **kwargs, lightning=way == "scvi")
        finally:
            module.eval()
            began = getattr(self, "trainer", None) is not trainer
            trained: dict[str, Any] = {}
            if began:
                _place_in_history(self, n_before)
                trained = {"engine": way, "penalties": options}
                if surgery is None:
                    trained["training"] = record_of_training(options, plan_kwargs, kwargs)
                    _say_what_queries_inherit_no_more(self, options)
            refresh_state(self, **trained)  # type: ignore[arg-type]


def _say_what_queries_inherit_no_more(model: Any, penalties: Sequence[dict[str, Any]]) -> None:
    """Log the penalties of former trainings that took no part in the last one."""
    before = model.state.training
    former = set() if before is None else {one["name"] for one in before.penalties}
    if gone := sorted(former - {one["name"] for one in penalties}):
        logger.warning(
            "queries inherit the last training of their reference, and no longer %s: train with these penalties again, "
            "or pass them to map_query", gone
        )  # fmt: skip


def _place_in_history(model: Any, n_before: int) -> None:
    """Append what the last training logged to the history, after the epochs before it.

    scvi-tools drops what is logged for the first time, and counts epochs from the length of each record.
    """
    logged = getattr(model.trainer.logger, "history", None)
    if not isinstance(logged, dict) or not isinstance(model.history_, dict):
        return
    history: dict[str, pd.DataFrame] = model.history_
    for name, values in logged.items():
        record = history.setdefault(name, values)
        if record.index.name == "epoch":
            epochs = [*record.index[: len(record) - len(values)], *range(n_before, n_before + len(values))]
            history[name] = record.set_axis(pd.Index(epochs, name="epoch"))


def _choose_engine(model: Any, engine: str, plan_kwargs: dict[str, Any], kwargs: dict[str, Any]) -> str:
    """Return ``"fast"`` for strides, ``"loop"`` for the loop of this package, or ``"scvi"`` for lightning's."""
    if engine == "scvi":
        return "scvi"
    to_strides = obstacle_to_fast_training(model, plan_kwargs, kwargs)
    if to_strides is None:
        logger.info("training condition columns on the fast path; engine='scvi' takes lightning's loop")
        return "fast"
    to_loop = obstacle_to_loop(model, plan_kwargs, kwargs)
    if to_loop is None:
        if model.surgery is not None:
            logger.info("training step by step, without lightning, since strides do not apply: %s", to_strides)
        return "loop"
    if engine == "fast":
        message = f"the fast path does not apply: {to_loop}. Pass engine='auto' or 'scvi' to train without it"
        raise ValueError(message)
    logger.info("training in lightning's loop: %s", to_loop)
    return "scvi"


def _set_sizes(kwargs: dict[str, Any], adata: AnnData | MuData | None, default_batch_size: int | None) -> None:
    """Choose the share of training cells such that no minibatch has one or two cells, and how often lightning logs.

    Left alone, scvi-tools would choose the same share and warn of it, and lightning would warn of small data.
    """
    if kwargs.get("datamodule") is not None:
        kwargs.setdefault("log_every_n_steps", 1)  # how many steps there are, only the data module can tell
    if kwargs.get("datamodule") is not None or adata is None:
        return
    n_cells = adata.n_obs
    batch_size = kwargs.get("batch_size") or default_batch_size or scvi.settings.batch_size
    if kwargs.get("train_size") is None:
        n_train = n_training_cells(n_cells, batch_size)
        kwargs["train_size"] = (n_train - 0.5) / n_cells  # scvi-tools rounds up
    else:
        n_train = ceil(kwargs["train_size"] * n_cells)
    kwargs.setdefault("log_every_n_steps", min(10, ceil(n_train / batch_size)))
