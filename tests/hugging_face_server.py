"""Hugging Face on this machine: what its public API says of a model's repository, and the files of each commit.

Written from the documentation of the API and from huggingface_hub; it was not compared with Hugging Face itself.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_s3cret"


class HuggingFaceServer:
    """Repositories: ``commit`` adds one commit to a branch. ``lines`` holds a line for each request, ``tokens`` what
    stood in its header.

    ``change`` is called with what is answered about a repository, and may change it.
    """

    def __init__(self):
        self.commits, self.branches, self.private = {}, {}, set()
        self.lines, self.tokens, self.change = [], [], lambda values: values
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def commit(self, name, files, branch="main"):
        """Add a commit with these files, and return its id."""
        commit = hashlib.sha1(f"{name} {len(self.commits)}".encode(), usedforsecurity=False).hexdigest()
        self.commits[name, commit] = files
        self.branches[name, branch] = commit
        return commit

    def answer(self, handler):
        parts = urlsplit(handler.path)
        given = handler.headers.get("Authorization")
        self.lines.append(handler.path)
        self.tokens.append(given)
        status, contents = self._route(parts.path, parts.query, owner=given == f"Bearer {TOKEN}")
        if not isinstance(contents, bytes):
            contents = json.dumps(contents).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(contents)))
        handler.end_headers()
        handler.wfile.write(contents)

    def _route(self, path, query, *, owner):
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name, revision = (about or file).groups()[:2] if about or file else (None, None)
        commit = self.branches.get((name, revision), revision)
        files = self.commits.get((name, commit))
        if files is None or (name in self.private and not owner):
            return 401, {"error": "Repository not found"}
        if file:
            key = unquote(file[3])
            return (200, files[key]) if key in files else (404, {"error": "Entry not found"})
        assert query == "blobs=true"
        return 200, self.change({"id": name, "sha": commit, "siblings": [self._sibling(*one) for one in files.items()]})

    @staticmethod
    def _sibling(key, contents):
        blob = hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
        shown = {"rfilename": key, "size": len(contents), "blobId": blob}
        if key.endswith((".pt", ".safetensors", ".h5ad")):
            digest = hashlib.sha256(contents).hexdigest()
            shown["lfs"] = {"sha256": digest, "size": len(contents), "pointerSize": 130}
        return shown
