"""Files of known size and hash, fetched once and kept."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from . import _backoff
from ._folder import read_file, sha256_of
from ._manifest import BundleError
from ._services import Token, origin, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._manifest import FileEntry

OFFLINE_VARIABLE = "SCARCHES_PLUS_OFFLINE"
#: What is lost of a transfer that breaks off.
_CHUNK = 2**14
_TIMEOUT = (10, 60)
_PARTIAL, _OK, _BEYOND = 206, 200, 416
REDIRECTS = range(300, 400)
_MOST_REDIRECTS = 10
#: How services answer who may not see a file.
_NOT_PUBLIC = {401, 403}


def is_url(address: str) -> bool:
    """Whether an address is one of the web."""
    return address.startswith(("http://", "https://"))


def is_offline(*, offline: bool = False) -> bool:
    """Whether nothing may be fetched."""
    return offline or os.environ.get(OFFLINE_VARIABLE, "") not in {"", "0"}


def fetch_small(url: str, *, at_most: int, offline: bool = False) -> bytes:
    """Return what an address answers, asked again after a while if it is overloaded.

    Raises
    ------
    OSError
        If it does not answer, or nothing may be fetched.
    BundleError
        If the answer is larger than allowed.
    """
    if is_offline(offline=offline):
        message = f"{url} is not fetched: offline"
        raise OSError(message)
    return _backoff.patiently(lambda: _whole(url, at_most))


def _whole(url: str, at_most: int) -> bytes:
    contents = bytearray()
    with _get(url, {}) as response:
        _require_success(response)
        for chunk in _chunks(response):
            contents += chunk
            if len(contents) > at_most:
                message = f"{url} sends more than {at_most} bytes"
                raise BundleError(message)
    return bytes(contents)


def fetch_file(
    addresses: Sequence[str], target: Path, entry: FileEntry, *, offline: bool = False, progress: bool = False
) -> None:
    """Bring a file to its place in the cache, if it is not there.

    Every address is tried, again after a while if it is overloaded or breaks off; what has arrived is kept, and the rest is asked
    for. Processes that want the same file wait for each other.

    Raises
    ------
    OSError
        If no address delivers the file, naming what each answered.
    """
    import pooch
    from filelock import FileLock

    locks = target.parent.parent / ".locks"  # a lock has to stay where others wait for it
    for folder in (target.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{target.parent.name}-{target.name}"):
        if _is_there(target, entry):
            return
        failures = []
        for address in addresses:
            try:
                if not is_url(address):
                    _copy(Path(address), target, entry)
                elif is_offline(offline=offline):
                    message = "not fetched: offline"
                    raise OSError(message)
                else:
                    download = _Resuming(entry, Path(f"{target}.part"), progress=progress)
                    target.unlink(missing_ok=True)
                    pooch.retrieve(address, f"sha256:{entry.sha256}", target.name, target.parent, downloader=download)
            except (OSError, ValueError) as error:
                failures.append(f"  {address}: {error}")
            else:
                return
    message = "\n".join([f"could not fetch {target.name}:", *failures])
    raise OSError(message)


def _is_there(target: Path, entry: FileEntry) -> bool:
    if not target.is_file() or target.stat().st_size != entry.size:
        return False
    return sha256_of(target.read_bytes()) == entry.sha256


def _copy(source: Path, target: Path, entry: FileEntry) -> None:
    contents = read_file(source.parent, source.name, size=entry.size)
    if sha256_of(contents) != entry.sha256:
        message = f"{source} has not the sha256 of the index"
        raise BundleError(message)
    temporary = Path(f"{target}.part")
    temporary.write_bytes(contents)
    temporary.replace(target)


class _Resuming:
    """What pooch downloads with: goes on where the last attempt broke off, and stops at the size that is known."""

    def __init__(self, entry: FileEntry, part: Path, *, progress: bool) -> None:
        self._entry, self._part, self._progress = entry, part, progress

    def __call__(self, url: str, output_file: str, _pooch: Any, check_only: bool = False) -> None:  # noqa: FBT001, FBT002
        _backoff.patiently(lambda: self._go_on(url))
        contents = self._part.read_bytes()
        if sha256_of(contents) != self._entry.sha256:
            self._part.unlink()
            hint = "; it is a web page" if contents[:40].lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
            message = f"sent something else than the file (wrong sha256{hint})"
            raise BundleError(message)
        shutil.move(self._part, output_file)

    def _arrived(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _go_on(self, url: str) -> None:
        """Fetch what is missing."""
        from tqdm.auto import tqdm

        start = self._arrived()
        with _get(url, {"Range": f"bytes={start}-"} if start else {}) as response:
            if response.status_code == _BEYOND and start:  # what has arrived is of another file
                self._part.unlink()
                message = "has less than what arrived before"
                raise _backoff.TryLaterError(message, 0.0)
            _require_success(response)
            goes_on = response.status_code == _PARTIAL
            left = self._entry.size - (start if goes_on else 0)
            bar = tqdm(total=left, unit="B", unit_scale=True, desc=self._part.stem, disable=not self._progress)
            with self._part.open("ab" if goes_on else "wb") as file, bar:
                for chunk in _chunks(response):
                    left -= len(chunk)
                    if left < 0:
                        file.close()
                        self._part.unlink()
                        message = f"sends more than the {self._entry.size} bytes of the file"
                        raise BundleError(message)
                    file.write(chunk)
                    bar.update(len(chunk))
        if left:
            message = f"has delivered {self._arrived()} of {self._entry.size} bytes"
            raise _backoff.TryLaterError(message)


def user_agent() -> str:
    """Return what servers know this package by."""
    return f"scarches_plus/{version('scarches-plus')}"


def require_https(url: str) -> None:
    """Raise if others could read along.

    Raises
    ------
    OSError
        If an address is neither https nor on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        message = f"{url} is not fetched: only https is"
        raise OSError(message)


def new_session() -> Any:
    """Return a session of requests that leaves redirects to us: it would read all of their bodies, and follow them anywhere."""
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": user_agent(), "Accept-Encoding": "identity"})
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
    return session


def _get(url: str, headers: dict[str, str]) -> Any:
    """Ask for a file; once more with the token of the environment if it is not public and lies at the service that it is for."""
    response = _follow(url, headers, None)
    service = service_of(url)
    if response.status_code not in _NOT_PUBLIC or service is None:
        return response
    response.close()
    if not os.environ.get(service.variable):
        message = f"answers {response.status_code}: it is not public; set {service.variable} if you may see it"
        raise PermissionError(message)
    return _follow(url, headers, Token(os.environ[service.variable]))


def _follow(url: str, headers: dict[str, str], token: Token | None) -> Any:
    """Return the answer at the end of redirects; the token goes no further than the host that it is for."""
    with new_session() as session:
        for _ in range(_MOST_REDIRECTS):
            require_https(url)
            response = _ask(session, url, headers, token)
            if response.status_code not in REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            target = urljoin(url, response.headers["Location"])
            token = token if origin(target) == origin(url) else None
            url = target
    message = "is sent from place to place"
    raise OSError(message)


def _ask(session: Any, url: str, headers: dict[str, str], token: Token | None) -> Any:
    """Return the answer to one request. Errors of the library hold the request with its headers; those that are raised here do not."""
    import requests

    try:
        return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, auth=token)
    except requests.RequestException as error:
        why = type(error).__name__
    message = f"no answer ({why})"
    raise _backoff.TryLaterError(message)


def _chunks(response: Any) -> Iterator[bytes]:
    """Return what arrives; errors as in :func:`_ask`."""
    import requests

    try:
        yield from response.iter_content(_CHUNK)
    except requests.RequestException as error:
        why = type(error).__name__
    else:
        return
    message = f"the connection broke off ({why})"
    raise _backoff.TryLaterError(message)


def _require_success(response: Any) -> None:
    """Raise unless an answer holds what was asked for: a file, or the rest of one."""
    status = response.status_code
    message = f"answers {status}"
    if _backoff.is_overloaded(status):
        raise _backoff.TryLaterError(message, _backoff.asked_wait(response.headers))
    if status not in {_OK, _PARTIAL}:
        raise OSError(message)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
