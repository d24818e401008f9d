"""Stream a form with a file to disk, a piece at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from typing import IO, TYPE_CHECKING, Any, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from scarches_plus import _limits
from scarches_plus._files import check_space

from ._errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from scarches_plus.app._jobs._store import Store


@dataclass
class Form:
    """Parts of a form.

    Attributes
    ----------
    file
        Name of the file that was sent, for the API; ``None`` without one.
    path
        Where it lies.
    fields
        The other fields.
    """

    file: str | None = None
    path: Path | None = None
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(request: Request, store: Store, most_bytes: int) -> Form:
    """Read a form, and leave nothing behind if it breaks off or is refused.

    Parameters
    ----------
    request
        The request.
    store
        Where the file goes.
    most_bytes
        The largest file.

    Raises
    ------
    RequestError
        If it is no form, or too large, or holds several files.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        message = "send a form (multipart/form-data) with the field file"
        raise RequestError(415, message)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most_bytes + _limits.FORM_BYTES:
        raise _too_large(most_bytes)
    if announced.isdigit():
        try:
            check_space(store.files, int(announced))
        except OSError as error:
            raise RequestError(507, str(error)) from error
    reader = _Reader(store, most_bytes)
    try:
        parser = MultipartParser(options[b"boundary"], cast("Any", reader.callbacks()))
        async for piece in request.stream():
            parser.write(piece)
        parser.finalize()
        if not reader.ended:
            message = "the form broke off: send it again"
            raise RequestError(400, message)
    except FormParserError as error:
        reader.drop()
        message = f"the form is damaged ({error}): send it again"
        raise RequestError(400, message) from error
    except BaseException:
        reader.drop()
        raise
    return reader.form


class _Reader:
    """Writes the parts of a form where they belong."""

    def __init__(self, store: Store, most_bytes: int) -> None:
        self.form, self.ended = Form(), False
        self._store, self._most_bytes = store, most_bytes
        self._target: IO[bytes] | None = None
        self._size = 0
        self._text = bytearray()
        self._text_bytes = 0
        self._field = ""
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[str, str] = {}

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def drop(self) -> None:
        """Remove what came of the file."""
        if self._target is not None:
            self._target.close()
        if self.form.file is not None:
            self._store.drop_file(self.form.file)

    def _begin(self) -> None:
        self._headers, self._text, self._target = {}, bytearray(), None

    def _end_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._header, self._value = bytearray(), bytearray()

    def _open(self) -> None:
        told = Message()
        told["content-disposition"] = self._headers.get("content-disposition", "")
        self._field = str(told.get_param("name", "", "content-disposition"))
        name = told.get_filename()
        if name is None:
            return
        if self.form.file is not None:
            message = "send one file at a time; a 10x matrix of three files as .zip or .tar.gz"
            raise RequestError(400, message)
        self.form.file, self.form.path = self._store.new_file(name)
        self._target = self.form.path.open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._target is None:
            self._text += data[start:end]
            self._text_bytes += end - start  # of all fields together
            if self._text_bytes > _limits.FORM_BYTES:
                raise _too_large(_limits.FORM_BYTES)
            return
        self._size += end - start
        if self._size > self._most_bytes:
            raise _too_large(self._most_bytes)
        try:
            self._target.write(data[start:end])
        except OSError as error:
            message = f"the file cannot be kept: {error.strerror}"
            raise RequestError(507, message) from error

    def _close(self) -> None:
        if self._target is not None:
            self._target.close()
        else:
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def _too_large(most_bytes: int) -> RequestError:
    message = f"that is larger than {most_bytes / 2**20:,.0f} MB, the most that is taken (--upload-gb)"
    return RequestError(413, message)
