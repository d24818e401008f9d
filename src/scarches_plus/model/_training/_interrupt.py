"""Run a training that Ctrl-C may end, so that the model stays usable, and tell why it ended early."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from scvi.train import LoudEarlyStopping, TrainRunner

from scarches_plus._logging import tell
from scarches_plus.model._speed._minibatch_loop import MinibatchLoop

if TYPE_CHECKING:
    from collections.abc import Iterator


class TrainingInterrupted(KeyboardInterrupt):
    """The user stopped a training.

    Parameters
    ----------
    model
        The model, with the weights of the last step. Where a function made it, a session finds it in
        ``sys.last_value.model``.
    trained
        Whether it was trained for a step at least, now or before.
    """

    def __init__(self, model: Any, *, trained: bool) -> None:
        self.model, self.trained = model, trained
        super().__init__(
            "training was interrupted; the model holds the weights of the last step (sys.last_value.model)"
            if trained
            else "training was interrupted before its first step; the model is not trained"
        )


@contextmanager
def trained_model_kept(model: Any) -> Iterator[None]:
    """Attach the trained model to whatever stops the work after a training: ``sys.last_value.model``."""
    try:
        yield
    except TrainingInterrupted as stop:
        if stop.trained:
            raise
        raise TrainingInterrupted(model, trained=True) from stop
    except KeyboardInterrupt as stop:
        raise TrainingInterrupted(model, trained=True) from stop
    except Exception as error:
        error.model = model  # type: ignore[attr-defined]
        error.add_note("The model is trained: it is sys.last_value.model.")
        raise


class InterruptibleRunner(TrainRunner):
    """Runs a training of scvi-tools; after Ctrl-C, the model is as after a training that ended there.

    Parameters
    ----------
    *args, **kwargs
        As in scvi-tools.
    lightning
        Whether lightning's trainer runs it, or :class:`MinibatchLoop`.
    """

    def __init__(self, *args: Any, lightning: bool = True, **kwargs: Any) -> None:
        if not lightning:
            self._trainer_cls = MinibatchLoop
        super().__init__(*args, **kwargs)
        if not lightning:
            self.trainer.use_device(self.device)

    def __call__(self) -> Any:
        """Run training."""
        for callback in getattr(self.trainer, "callbacks", ()):
            if isinstance(callback, LoudEarlyStopping):
                callback.teardown = partial(_tell_why, callback)  # type: ignore[method-assign]
        try:
            return super().__call__()
        except (KeyboardInterrupt, SystemExit) as stop:  # lightning turns Ctrl-C into an exit of the whole process
            if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            if self.trainer.global_step:
                self._end()
            raise TrainingInterrupted(self.model, trained=self.model.is_trained_) from stop

    def _end(self) -> None:
        """Finish a training as scvi-tools does."""
        for kind, name in (("train", "train_idx"), ("test", "test_idx"), ("validation", "val_idx")):
            setattr(self.model, f"{kind}_indices", getattr(self.data_splitter, name, None))
        self.model.is_trained_ = True
        self.model.to_device(self.device)
        self.model.trainer = self.trainer


def _tell_why(callback: LoudEarlyStopping, *_: Any, **__: Any) -> None:
    """Say why training stopped where other outcomes are told, instead of printing it."""
    if callback.early_stopping_reason is not None:
        tell(callback.early_stopping_reason, {"what": "stopped early"})


@contextmanager
def interrupts_restored() -> Iterator[None]:
    """Restore Ctrl-C after a training: lightning ignores it from the first one on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if handler is not None and signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
