"""Hold the user's settings: how much is said, figures, the cache folder, the accelerator."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal, TextIO, get_args

from . import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Verbosity = Literal["quiet", "progress", "info"]
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]


#: Loggers of libraries that tell of their machine and tips; those above them set their own level when imported.
CHATTER = ("lightning.pytorch.utilities", "lightning.fabric.utilities", "scvi.data", "scvi.model")


class Settings:
    """Settings of this package, ``sp.settings``: attributes that are checked when they are set.

    Nothing else is changed: not scvi-tools' settings, matplotlib's ``rcParams`` or the root of Python's logging.

    Attributes
    ----------
    verbosity
        ``"quiet"``: no progress bars, no lines, nor those of lightning and scvi-tools on machines, seeds and files,
        until it is set again. ``"progress"``, the default: where a person looks (a notebook or a
        terminal), progress bars and a line on what each verb did; log files stay quiet. ``"info"``: these lines and the
        notes of the package everywhere, and in trainings what lightning and scvi-tools say. Warnings are shown always.
    figure_size
        Width and height in inches of figures with one panel, where no ``ax`` is passed; ``None`` leaves the size to the
        function, which knows how many rows it draws.
    figure_dpi
        Dots per inch of new figures; ``None`` for matplotlib's.
    cache_dir
        Folder for files that are fetched; ``None`` for ``$SCARCHES_PLUS_CACHE``, else that of the platform. What is
        passed as ``cache_dir=`` stands above it.
    accelerator
        Where models are opened and trained, as lightning names it: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"cuda"``,
        ``"mps"``, ``"tpu"``. What is passed as ``accelerator=`` stands above it.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> sp.settings.figure_dpi = 150
    >>> with sp.settings.override(verbosity="quiet", accelerator="cpu"):
    ...     adata = sp.datasets.simulate(100)
    >>> sp.settings.verbosity
    'progress'
    >>> sp.settings.reset()
    """

    verbosity: Verbosity
    figure_size: tuple[float, float] | None
    figure_dpi: int | None
    cache_dir: Path | None
    accelerator: Accelerator

    def __init__(self) -> None:
        for name, value in _DEFAULTS.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set one, checked.

        Raises
        ------
        AttributeError
            If there is no such setting.
        TypeError, ValueError
            If it cannot have this value.
        """
        if name not in _DEFAULTS:
            message = f"there is no setting {name!r}, only {list(_DEFAULTS)}{check.nearest(name, _DEFAULTS)}"
            raise AttributeError(message)
        value = None if value is None and name in _OR_NONE else _CHECKS[name](name, value)
        was_quiet = self.verbosity == "quiet"
        object.__setattr__(self, name, value)
        if name == "verbosity":
            _notes.show(value == "info")
        if was_quiet and self.verbosity != "quiet":
            _libraries.restore()
        elif not was_quiet and self.verbosity == "quiet":
            _libraries.hush()

    def __repr__(self) -> str:
        """Return all settings, one a line."""
        return "\n".join([f"{name} = {value!r}" for name, value in self._values().items()])

    @contextlib.contextmanager
    def override(self, **values: Any) -> Iterator[Settings]:
        """Set some within a ``with`` block, and restore them after it, whatever happens.

        Parameters
        ----------
        **values
            Setting to value.
        """
        before = self._values()
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            for name in values.keys() & before.keys():
                setattr(self, name, before[name])

    def reset(self) -> None:
        """Restore the defaults."""
        for name, value in _DEFAULTS.items():
            setattr(self, name, value)

    def shows_progress(self, stream: TextIO | None = None) -> bool:
        """Return whether progress bars are shown: unless all is to be quiet, where a person looks.

        Parameters
        ----------
        stream
            Where they are drawn; ``None`` for the standard error.
        """
        return self.verbosity != "quiet" and (in_notebook() or _is_terminal(stream or sys.stderr))

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DEFAULTS}


def in_notebook() -> bool:
    """Return whether a notebook shows what is printed."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return "IPKernelApp" in getattr(shell, "config", {})


def say(line: str) -> None:
    """Write a line for the person who looks: below the cell of a notebook, else to the standard error."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # a terminal that is gone, or none
        (sys.stdout if in_notebook() else sys.stderr).write(f"{line}\n")


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep libraries from telling of machines, files and tips for a while."""
    _libraries.hush()
    try:
        yield
    finally:
        _libraries.restore()


def accelerator_for(asked: str) -> str:
    """Return the accelerator that a call names, or that of the settings where it names none.

    Raises
    ------
    ValueError
        If the setting names one that this machine does not have.
    """
    if asked != "auto" or settings.accelerator in {"auto", "cpu"}:
        return asked if asked != "auto" else settings.accelerator
    from lightning.pytorch import accelerators

    cuda, mps = accelerators.CUDAAccelerator, accelerators.MPSAccelerator
    kinds = {"cuda": [cuda], "mps": [mps], "gpu": [cuda, mps], "tpu": [accelerators.XLAAccelerator]}
    if not any(kind.is_available() for kind in kinds[settings.accelerator]):
        message = (
            f"sp.settings.accelerator is {settings.accelerator!r}, and this machine has none that torch can use; set "
            'sp.settings.accelerator = "auto", or install torch for it'
        )
        raise ValueError(message)
    return settings.accelerator


class _Libraries:
    """Loggers of libraries, turned down while anybody wants that, in whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._levels: dict[str, int] = {}

    def hush(self) -> None:
        """Let them warn only."""
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                self._levels = {name: logging.getLogger(name).level for name in CHATTER}
                for name in CHATTER:
                    logger = logging.getLogger(name)
                    logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))

    def restore(self) -> None:
        """Let them be as they were, once nobody wants them hushed."""
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                for name, level in self._levels.items():
                    logging.getLogger(name).setLevel(level)


class _Notes(logging.Handler):
    """Writes the notes of the package, while the user wants to see them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._level: int | None = None

    def show(self, wanted: bool) -> None:  # noqa: FBT001
        """Begin or end; the level of the logger is what it was in the end."""
        logger = logging.getLogger("scarches_plus")
        if wanted and self._level is None:
            self._level = logger.level
            logger.addHandler(self)
            logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
        elif not wanted and self._level is not None:
            logger.removeHandler(self)
            logger.setLevel(self._level)
            self._level = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a note in one line."""
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        say(f"{prefix}{record.getMessage()}")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, OSError, ValueError):  # closed, or something that only looks like a file
        return False


def _size(name: str, value: Any) -> tuple[float, float]:
    try:
        width, height = value
    except (TypeError, ValueError):
        message = f"{name} must be (width, height) in inches, or None, not {check.shown(value)}"
        raise TypeError(message) from None
    return check.number(name, width, above=0), check.number(name, height, above=0)


_DEFAULTS: dict[str, Any] = {
    "verbosity": "progress",
    "figure_size": None,
    "figure_dpi": None,
    "cache_dir": None,
    "accelerator": "auto",
}
_OR_NONE = {"figure_size", "figure_dpi", "cache_dir"}
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "verbosity": lambda name, value: check.choice(name, value, get_args(Verbosity)),
    "figure_size": _size,
    "figure_dpi": lambda name, value: check.whole(name, value, least=1),
    "cache_dir": check.path,
    "accelerator": lambda name, value: check.choice(name, value, get_args(Accelerator)),
}
_notes = _Notes()
_libraries = _Libraries()
settings = Settings()
