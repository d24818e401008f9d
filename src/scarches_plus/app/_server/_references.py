"""Answer requests about references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse

from scarches_plus.app._jobs._stamp import stamp_of

from ._errors import RequestError, body_of, checked
from ._questions import ReferenceQuestion

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ._settings import Workplace

_MAP = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{8}\.view")


async def list_references(request: Request) -> Response:
    """List the references of the command line, and those that come with the package."""
    place: Workplace = request.app.state.workplace
    given = [{"what": what, "title": Path(what).name} for what in place.settings.references]
    listed = await _listed(place)
    return JSONResponse({"references": [*given, *listed], "paths": place.settings.paths})


async def open_reference(request: Request) -> Response:
    """Open a reference, and say what it is, what its labels are, and where its map lies."""
    place: Workplace = request.app.state.workplace
    question = checked(ReferenceQuestion, await body_of(request))
    await require_offered(place, question.what)
    return JSONResponse(await _described(place, question))


async def reference_map(request: Request) -> Response:
    """Send the points of a reference's map."""
    place: Workplace = request.app.state.workplace
    name = request.path_params["file"]
    if not _MAP.fullmatch(name) or not (place.store.maps / name).is_file():
        message = "there is no such map: open the reference again"
        raise RequestError(404, message)
    return FileResponse(place.store.maps / name, media_type="application/octet-stream")


async def require_offered(place: Workplace, what: str) -> None:
    """Refuse references on the server's disk where visitors may not name them.

    Raises
    ------
    RequestError
        If it is not offered.
    """
    if place.settings.paths or what in place.settings.references:
        return
    listed = await _listed(place)
    if what not in {one["what"] for one in listed} | {one["what"].partition("@")[0] for one in listed}:
        message = f"{what} is none of the references that this server offers"
        raise RequestError(403, message)


async def _listed(place: Workplace) -> list[dict[str, Any]]:
    key = ("", None, "")
    if key not in place.described:
        place.described[key] = {"listed": await place.ask({"do": "list"})}
    listed: list[dict[str, Any]] = place.described[key]["listed"]
    return listed


async def _described(place: Workplace, question: ReferenceQuestion) -> dict[str, Any]:
    """Return what a reference is; it is not opened again until another takes its place or its map is gone."""
    key = (question.what, question.labels_key, await run_in_threadpool(stamp_of, question.what))
    known = place.described.get(key)
    if known is None or (known["map"] is not None and not (place.store.maps / known["map"]).is_file()):
        request = {"do": "describe", "what": question.what, "maps": str(place.store.maps)}
        place.described[key] = await place.ask(request | {"labels_key": question.labels_key})
    return place.described[key]
