"""Keep jobs, sent files and maps in the folder that the user chose."""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from scarches_plus._files import lock, remove_folder, unlock, write_file
from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Status = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
#: What is in the folder is the user's alone.
_OWN = 0o700
_ID = re.compile(r"[0-9a-f]{16}")
#: Characters that a name of a file on this disk may have: others, of any alphabet, become an underscore.
_ODD = re.compile(r"[^\w.+ -]")
_MOST_CHARACTERS = 100
#: Seconds that a file waits for its job.
_UNUSED = 24 * 3600


@dataclass(frozen=True)
class State:
    """State of a job, as people wait for it.

    Attributes
    ----------
    status
        Where it is.
    step, progress, seconds_left
        What is done, the share that is, from 0 to 1, and how long it may take.
    message
        What went wrong.
    position
        How many jobs are before it.
    """

    status: Status
    step: str = ""
    progress: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    position: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None


#: Of a name on this disk.
_MOST_BYTES = 240


class Store:
    """Holds jobs as folders, one each, so that a restart finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.files = folder / "files"
        self.maps = folder / "maps"
        folder.mkdir(mode=_OWN, parents=True, exist_ok=True)
        self._lock = _held(folder)
        for one in (self.jobs, self.files, self.maps):
            one.mkdir(mode=_OWN, exist_ok=True)
        self._states: dict[str, State] = {}
        self._options: dict[str, dict[str, Any]] = {}
        self._filing = threading.Lock()  # who needs which file, and what is removed
        for path in sorted(self.jobs.iterdir(), key=lambda one: one.stat().st_mtime):
            if not _ID.fullmatch(path.name) or not (path / "job.json").is_file():
                continue
            try:
                self._options[path.name] = dict(json.loads((path / "job.json").read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                logger.warning("%s is no job that can be read, and is left as it is", path)
                continue
            self._states[path.name] = _read_state(path)
        self._remove_unused_files()

    def __iter__(self) -> Iterator[str]:
        states = dict(self._states)  # others come and go meanwhile
        return iter(sorted(states, key=lambda job: states[job].created))

    def __contains__(self, job: object) -> bool:
        return job in self._states

    def path(self, job: str) -> Path:
        """Return the folder of a job that is there."""
        if job not in self._states:
            raise KeyError(job)
        return self.jobs / job

    def state(self, job: str) -> State:
        """Return the state of a job that is there."""
        return self._states[job]

    def options(self, job: str) -> dict[str, Any]:
        """Return what was asked for by a job that is there, else raise ``KeyError``."""
        return self._options[job]

    def needs(self, file: str) -> bool:
        """Return whether a job needs a file that was sent."""
        return any(options.get("file") == file for options in list(self._options.values()))

    def add(self, options: dict[str, Any]) -> str:
        """Write a new job down, and return its name."""
        job = secrets.token_hex(8)
        (self.jobs / job).mkdir(mode=_OWN)
        write_file(self.jobs / job / "job.json", json.dumps(options).encode())
        with self._filing:
            self._options[job] = options
            self._states[job] = State("queued")
        self.change(job, created=time.time())
        return job

    def change(self, job: str, *, keep: bool = True, **changes: Any) -> State:
        """Change a state, on disk as well unless it is one of many steps; a full disk stops no job."""
        state = replace(self._states[job], **changes)
        self._states[job] = state
        if keep:
            try:
                write_file(self.jobs / job / "state.json", json.dumps(asdict(state)).encode())
            except OSError as error:
                logger.warning("the state of job %s is not kept: %s", job, error)
        return state

    def remove(self, job: str) -> None:
        """Remove a job and its file, unless another job needs it."""
        with self._filing:
            file = self._options.pop(job).get("file")
            self._states.pop(job, None)
            remove_folder(self.jobs / job)
            if file is not None and not self.needs(file):
                remove_folder(self.files / file)

    # --- Files that were sent ---

    def new_file(self, name: str) -> tuple[str, Path]:
        """Return a name for a file to come, and where it goes; files that no job took are removed after a day."""
        self._remove_unused_files()
        file = secrets.token_hex(8)
        (self.files / file).mkdir(mode=_OWN)
        return file, self.files / file / safe_name(name)

    def drop_file(self, file: str) -> None:
        """Remove a file that came in part or is no use."""
        if _ID.fullmatch(file):
            remove_folder(self.files / file)

    def file(self, file: str) -> Path:
        """Return the path of a file that was sent."""
        folder = self.files / file
        if not _ID.fullmatch(file) or not folder.is_dir():
            raise KeyError(file)
        found = next((one for one in folder.iterdir() if one.is_file()), None)
        if found is None:
            raise KeyError(file)
        return found

    def close(self) -> None:
        """Let another server have the folder."""
        unlock(self._lock)

    def _remove_unused_files(self) -> None:
        with self._filing:
            used = {options.get("file") for options in self._options.values()}
            for folder in self.files.iterdir():
                if _ID.fullmatch(folder.name) and folder.name not in used and _age(folder) > _UNUSED:
                    remove_folder(folder)


def _held(folder: Path) -> int | None:
    """Hold the folder for this server alone.

    Raises
    ------
    ValueError
        If it is another user's, or another server works in it.
    """
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        message = f"{folder} is another user's, who could put jobs into it: choose another with --folder"
        raise ValueError(message)
    try:
        return lock(folder)
    except BlockingIOError as error:
        message = f"another server works in {folder}: visit that, or choose another folder with --folder"
        raise ValueError(message) from error


def safe_name(name: str) -> str:
    """Return the name of a foreign file for this disk: no folders, nothing hidden, not too long."""
    base = re.split(r"[\\/]", name)[-1]
    plain = _ODD.sub("_", base).strip(" .") or "cells"
    stem, dot, suffix = plain.partition(".")
    short = (stem[: _MOST_CHARACTERS - 20] + dot + suffix[-20:])[:_MOST_CHARACTERS]
    while len(short.encode()) > _MOST_BYTES:
        short = short[1:]
    return short


def _read_state(path: Path) -> State:
    """Return a job's state as it was, if that can be read; what ran when the server ended waits again."""
    try:
        state = State(**json.loads((path / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return State("failed", message="its state could not be read; start it again", created=path.stat().st_mtime)
    return state if state.status in ENDED else State("queued", created=state.created)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:  # it is being removed
        return 0.0
