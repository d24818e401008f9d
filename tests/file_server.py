"""A web server on this machine that serves a folder, and misbehaves when told to."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves a folder, with ranges.

    ``faults`` maps the end of a path to a list of ``(status, headers, body)``, answered in turn before the file itself;
    a body that is a number is that many bytes of the file, after which the connection breaks. A header that is ``None``
    is not sent.
    """

    def __init__(self, folder):
        server = self
        self.requests, self.faults, self.agents = [], {}, set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                given = self.headers.get("Range")
                server.requests.append((self.path, given))
                server.agents.add(self.headers["User-Agent"])
                path = folder / self.path.lstrip("/")
                fault = next(
                    (faults for end, faults in server.faults.items() if self.path.endswith(end) and faults), None
                )
                status, headers, body = fault.pop(0) if fault else (200, {}, None)
                whole = path.read_bytes() if path.is_file() else None
                length = None
                if body is None or isinstance(body, int):
                    if whole is None:
                        status, body = 404, b"not found"
                    else:
                        start = int(re.fullmatch(r"bytes=(\d+)-", given)[1]) if given else 0
                        status = 206 if given and status == 200 else status
                        rest = whole[start:]
                        length = len(rest)
                        body = rest if body is None else rest[:body]
                self.send_response(status)
                length = len(body) if length is None else length
                for name, value in ({"Content-Length": str(length)} | headers).items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
