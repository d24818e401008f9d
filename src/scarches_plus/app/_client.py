"""Talk to a server of the page from Python."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from scarches_plus import _arguments as check
from scarches_plus._files import write_file

from ._jobs._view import arrays_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_ENDED = {"done", "failed", "cancelled"}
_CHUNK = 2**20
_SECONDS = 3600.0
#: Seconds between two looks at a job.
_LOOK = 0.5
_REFUSED = 400


class Client:
    """Sends cells to a server that :func:`serve` (``scarches-plus app``) runs, and fetches what became of them.

    Parameters
    ----------
    address
        What the server printed: ``"http://127.0.0.1:8765/?token=..."``.
    token
        The token, if the address has none.

    Raises
    ------
    ValueError
        If the address is none, or there is no token.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Examples
    --------
    >>> client = sp.app.Client("http://127.0.0.1:8765/?token=...")  # doctest: +SKIP
    >>> job = client.map("query.h5ad", "pbmc68k-scanvi", batch_key="batch")  # doctest: +SKIP
    >>> client.wait(job)  # doctest: +SKIP
    >>> client.download(job, "cells.csv", "cells.csv")  # doctest: +SKIP
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        check.texts(address=address)
        check.texts_or_none(token=token)
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = (
                f"address must be what scarches-plus app printed (http://127.0.0.1:8765/?token=...), not {address!r}"
            )
            raise ValueError(message)
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._token = token or parse_qs(parts.query).get("token", [""])[0]
        if not self._token:
            message = "the address has no token: pass token="
            raise ValueError(message)

    def references(self) -> list[dict[str, Any]]:
        """Return the references that the server offers."""
        found: list[dict[str, Any]] = self._json("GET", "/api/references")["references"]
        return found

    def reference(self, what: str, labels_key: str | None = None) -> dict[str, Any]:
        """Open a reference, and return its card, labels and sizes.

        Parameters
        ----------
        what
            What names it.
        labels_key
            Which of its labels; by default those that it was trained with.
        """
        check.texts(what=what)
        check.texts_or_none(labels_key=labels_key)
        return self._json("POST", "/api/references", {"what": what, "labels_key": labels_key})

    def check(self, cells: str | Path, reference: str, **options: Any) -> dict[str, Any]:
        """Send a file of cells, and return what is wrong with it and what columns it has.

        Parameters
        ----------
        cells
            A file of cells, on this machine.
        reference
            What names the reference.
        **options
            As for :meth:`map`.
        """
        file = self._send("/api/files", check.path("cells", cells), {})["file"]
        try:
            return self._json("POST", "/api/check", {"reference": reference, "file": file, **options})
        finally:
            self._read("DELETE", f"/api/files/{file}")

    def map(self, cells: str | Path, reference: str, **options: Any) -> str:
        """Send a file of cells to be mapped, a piece at a time, and return the name of the job.

        Parameters
        ----------
        cells
            A file of cells, on this machine.
        reference
            What names the reference.
        **options
            Such as ``batch_key``, ``method`` (``"surgery"`` or ``"zero-shot"``), ``max_epochs``; the server refuses
            those that it does not know, and ``/api/openapi.json`` lists them.

        Raises
        ------
        RuntimeError
            If the server refuses; the message is its own.
        """
        check.texts(reference=reference)
        given = {"reference": reference, **options}
        job: str = self._send("/api/jobs", check.path("cells", cells), {"options": json.dumps(given)})["id"]
        return job

    def state(self, job: str) -> dict[str, Any]:
        """Return where a job is: ``status``, ``step``, ``progress``, ``seconds_left``, ``message``, ``position``."""
        return self._json("GET", f"/api/jobs/{_part('job', job)}")

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, the oldest first."""
        found: list[dict[str, Any]] = self._json("GET", "/api/jobs")["jobs"]
        return found

    def wait(
        self, job: str, *, tell: Callable[[dict[str, Any]], object] | None = None, seconds: float = _SECONDS
    ) -> dict[str, Any]:
        """Wait until a job has ended, and return the summary of its results.

        Parameters
        ----------
        job
            The job.
        tell
            Is given each state that is new, as far as it lasts half a second.
        seconds
            How long to wait.

        Raises
        ------
        RuntimeError
            If the job failed or was cancelled.
        TimeoutError
            If it has not ended by then.
        """
        until = time.monotonic() + check.number("seconds", seconds, least=0)
        told = None
        while True:
            state = self.state(job)
            if tell is not None and state != told:
                tell(state)
            told = state
            if state["status"] == "done":
                return self.result(job)
            if state["status"] in _ENDED:
                message = f"the job {state['status']}: {state['message']}"
                raise RuntimeError(message)
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(_LOOK, left))
        message = f"job {job} has not ended after {seconds:g} s"
        raise TimeoutError(message)

    def result(self, job: str) -> dict[str, Any]:
        """Return the summary of a finished job: composition, novel cells, notes, columns."""
        return self._json("GET", f"/api/jobs/{_part('job', job)}/result")

    def gene(self, job: str, gene: str) -> NDArray[Any]:
        """Return the expression of a gene in the cells of a finished job.

        Parameters
        ----------
        job
            The job.
        gene
            The gene, as the cells name it, in any case.

        Returns
        -------
        Logarithm of one plus counts per 10,000, shape ``(n_cells,)``, in the order of ``cells.csv``.

        Raises
        ------
        RuntimeError
            If the cells have no such gene; the message names those whose names begin alike.
        """
        check.texts(gene=gene)
        address = f"/api/jobs/{_part('job', job)}"
        file = self._json("POST", f"{address}/gene", {"gene": gene})["file"]
        return arrays_of(self._read("GET", f"{address}/views/{file}"))["values"]

    def explain(self, job: str, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return why cells of a finished job got their labels.

        Parameters
        ----------
        job
            The job.
        rows
            Places of the cells in ``cells.csv``, from 0; 5,000 at most.

        Returns
        -------
        For each cell: ``cell`` (its name), ``prediction``, ``labels`` (the most probable ones, with their
        probabilities). Where novel cells were looked for: ``novel``, ``novel_score``, ``novel_threshold``,
        ``novel_label``. Where the reference has cells: ``reason``, ``neighbors``, ``distance``, as
        :func:`scarches_plus.tl.explain_labels` has them.

        Raises
        ------
        RuntimeError
            If there is no such cell, or too many are asked for.
        """
        places = [check.whole("rows", one, least=0) for one in check.names("rows", rows, of=object, least=1)]
        found: list[dict[str, Any]] = self._answer("POST", f"/api/jobs/{_part('job', job)}/explain", {"rows": places})
        return found

    def presence(self, job: str) -> list[dict[str, Any]]:
        """Return which labels of the reference the cells of a finished job cover.

        Parameters
        ----------
        job
            The job.

        Returns
        -------
        For each label: ``label``, and what :func:`scarches_plus.tl.presence` says of it.

        Raises
        ------
        RuntimeError
            If the reference has no map, or every cell is novel.
        """
        found: list[dict[str, Any]] = self._json("POST", f"/api/jobs/{_part('job', job)}/presence", {})["labels"]
        return found

    def name_clusters(self, job: str, names: Mapping[str, str]) -> dict[str, Any]:
        """Name clusters of novel cells of a finished job, write its files again, and return the new summary.

        Parameters
        ----------
        job
            The job.
        names
            Cluster to name, such as ``{"novel 1": "B cell"}``.

        Raises
        ------
        RuntimeError
            If there is no such cluster.
        """
        given = dict(check.mapping("names", names))
        return self._json("POST", f"/api/jobs/{_part('job', job)}/clusters", {"names": given})

    def download(self, job: str, name: str, out: str | Path) -> Path:
        """Fetch a file of a finished job, and return where it lies.

        Parameters
        ----------
        job
            The job.
        name
            ``"result.h5ad"``, ``"cells.csv"``, ``"cells.arrow"``, ``"report.html"`` or ``"script.py"``.
        out
            File to write.

        Raises
        ------
        RuntimeError
            If the server has no such file.
        EOFError
            If the file breaks off before its end; nothing is written then.
        """
        place = check.path("out", out)

        def write(file: Path) -> None:
            with file.open("wb") as target:
                while chunk := _chunk(answer):
                    target.write(chunk)

        with self._request("GET", f"/api/jobs/{_part('job', job)}/files/{_part('name', name)}") as answer:
            write_file(place, write, keep=False)  # what came in part is not kept elsewhere
        return place

    def cancel(self, job: str) -> None:
        """Cancel a job that waits or runs; remove one that has ended, with its results."""
        self._read("DELETE", f"/api/jobs/{_part('job', job)}")

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self._answer(method, path, body)
        return found

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {} if body is None else {"content-type": "application/json"}
        contents = None if body is None else json.dumps(body).encode()
        return json.loads(self._read(method, path, contents, headers))

    def _send(self, path: str, file: Path, fields: Mapping[str, str]) -> dict[str, Any]:
        """Send a form with a file, a piece at a time."""
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; '
            f"filename*=UTF-8''{quote(file.name, safe='')}\r\n\r\n"
        )
        start, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()

        def pieces() -> Iterator[bytes]:
            yield start
            with file.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
            yield end

        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(start) + file.stat().st_size + len(end)),
        }
        found: dict[str, Any] = json.loads(self._read("POST", path, pieces(), headers))
        return found

    def _read(self, *request: Any) -> bytes:
        with self._request(*request) as answer:
            return answer.read()

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Generator[http.client.HTTPResponse]:
        own = {"authorization": f"Bearer {self._token}", "connection": "close"}
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with contextlib.closing(kind(self._host, self._port, timeout=_SECONDS)) as connection:
            # the server may refuse a large file before all of it was sent, and say why
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, {**own, **(headers or {})})
            with connection.getresponse() as answer:
                if answer.status >= _REFUSED:
                    raise RuntimeError(_refusal(answer))
                yield answer


def _chunk(answer: http.client.HTTPResponse) -> bytes:
    """Return the next piece of a file; no piece is its end only where nothing is still to come."""
    why = ""
    try:
        chunk = answer.read(_CHUNK)
    except (OSError, http.client.IncompleteRead) as error:  # of the connection, not of the disk
        chunk, why = b"", f" ({error})"
    if not chunk and (answer.length or why):
        message = f"the file broke off{why}, short of {answer.length} bytes: fetch it again"
        raise EOFError(message)
    return chunk


def _refusal(answer: http.client.HTTPResponse) -> str:
    """Return what the server says is wrong."""
    try:
        return str(json.loads(answer.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answers {answer.status} {answer.reason}"


def _part(name: str, value: str) -> str:
    check.texts(**{name: value})
    return quote(value, safe="")
