"""Serve the page and its API until the process is told to stop."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._files import check_output_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXTRA = {"starlette", "uvicorn", "python_multipart", "h11"}
_MOST_PORTS = 2**16 - 1


def serve(
    references: Sequence[str | Path] | str | Path = (),
    *,
    folder: str | Path = "scarches-plus-results",
    host: str = "127.0.0.1",
    port: int = 8765,
    allowed_hosts: Sequence[str] = (),
    upload_bytes: int = _limits.UPLOAD_BYTES,
    open_browser: bool = False,
    tell: Callable[[str], object] = print,
) -> None:
    """Serve the local page and its HTTP API, until Ctrl-C.

    Parameters
    ----------
    references
        References to offer first: names of a hub, DOIs or paths, of models that are on this machine already. Those that
        come with the package are always there.
    folder
        Folder for results; what is in it is found again.
    host
        Address to listen on. All but this machine's own lets others in: they need the token, and cannot name files on
        this machine.
    port
        Port to listen on; 0 takes a free one.
    allowed_hosts
        Further names under which the server is visited, such as that of a reverse proxy, with the port unless it is the
        usual one. Visitors cannot name files on this machine then.
    upload_bytes
        The largest file that is taken.
    open_browser
        Open the browser.
    tell
        Is given the address with its token. The environment variable ``SCARCHES_PLUS_APP_TOKEN`` sets a token that
        stays; else each start makes one.

    Raises
    ------
    ModuleNotFoundError
        If the extra is not installed: ``pip install "scarches-plus[app]"``.
    OSError
        If the port is taken, or the folder cannot be written.
    ValueError
        If the token in the environment is short, or the folder is another user's, or another server works in it.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    given = [references] if isinstance(references, str | Path) else references
    named = check.names("references", given, of=object)
    for one in named:
        check.path("references", one)
    place = check.path("folder", folder).absolute()
    check.texts(host=host)
    port = check.whole("port", port, least=0, most=_MOST_PORTS)
    allowed = check.names("allowed_hosts", allowed_hosts)
    upload_bytes = check.whole("upload_bytes", upload_bytes, least=1)
    check.flags(open_browser=open_browser)
    try:
        server = import_module("scarches_plus.app._server._run")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        message = f'the page needs {error.name}, which is not installed: pip install "scarches-plus[app]"'
        raise ModuleNotFoundError(message, name=error.name) from error
    check_output_file(place / "worker.log")
    server.run(
        tuple(map(str, named)),
        folder=place,
        host=host,
        port=port,
        allowed_hosts=allowed,
        upload_bytes=upload_bytes,
        opens=open_browser,
        tell=tell,
    )
