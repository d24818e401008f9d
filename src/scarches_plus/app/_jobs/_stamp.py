"""Tell a reference on disk from another that took its place."""

from __future__ import annotations

from pathlib import Path

from scarches_plus._arguments import at_home


def stamp_of(what: str) -> str:
    """Return which files a path names and when they were written; "" for names of a hub, whose files never change."""
    try:
        path = at_home(what)
        files = sorted([path, *path.iterdir()] if path.is_dir() else [path])
        return " ".join(f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}" for found in map(Path.stat, files))
    except (OSError, ValueError):
        return ""
