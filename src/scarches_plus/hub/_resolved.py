"""What names without a version stood for when they were used."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scarches_plus._logging import logger

from ._manifest import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from ._index import IndexEntry

RESOLVED = "resolved.jsonl"


def note_resolution(folder: Path, asked: str, entry: IndexEntry) -> None:
    """Write down which version was taken: one line of JSON more in ``resolved.jsonl``."""
    taken = {
        "asked": asked,
        "taken": f"{entry.name}@{entry.version}",
        "doi": entry.doi,
        "manifest": entry.files[MANIFEST].sha256,  # type: ignore[index]
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    logger.info("%s stands for %s", asked, " ".join(filter(None, [taken["taken"], entry.doi])))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RESOLVED).open("a", encoding="utf-8") as file:
        file.write(json.dumps(taken) + "\n")
