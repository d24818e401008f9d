"""Serve the local page and its HTTP API: drop a file, see where its cells belong.

``serve`` starts it (the command line: ``scarches-plus app``), and needs the extra ``scarches-plus[app]``; ``Client``
talks to a server that runs, and needs nothing. No request leaves the machine.
"""

from ._client import Client
from ._serve import serve

__all__ = ["Client", "serve"]
