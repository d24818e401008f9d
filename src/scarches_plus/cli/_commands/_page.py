"""Define the command that serves the local page: app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from scarches_plus.app import serve
from scarches_plus.cli._app import Count, Whole, Words  # noqa: TC001 (cyclopts reads annotations)
from scarches_plus.cli._console import console

_GIGABYTE = 2**30


def app_(
    references: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=False)] = (),
    /,
    *,
    reference: Words = (),
    folder: Path = Path("scarches-plus-results"),
    host: str = "127.0.0.1",
    port: Whole = 8765,
    open: bool = False,
    allowed_host: Words = (),
    upload_gb: Count = 20,
) -> None:
    """Serve a page on this machine: drop a file of cells, see where they belong on a reference.

    Prints the address to open, with a token that lets in who knows it. The same server answers programs: the guide
    shows its HTTP API with curl, Python and R. Ctrl-C ends it; results stay in the folder. No request leaves the
    machine. Needs pip install "scarches-plus[app]".

    Parameters
    ----------
    references
        References to offer first: names of hub list, DOIs or paths, of models that are on this machine (hub pull
        fetches one). Those that come with the package are always there.
    reference
        Further references.
    folder
        Folder for results; those of earlier starts are found again.
    host
        Address to listen on; any but this machine's own lets others in, who need the token.
    port
        Port to listen on; 0 takes a free one.
    open
        Open the browser.
    allowed_host
        Further names under which the page is visited, such as that of a reverse proxy.
    upload_gb
        Size of the largest file that is taken, in GB.
    """
    console.require_text("serves until Ctrl-C")

    def tell(address: str) -> None:
        console.print(f"results go to {folder}\nopen {address}\nCtrl-C ends")

    serve(
        (*references, *reference),
        folder=folder,
        host=host,
        port=port,
        allowed_hosts=allowed_host,
        upload_bytes=upload_gb * _GIGABYTE,
        open_browser=open,
        tell=tell,
    )
