"""Answer requests that send files, check cells, and start, watch and end jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from scarches_plus._json import parse_json
from scarches_plus.app._jobs._options import JobOptions
from scarches_plus.app._jobs._store import ENDED

from ._errors import RequestError, body_of, checked
from ._references import require_offered
from ._upload import read_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from ._settings import Workplace

#: Seconds between two looks at a job, and between signs of life while nothing changes.
_LOOK, _ALIVE = 0.25, 10.0


async def send_file(request: Request) -> Response:
    """Keep a file of cells on the server's disk."""
    place = place_of(request)
    form = await read_form(request, place.store, place.settings.upload_bytes)
    if form.file is None or form.path is None:
        message = "the form has no file: send one in the field file"
        raise RequestError(400, message)
    return JSONResponse({"file": form.file, "name": form.path.name, "bytes": form.path.stat().st_size}, status_code=201)


async def remove_file(request: Request) -> Response:
    """Remove a file that no job needs."""
    store, file = place_of(request).store, request.path_params["file"]
    if store.needs(file):
        message = "a job needs this file: remove the job"
        raise RequestError(409, message)
    store.drop_file(file)
    return Response(status_code=204)


async def check_cells(request: Request) -> Response:
    """Check cells against a reference: problems with their fixes, and columns."""
    place = place_of(request)
    options = await _options(place, await body_of(request))
    ask = {"do": "check", "query": _query(place, options), "options": options.model_dump()}
    return JSONResponse(await place.ask(ask))


async def add_job(request: Request) -> Response:
    """Start a job, of a form with a file and options, or of JSON that names a file or a path."""
    place = place_of(request)
    if request.headers.get("content-type", "").startswith("multipart/"):
        form = await read_form(request, place.store, place.settings.upload_bytes)
        try:
            given = parse_json(form.fields.pop("options", "{}").encode())
            if not isinstance(given, dict) or form.file is None:
                message = "send a form with the fields file and options, a JSON object"
                raise RequestError(400, message)
            options = await _options(place, {**given, **form.fields, "file": form.file})
        except BaseException as error:
            if form.file is not None:
                place.store.drop_file(form.file)
            if isinstance(error, ValueError):
                message = f"options are not JSON: {error}"
                raise RequestError(400, message) from error
            raise
    else:
        options = await _options(place, await body_of(request))
    query = Path(_query(place, options))
    values = options.model_dump() | {"name": options.name or query.name}
    try:
        job = await run_in_threadpool(place.queue.submit, values)
    except BaseException:
        if options.file is not None and not place.store.needs(options.file):
            place.store.drop_file(options.file)
        raise
    return JSONResponse(shown(place, job), status_code=201, headers={"location": f"/api/jobs/{job}"})


async def list_jobs(request: Request) -> Response:
    """List all jobs, the oldest first."""
    place = place_of(request)
    jobs = []
    for job in place.store:
        with contextlib.suppress(RequestError):  # removed meanwhile
            jobs.append(shown(place, job))
    return JSONResponse({"jobs": jobs})


async def job_state(request: Request) -> Response:
    """Say where a job is."""
    return JSONResponse(shown(place_of(request), job_of(request)))


async def end_job(request: Request) -> Response:
    """Cancel a job that waits or runs; remove one that has ended, with its results."""
    place, job = place_of(request), job_of(request)
    if place.store.state(job).status in ENDED:
        try:
            await run_in_threadpool(place.store.remove, job)
        except KeyError as error:  # removed by another meanwhile
            raise _no_job(job) from error
        return Response(status_code=204)
    await run_in_threadpool(place.queue.cancel, job)
    return JSONResponse(shown(place, job), status_code=202)


async def job_events(request: Request) -> Response:
    """Send the state of a job whenever it changes, until it has ended (server-sent events)."""
    place, job = place_of(request), job_of(request)

    async def events() -> AsyncIterator[str]:
        last, silent = "", 0.0
        while True:
            try:
                state = shown(place, job)
            except RequestError:  # removed meanwhile
                return
            text = json.dumps(state)
            if text != last:
                last, silent = text, 0.0
                yield f"event: state\ndata: {text}\n\n"
            elif silent >= _ALIVE:
                silent = 0.0
                yield ": waiting\n\n"
            if state["status"] in ENDED:
                return
            await asyncio.sleep(_LOOK)
            silent += _LOOK

    return StreamingResponse(events(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def place_of(request: Request) -> Workplace:
    """Return what the server works with."""
    place: Workplace = request.app.state.workplace
    return place


def job_of(request: Request) -> str:
    """Return the job that an address names.

    Raises
    ------
    RequestError
        If there is none.
    """
    job: str = request.path_params["job"]
    if job not in place_of(request).store:
        raise _no_job(job)
    return job


def shown(place: Workplace, job: str) -> dict[str, Any]:
    """Return what visitors are told of a job.

    Raises
    ------
    RequestError
        If there is none.
    """
    try:
        options, state = place.store.options(job), place.store.state(job)
    except KeyError as error:
        raise _no_job(job) from error
    return {"id": job, "name": options["name"], "reference": options["reference"], **asdict(state)}


def _no_job(job: str) -> RequestError:
    return RequestError(404, f"there is no job {job}")


async def _options(place: Workplace, given: Any) -> JobOptions:
    options = checked(JobOptions, given)
    if options.path is not None and not place.settings.paths:
        message = "files on this server's disk cannot be named: send the file"
        raise RequestError(403, message)
    await require_offered(place, options.reference)
    return options


def _query(place: Workplace, options: JobOptions) -> str:
    if options.file is None:
        return str(options.path)
    try:
        return str(place.store.file(options.file))
    except (KeyError, StopIteration) as error:
        message = "the file that was sent is gone: send it again"
        raise RequestError(404, message) from error
