"""Answer requests that fail with a status and one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from scarches_plus import _limits
from scarches_plus._arguments import nearest
from scarches_plus._json import first_problem, parse_json
from scarches_plus._text import for_message
from scarches_plus.app._jobs._process import WorkerError, WorkerStoppedError
from scarches_plus.app._jobs._queue import FullError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


Model = TypeVar("Model", bound=BaseModel)


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes
    ----------
    status
        Status of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def answer_error(request: Request, error: Exception) -> Response:
    """Return what went wrong as JSON."""
    status = {RequestError: 400, WorkerError: 422, WorkerStoppedError: 503, FullError: 429}.get(type(error), 500)
    if isinstance(error, HTTPException):
        return JSONResponse({"error": str(error.detail)}, status_code=error.status_code)
    status = error.status if isinstance(error, RequestError) else status
    message = str(error) if status != 500 else "the server failed; its terminal says why"
    return JSONResponse({"error": message}, status_code=status)


async def body_of(request: Request) -> Any:
    """Return the JSON of a request.

    Raises
    ------
    RequestError
        If it is not JSON, or larger than any question.
    """
    contents = bytearray()
    async for piece in request.stream():
        contents += piece
        if len(contents) > _limits.FORM_BYTES:
            message = f"more than {_limits.FORM_BYTES} bytes of JSON are no question"
            raise RequestError(413, message)
    try:
        return parse_json(bytes(contents))
    except ValueError as error:
        message = f"the body is not JSON: {error}"
        raise RequestError(400, message) from error


def checked(model: type[Model], values: Any) -> Model:
    """Return values as a model has them.

    Raises
    ------
    RequestError
        If they are not.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(422, _unknown_field(error, model) or first_problem(error)) from error


def _unknown_field(error: ValidationError, model: type[BaseModel]) -> str:
    """Name the first field that a model does not know, and the nearest that it does; empty if it knows them all."""
    fields = list(model.model_fields)
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        if one["type"] == "extra_forbidden":
            name = str(one["loc"][-1])
            return (
                f"{for_message(name, 100)} is no option{nearest(name, fields) or '; options are ' + ', '.join(fields)}"
            )
    return ""
