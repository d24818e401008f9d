"""Listen on a port until Ctrl-C, and open the browser."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn

from ._application import make_application
from ._settings import Settings, is_local, own_hosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Where a token that stays may stand; without, each start makes one.
TOKEN_VARIABLE = "SCARCHES_PLUS_APP_TOKEN"
_FEWEST_CHARACTERS = 16
#: Visitors that may wait to be let in.
_BACKLOG = 256


def run(
    references: tuple[str, ...],
    *,
    folder: Path,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    upload_bytes: int,
    opens: bool,
    tell: Callable[[str], None],
) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    references
        References to offer first.
    folder
        Folder for results.
    host, port
        Where to listen; port 0 takes a free one.
    allowed_hosts
        Further names under which the server is visited.
    upload_bytes
        The largest file that is taken.
    opens
        Open the browser.
    tell
        Is told the address.

    Raises
    ------
    OSError
        If the port is taken.
    ValueError
        If the token of the environment is short, or the folder is another user's, or another server works in it.
    """
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < _FEWEST_CHARACTERS or not token.isascii() or not token.isprintable():
        message = f"the token in {TOKEN_VARIABLE} needs {_FEWEST_CHARACTERS} characters of ASCII at least: take another"
        raise ValueError(message)
    with _listen(host, port) as listener:
        port = listener.getsockname()[1]
        settings = Settings(
            folder=folder,
            token=token,
            hosts=own_hosts(host, port, allowed_hosts),
            references=references,
            paths=is_local(host) and not allowed_hosts,
            upload_bytes=upload_bytes,
        )
        shown, key = f"[{host}]" if ":" in host else host, quote(token, safe="")
        address = f"http://{shown}:{port}/?token={key}"
        config = uvicorn.Config(
            make_application(settings),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            http="h11",
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        tell(address)
        if opens:
            threading.Timer(1.0, _open, (folder, address)).start()
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # who is told the address may come at once
    except OSError as error:
        listener.close()
        message = f"{host}:{port} cannot be listened on ({error.strerror}): choose another with --port"
        raise OSError(message) from error
    return listener


def _open(folder: Path, address: str) -> None:
    """Open the browser by a file that only this user reads: commands, and so their addresses, are seen by all."""
    file = folder / "open.html"
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as page:  # noqa: PTH123
        page.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}">')
    webbrowser.open(file.absolute().as_uri())
