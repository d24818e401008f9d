"""Zenodo on this machine: the part of InvenioRDM's REST API that uploads use, and all that can go wrong with it.

Written from InvenioRDM's documentation; it was not compared with Zenodo itself.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "s3cret-t0ken"
REQUIRED = ("title", "publication_date", "resource_type", "creators")


class RefusalError(Exception):
    """An answer that is none of success."""

    def __init__(self, status, message, errors=()):
        self.status, self.values = status, {"status": status, "message": message, "errors": list(errors)}


class Server(ThreadingHTTPServer):
    """Says nothing when a client leaves in the middle of an answer."""

    def handle_error(self, request, client_address):
        pass


class InvenioServer:
    """One account with its records.

    ``faults`` holds ``(method, end of path, answer)``, each used once: an answer is ``(status, headers, body)``, or
    ``"hang up"`` in the middle of a request, or ``"flip a bit"`` of what arrives, or ``"done, but 502"``, or a number
    of bytes of the answer, after which the connection breaks, or a function that is called before all goes on as it
    should. ``form`` is how published records are shown to all: as ``"invenio"`` or ``"zenodo"`` has it. ``log`` holds
    a line for each request, ``tokens`` what stood in their header, and ``lines`` their first lines.
    """

    def __init__(self, page=100):
        self.records, self.faults, self.log, self.tokens, self.lines, self.agents = {}, [], [], [], [], set()
        self.page, self._next, self.form = page, 1000, "invenio"
        self._lock = threading.RLock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # 40 ms for each answer

            def handle_any(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        for verb in ("GET", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler.handle_any)

        self._http = Server(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fault(self, method, end, *answers):
        self.faults += [(method, end, answer) for answer in answers]

    def answer(self, handler):
        parts = urlsplit(handler.path)
        method, path = handler.command, parts.path
        length = int(handler.headers.get("Content-Length") or 0)
        given = handler.headers.get("Authorization")
        with self._lock:
            self.tokens.append(given)
            self.lines.append(handler.requestline)
            self.agents.add(handler.headers["User-Agent"])
            found = next((one for one in self.faults if one[0] == method and path.endswith(one[1])), None)
            fault = None
            if found:
                self.faults.remove(found)
                fault = found[2]
            if callable(fault):
                fault()
            headers = {}
            if fault == "hang up":
                handler.rfile.read(length // 2)
                self.log.append(f"{method} {path} -> (connection lost)")
                handler.close_connection = True
                return
            body = handler.rfile.read(length)
            if isinstance(fault, tuple):
                status, headers, contents = fault
            else:
                if fault == "flip a bit":
                    body = bytes([body[0] ^ 1]) + body[1:]
                try:
                    status, contents = self._route(method, path, parse_qs(parts.query), body, given)
                except RefusalError as refusal:
                    status, contents = refusal.status, refusal.values
                if status == 301:
                    headers, contents = {"Location": contents}, b""
                if fault == "done, but 502":
                    status, contents = 502, b"<html>Bad gateway</html>"
                given_range = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
                if given_range and status == 200:
                    status, contents = 206, contents[int(given_range[1]) :]
            self.log.append(f"{method} {path} -> {status}")
        if not isinstance(contents, bytes):
            contents = json.dumps(contents).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status == 204:
            contents = b""
        handler.send_header("Content-Length", str(len(contents)))
        handler.end_headers()
        if isinstance(fault, int):
            contents, handler.close_connection = contents[:fault], True
        try:
            handler.wfile.write(contents)
        except OSError:  # who asked has heard enough
            handler.close_connection = True

    # --- The service ---

    def _route(self, method, path, query, body, given):
        owner = given == f"Bearer {TOKEN}"
        if match := re.fullmatch(r"/api/records/([^/]+)/files/([^/]+)/content", path):
            return 200, self._public_file(match[1], unquote(match[2]), owner)
        if method == "GET" and (match := re.fullmatch(r"/api/records/(\w+)(/files)?", path)):
            return self._public(*match.groups(), owner)
        if method == "GET" and path == "/api/records":
            newest = self._newest(re.fullmatch(r"conceptrecid:(\d+)", query["q"][0])[1])
            return 200, {"hits": {"hits": [self._public(newest["id"], None, owner)[1]] if newest else []}}
        if not owner:
            raise RefusalError(403, "Permission denied.")
        for verb, pattern, method_of in (
            ("GET", r"/api/user/records", lambda: self._list(query)),
            ("POST", r"/api/records", lambda: (201, self._show(self._create(json.loads(body))))),
            ("GET", r"/api/records/(\w+)/draft", lambda name: (200, self._show(self._draft(name)))),
            ("PUT", r"/api/records/(\w+)/draft", lambda name: (200, self._describe(name, json.loads(body)))),
            ("DELETE", r"/api/records/(\w+)/draft", self._delete),
            ("POST", r"/api/records/(\w+)/draft/pids/doi", self._reserve),
            ("POST", r"/api/records/(\w+)/draft/actions/publish", self._publish),
            ("POST", r"/api/records/(\w+)/versions", self._new_version),
            ("GET", r"/api/records/(\w+)/draft/files", lambda name: (200, self._files(name))),
            ("POST", r"/api/records/(\w+)/draft/files", lambda name: self._announce(name, json.loads(body))),
            ("PUT", r"/api/records/(\w+)/draft/files/([^/]+)/content", lambda *names: self._store(*names, body)),
            ("POST", r"/api/records/(\w+)/draft/files/([^/]+)/commit", self._commit),
            ("DELETE", r"/api/records/(\w+)/draft/files/([^/]+)", self._remove),
        ):
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return method_of(*match.groups())
        raise RefusalError(404, "The requested URL was not found.")

    def _create(self, values, parent=None):
        self._next += 2
        name = str(self._next)
        record = {"id": name, "parent": parent or str(self._next - 1), "published": False, "doi": "", "files": {}}
        self.records[name] = {**record, "metadata": {}, "access": {"record": "public", "files": "public"}}
        if values:
            self._describe(name, values)
        return self.records[name]

    def _draft(self, name):
        record = self.records.get(name)
        if record is None or record["published"]:
            raise RefusalError(404, "The persistent identifier does not exist.")
        return record

    def _record(self, name):
        record = self.records.get(name)
        if record is None or not record["published"]:
            raise RefusalError(404, "The persistent identifier does not exist.")
        return record

    def _show(self, record):
        prefix = "10.5072/zenodo."
        shown = {
            "id": record["id"], "is_published": record["published"], "is_draft": not record["published"],
            "metadata": record["metadata"], "access": record["access"],
            "pids": {"doi": {"identifier": record["doi"], "provider": "datacite"}} if record["doi"] else {},
            "parent": {"id": record["parent"], "pids": {}},
            "links": {"self": "https://elsewhere.example/records/1", "files": "https://elsewhere.example/files"},
        }  # fmt: skip
        if any(one["published"] for one in self.records.values() if one["parent"] == record["parent"]):
            shown["parent"]["pids"] = {"doi": {"identifier": prefix + record["parent"]}}
        return shown

    def _describe(self, name, values):
        record = self._draft(name)
        record["metadata"], record["access"] = values["metadata"], values["access"]
        return {**self._show(record), "errors": self._errors(record)}

    @staticmethod
    def _errors(record):
        metadata = record["metadata"]
        errors = [
            {"field": f"metadata.{field}", "messages": ["Missing data for required field."]}
            for field in REQUIRED
            if not metadata.get(field)
        ]
        if metadata.get("rights") and metadata["rights"][0]["id"] not in {"cc-by-4.0", "cc0-1.0", "mit"}:
            errors.append({"field": "metadata.rights", "messages": ["Invalid value."]})
        return errors

    def _list(self, query):
        hits = sorted(self.records.values(), key=lambda one: -int(one["id"]))
        size, page = min(int(query["size"][0]), self.page), int(query["page"][0])
        shown = [self._show(one) for one in hits[(page - 1) * size : page * size]]
        return 200, {"hits": {"hits": shown, "total": len(hits)}}

    def _delete(self, name):
        self._draft(name)
        del self.records[name]
        return 204, b""

    def _reserve(self, name):
        record = self._draft(name)
        if record["doi"]:
            raise RefusalError(400, "A PID already exists.")
        record["doi"] = f"10.5072/zenodo.{name}"
        return 201, self._show(record)

    def _publish(self, name):
        record = self._draft(name)
        errors = self._errors(record)
        if not record["files"] or any(one["status"] != "completed" for one in record["files"].values()):
            errors.append({"field": "files.enabled", "messages": ["Missing uploaded files."]})
        if errors:
            raise RefusalError(400, "A validation error occurred.", errors)
        record["doi"] = record["doi"] or f"10.5072/zenodo.{name}"
        record["published"] = True
        return 202, self._show(record)

    def _new_version(self, name):
        record = self._record(name)
        for one in self.records.values():
            if one["parent"] == record["parent"] and not one["published"]:
                return 201, self._show(one)
        new = self._create(None, record["parent"])
        new["metadata"] = {k: v for k, v in record["metadata"].items() if k not in {"publication_date", "version"}}
        return 201, self._show(new)

    # --- Files ---

    @staticmethod
    def _entry(key, file):
        shown = {"key": key, "status": file["status"]}
        if file["status"] == "completed":
            checksum = hashlib.md5(file["content"], usedforsecurity=False).hexdigest()
            shown |= {"size": len(file["content"]), "checksum": f"md5:{checksum}"}
        return shown

    def _files(self, name):
        return {"enabled": True, "entries": [self._entry(*one) for one in self._draft(name)["files"].items()]}

    def _file(self, name, key):
        files = self._draft(name)["files"]
        if key not in files:
            raise RefusalError(404, f"File {key} does not exist.")
        return files[key]

    def _announce(self, name, keys):
        files = self._draft(name)["files"]
        for one in keys:
            if one["key"] in files:
                raise RefusalError(400, f"File with key {one['key']} already exists.")
            files[one["key"]] = {"status": "pending", "content": None}
        return 201, self._files(name)

    def _store(self, name, key, body):
        file = self._file(name, key)
        if file["status"] == "completed":
            raise RefusalError(400, f"File {key} is completed.")
        file["content"] = body
        return 200, self._entry(key, file)

    def _commit(self, name, key):
        file = self._file(name, key)
        if file["content"] is None or file["status"] == "completed":
            raise RefusalError(400, f"File {key} cannot be committed.")
        file["status"] = "completed"
        return 200, self._entry(key, file)

    def _remove(self, name, key):
        self._file(name, key)
        del self._draft(name)["files"][key]
        return 204, b""

    def put(self, files, parent=None, access="public"):
        """Publish files as a record, without the way there; return its number."""
        record = self._create(None, parent)
        record["files"] = {key: {"status": "completed", "content": content} for key, content in files.items()}
        record |= {"published": True, "doi": f"10.5072/zenodo.{record['id']}"}
        record["access"] = {"record": "public", "files": access}
        return record["id"]

    def _newest(self, parent):
        versions = [one for one in self.records.values() if one["parent"] == parent and one["published"]]
        return max(versions, key=lambda one: int(one["id"]), default=None)

    def _public(self, name, files, owner):
        """Show a published record, or its files, to anybody; InvenioRDM leads from the number of all versions to the
        newest.
        """
        newest = self._newest(name)
        if newest and self.form == "invenio":
            return 301, f"/api/records/{newest['id']}"
        record = self._record(name)
        hidden = record["access"]["files"] == "restricted" and not owner
        if files and hidden:
            raise RefusalError(403, "Permission denied.")
        entries = [] if hidden else [self._entry(*one) for one in record["files"].items()]
        elsewhere = "https://elsewhere.example/api/files"
        if files:
            return 200, {"enabled": True, "entries": [{**one, "links": {"content": elsewhere}} for one in entries]}
        shown = self._show(record)
        if self.form == "zenodo":
            shown["files"] = [{**one, "id": "f", "links": {"self": elsewhere}} for one in entries]
            shown |= {
                "id": int(record["id"]),
                "recid": record["id"],
                "conceptrecid": record["parent"],
                "doi": record["doi"],
            }
            del shown["parent"], shown["pids"]
        else:
            shown["files"] = {"enabled": True}
            if entries:
                shown["files"]["entries"] = {one["key"]: one for one in entries}
        return 200, shown

    def _public_file(self, name, key, owner):
        record = self.records.get(name)
        if record is None or not record["published"] or key not in record["files"]:
            raise RefusalError(404, "The record does not exist.")
        if record["access"]["files"] == "restricted" and not owner:
            raise RefusalError(403, "Permission denied.")
        return record["files"][key]["content"]
