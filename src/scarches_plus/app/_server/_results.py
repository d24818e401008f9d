"""Answer requests for results of finished jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import FileResponse, JSONResponse

from scarches_plus.app._jobs._store import safe_name

from ._errors import RequestError, body_of, checked
from ._jobs import job_of, place_of
from ._questions import ExplainQuestion, GeneQuestion, NamesQuestion

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

_VIEW = re.compile(r"(?:points|column\d{1,5}|(?:gene|presence)-[0-9a-f]{16})\.view")
#: The report has its styles and pictures within it, and may do nothing else.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"


class _Kind(NamedTuple):
    media_type: str
    suffix: str
    shown: bool = False


KINDS = {
    "result.h5ad": _Kind("application/x-hdf5", ".h5ad"),
    "cells.csv": _Kind("text/csv; charset=utf-8", ".csv"),
    "cells.arrow": _Kind("application/vnd.apache.arrow.file", ".arrow"),
    "report.html": _Kind("text/html; charset=utf-8", ".html", shown=True),
    "script.py": _Kind("text/x-python; charset=utf-8", ".py"),
}


async def result(request: Request) -> Response:
    """Send the summary of a finished job."""
    return FileResponse(_finished(request) / "result.json", media_type="application/json")


async def cell_names(request: Request) -> Response:
    """Send the names of the cells, in their order."""
    return FileResponse(_finished(request) / "names.json", media_type="application/json")


async def view(request: Request) -> Response:
    """Send positions or a column of the cells as numbers."""
    folder, name = _finished(request), request.path_params["file"]
    if not _VIEW.fullmatch(name) or not (folder / name).is_file():
        message = f"the job has no numbers {name}"
        raise RequestError(404, message)
    return FileResponse(folder / name, media_type="application/octet-stream")


async def download(request: Request) -> Response:
    """Send one of the files that a job wrote."""
    folder, name = _finished(request), request.path_params["name"]
    if name not in KINDS:
        message = f"a job has no file {name}, only {', '.join(KINDS)}"
        raise RequestError(404, message)
    if not (folder / name).is_file():
        message = "the server wrote no Arrow file: it needs pyarrow (pip install pyarrow), and the job to run again"
        raise RequestError(501, message)
    kind = KINDS[name]
    stem = safe_name(place_of(request).store.options(job_of(request))["name"]).split(".")[0]
    stem = stem.encode("ascii", "replace").decode().replace("?", "_")
    return FileResponse(
        folder / name,
        media_type=kind.media_type,
        filename=f"{stem}-mapped{kind.suffix}",
        content_disposition_type="inline" if kind.shown else "attachment",
        headers={"content-security-policy": _REPORT_POLICY} if kind.shown else None,
    )


async def gene(request: Request) -> Response:
    """Say where the expression of a gene lies."""
    folder = _finished(request)
    question = checked(GeneQuestion, await body_of(request))
    return await _ask(request, {"do": "gene", "out": str(folder), "name": question.gene})


async def explain(request: Request) -> Response:
    """Say why cells got their labels."""
    folder = _finished(request)
    question = checked(ExplainQuestion, await body_of(request))
    return await _ask(request, {"do": "explain", "out": str(folder), "rows": question.rows})


async def presence(request: Request) -> Response:
    """Say which labels of the reference the cells cover, and where the same for each point of its map lies."""
    folder = _finished(request)
    return await _ask(request, {"do": "presence", "out": str(folder), "maps": str(place_of(request).store.maps)})


async def name_clusters(request: Request) -> Response:
    """Name clusters of novel cells, and write all results again."""
    folder = _finished(request)
    question = checked(NamesQuestion, await body_of(request))
    return await _ask(request, {"do": "name", "out": str(folder), "names": question.names})


def _finished(request: Request) -> Path:
    place, job = place_of(request), job_of(request)
    state = place.store.state(job)
    if state.status != "done":
        message = f"the job has no results, it is {state.status}" + (f": {state.message}" if state.message else "")
        raise RequestError(409, message)
    return place.store.path(job)


async def _ask(request: Request, question: dict[str, Any]) -> Response:
    return JSONResponse(await place_of(request).ask(question))
