"""List the routes of the HTTP API, and describe them as OpenAPI."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import JSONResponse

from scarches_plus.app._jobs._options import JobOptions

from . import _jobs, _references, _results
from ._questions import ExplainQuestion, GeneQuestion, NamesQuestion, ReferenceQuestion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel
    from starlette.requests import Request
    from starlette.responses import Response


class ApiRoute(NamedTuple):
    """A route: how it is called, what answers it, what it takes and gives."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    status: int = 200
    body: type[BaseModel] | None = None
    form: bool = False
    media: str = "application/json"


_BINARY = "application/octet-stream"


async def openapi(request: Request) -> Response:
    """Describe this API as OpenAPI 3.1."""
    return JSONResponse(document())


ROUTES = (
    ApiRoute("GET", "/api/openapi.json", openapi),
    ApiRoute("GET", "/api/references", _references.list_references),
    ApiRoute("POST", "/api/references", _references.open_reference, body=ReferenceQuestion),
    ApiRoute("GET", "/api/maps/{file}", _references.reference_map, media=_BINARY),
    ApiRoute("POST", "/api/files", _jobs.send_file, status=201, form=True),
    ApiRoute("DELETE", "/api/files/{file}", _jobs.remove_file, status=204),
    ApiRoute("POST", "/api/check", _jobs.check_cells, body=JobOptions),
    ApiRoute("GET", "/api/jobs", _jobs.list_jobs),
    ApiRoute("POST", "/api/jobs", _jobs.add_job, status=201, body=JobOptions, form=True),
    ApiRoute("GET", "/api/jobs/{job}", _jobs.job_state),
    ApiRoute("DELETE", "/api/jobs/{job}", _jobs.end_job, status=202),
    ApiRoute("GET", "/api/jobs/{job}/events", _jobs.job_events, media="text/event-stream"),
    ApiRoute("GET", "/api/jobs/{job}/result", _results.result),
    ApiRoute("GET", "/api/jobs/{job}/names", _results.cell_names),
    ApiRoute("GET", "/api/jobs/{job}/views/{file}", _results.view, media=_BINARY),
    ApiRoute("GET", "/api/jobs/{job}/files/{name}", _results.download, media=_BINARY),
    ApiRoute("POST", "/api/jobs/{job}/gene", _results.gene, body=GeneQuestion),
    ApiRoute("POST", "/api/jobs/{job}/explain", _results.explain, body=ExplainQuestion),
    ApiRoute("POST", "/api/jobs/{job}/presence", _results.presence),
    ApiRoute("POST", "/api/jobs/{job}/clusters", _results.name_clusters, body=NamesQuestion),
)


def document() -> dict[str, Any]:
    """Return the OpenAPI document, made of the routes, their docstrings and the models of their bodies."""
    schemas: dict[str, Any] = {
        "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    }
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scarches_plus",
            "version": version("scarches-plus"),
            "description": "Map cells onto a reference. Every request needs the token of the server.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }


def _operation(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": _PARAMETERS[name]}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    contents: dict[str, Any] = {}
    if route.body is not None:
        name = route.body.__name__
        schema = route.body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
        contents["application/json"] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if route.form:
        file = {"file": {"type": "string", "format": "binary", "description": "the file of cells"}}
        options = {"options": {"type": "string", "description": "the other fields of JobOptions, as JSON"}}
        form = {"type": "object", "properties": file | (options if route.body else {}), "required": ["file"]}
        contents["multipart/form-data"] = {"schema": form}
    answer: dict[str, Any] = {"description": "done"}
    if route.status != 204:
        answer["content"] = {route.media: {"schema": {} if route.media == "application/json" else {"type": "string"}}}
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {
        "operationId": route.answer.__name__,
        "summary": inspect.getdoc(route.answer),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": {"required": True, "content": contents}} if contents else {}),
        "responses": {str(route.status): answer, "default": {"description": "what went wrong", **error}},
    }


_PARAMETERS = {
    "job": "a job, as POST /api/jobs returned it (id)",
    "file": "a file, as POST /api/files, a reference (map), a result (columns) or a gene named it",
    "name": f"one of {', '.join(_results.KINDS)}",
}
