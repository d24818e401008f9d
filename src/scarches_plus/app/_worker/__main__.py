"""Answer requests, one line of JSON each, until the input ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import IO, TYPE_CHECKING, Any

from scarches_plus._json import finite
from scarches_plus._text import for_terminal

from ._check import check
from ._map_job import map_job
from ._presence import presence
from ._questions import explain, gene, name_clusters
from ._reference import describe, list_references

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUESTS: dict[str, Callable[..., Any]] = {
    "list": list_references,
    "describe": describe,
    "check": check,
    "map": map_job,
    "gene": gene,
    "explain": explain,
    "presence": presence,
    "name": name_clusters,
}
_MESSAGE_CHARACTERS = 4_000


def main() -> None:
    """Answer requests; what libraries print goes to the log, not between the answers."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        verb = _REQUESTS[request.pop("do")]

        def tell(step: str, progress: float, seconds_left: float | None) -> None:
            _write(answers, {"kind": "progress", "step": step, "progress": progress, "seconds_left": seconds_left})

        try:
            _write(answers, {"kind": "done", "result": finite(verb(tell=tell, **request))})
        except MemoryError:
            _write(answers, {"kind": "failed", "message": "there is not enough memory: try with fewer cells or genes"})
        except Exception as error:  # noqa: BLE001 (whatever fails, the next request is answered)
            traceback.print_exc()
            _write(answers, {"kind": "failed", "message": _said(error)})


def _write(answers: IO[str], answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def _said(error: Exception) -> str:
    """Return what an error says to people; what speaks of code alone has its kind before it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    plain = for_terminal(text)[:_MESSAGE_CHARACTERS]
    if isinstance(error, ValueError | OSError | KeyError | TypeError) and " " in plain:
        return plain
    return f"{type(error).__name__}: {plain}; worker.log in the folder of results says more"


if __name__ == "__main__":
    main()
