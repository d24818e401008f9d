"""Make the application: routes, page and guard."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from scarches_plus._colors import GREY, LABELS, NOVEL, UNSURE
from scarches_plus.app._jobs._process import WorkerError, WorkerStoppedError
from scarches_plus.app._jobs._queue import FullError

from ._errors import RequestError, answer_error
from ._routes import ROUTES
from ._security import Guard
from ._settings import Workplace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from ._settings import Settings

_PAGE = Path(__file__).parents[1] / "_page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def make_application(settings: Settings) -> Guard:
    """Return the application that serves the page and the API.

    Parameters
    ----------
    settings
        What the server was started with.

    Raises
    ------
    ValueError
        If the folder is another user's, or another server works in it.
    """
    place = Workplace(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.workplace = place
        place.start()
        try:
            yield
        finally:
            place.close()

    handlers = dict.fromkeys(
        (RequestError, WorkerError, WorkerStoppedError, FullError, HTTPException, Exception), answer_error
    )
    routes = [Route(one.path, one.answer, methods=[one.method]) for one in ROUTES]
    routes += [Route("/", page), Route("/page/palette.js", palette), Route("/page/{file}", page)]
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), settings)


async def page(request: Request) -> Response:
    """Send a file of the page."""
    known = {file.name: file for file in _PAGE.iterdir() if file.suffix in _KINDS}
    file = known.get(request.path_params.get("file", "index.html"))
    if file is None:
        message = "there is no such page"
        raise RequestError(404, message)
    return FileResponse(file, media_type=_KINDS[file.suffix])


async def palette(request: Request) -> Response:
    """Send the colours of figures, so that the page has the same."""
    colors = {"LABELS": LABELS, "GREY": GREY, "UNSURE": UNSURE, "NOVEL": NOVEL}
    script = "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in colors.items())
    return Response(script, media_type=_KINDS[".js"])
