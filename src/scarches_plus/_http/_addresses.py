"""Check, join and compare web addresses (URLs) of HTTP requests.

No other module takes an address apart or puts one together.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from scarches_plus._limits import ADDRESS_CHARACTERS
from scarches_plus._text import for_message

if TYPE_CHECKING:
    from ipaddress import IPv4Address

_PORTS = {"http": 80, "https": 443}
#: What RFC 3986 allows, without names or passwords; blanks, backslashes, control characters and other alphabets are not
#: in it.
_ADDRESS = re.compile(
    r"""(?P<scheme>https?)://
    (?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)
    (?::(?P<port>[1-9][0-9]{0,4}))?
    (?P<path>/(?:[a-z0-9._~:/@!$&'()*+,;=-]|%[0-9a-f]{2})*)?
    (?P<query>\?(?:[a-z0-9._~:/?@!$&'()*+,;=-]|%[0-9a-f]{2})*)?
    (?:\#(?:[a-z0-9._~:/?@!$&'()*+,;=-]|%[0-9a-f]{2})*)?""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
#: Control characters that are written as something else, and dots in a path.
_DISGUISED = re.compile(r"%(?:[01][0-9a-f]|7f)|^[^?]*%2e", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
#: Hosts that end so are read as numbers, in forms such as 127.1 and 0x7f000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = (
    ".localhost", ".local", ".localdomain", ".lan", ".home", ".home.arpa", ".internal", ".intranet", ".corp",
    ".private",
)  # fmt: skip
#: IPv6 addresses that mean an IPv4 address, which may be of a private network: mapped, compatible, 6to4, Teredo, NAT64.
_CARRY_IPV4 = [
    ip_network(one) for one in ("::ffff:0:0/96", "::/96", "2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")
]
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SAFE_SEGMENT = re.compile(r"[^A-Za-z0-9._~@:+,=-]")


class AddressError(OSError, ValueError):
    """An address is malformed, or must not be contacted."""


class Origin(NamedTuple):
    """Scheme, host and port of an address; a token goes to servers of the same origin only."""

    scheme: str
    host: str
    port: int

    @property
    def machine(self) -> IPv4Address | IPv6Address | None:
        """The IP address, if the host is one; ``None`` for a name."""
        return _machine(self.host)

    @property
    def is_loopback(self) -> bool:
        """True for addresses of this machine: ``localhost`` and loopback IP addresses."""
        return self.host == "localhost" if self.machine is None else self.machine.is_loopback

    @property
    def is_public(self) -> bool:
        """True for hosts of the internet, and false for those of a private network."""
        if self.machine is None:
            return "." in self.host and not self.host.endswith(_LOCAL_NAMES)
        return self.machine.is_global


def is_address(text: str) -> bool:
    """Return whether text is an address of the web (valid or not) rather than a file."""
    return "://" in text


def shown(address: str) -> str:
    """Return an address for a message: on one line, without a name or password."""
    return for_message(re.sub(r"(://)[^/?#]*@", r"\1...@", address))


def check_address(text: str) -> str:
    """Return an address as it will be asked for: without its fragment, host in small letters.

    Raises
    ------
    AddressError
        If it is no address, or one that two programs may read in two ways.
    """
    found = _ADDRESS.fullmatch(text) if len(text) <= ADDRESS_CHARACTERS else None
    if found is None or _DISGUISED.search(text):
        raise AddressError(_no_address(text, _why(text)))
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if not _is_host(host) or int(found["port"] or 1) >= 2**16:
        what = "its port is none" if _is_host(host) else "its host is no name, IPv4 or IPv6 address in their usual form"
        raise AddressError(_no_address(text, what))
    try:
        parsed = parse_url(text)
    except LocationParseError:
        parsed = parse_url("")
    # the library that connects has to read the same
    if (parsed.scheme, parsed.auth, parsed.host, parsed.port) != (scheme, None, host, _port(found["port"])):
        raise AddressError(_no_address(text, "two programs may read it in two ways"))
    return parsed._replace(fragment=None).url


def origin_of(address: str) -> Origin:
    """Return scheme, host and port of an address.

    Raises
    ------
    AddressError
        As :func:`check_address`.
    """
    parsed = parse_url(check_address(address))
    scheme, host = str(parsed.scheme), str(parsed.host)
    return Origin(scheme, host, parsed.port or _PORTS[scheme])


def require_https(address: str) -> None:
    """Raise if an address is neither https nor on this machine, so that others could read what is sent.

    Raises
    ------
    AddressError
        Also if it is no address.
    """
    origin = origin_of(address)
    if origin.scheme != "https" and not origin.is_loopback:
        message = f"{shown(address)} is not fetched: only https is"
        raise AddressError(message)


def require_step(source: str, target: str) -> None:
    """Raise if one address may not lead to another, by a redirect or a list.

    Raises
    ------
    AddressError
        If the way leads from https to http, or from anywhere to a machine that only this network knows.
    """
    require_https(target)
    before, after = origin_of(source), origin_of(target)
    if before.scheme == "https" and after.scheme != "https":
        message = f"{shown(target)} is not fetched: only https is, and {before.host} leads there"
    elif after.is_loopback and not before.is_loopback:
        message = f"{shown(target)} is not fetched: {before.host} may not lead to this machine"
    elif not after.is_public and before.is_public:
        message = f"{shown(target)} is not fetched: {before.host} may not lead into a private network"
    else:
        return
    raise AddressError(message)


def join_address(base: str, reference: str) -> str:
    """Resolve a reference (of a redirect, or in a page) against the address it came from, as RFC 3986 does.

    Raises
    ------
    AddressError
        If it leads to no address.
    """
    base = check_address(base)
    whole = base.partition("?")[0]
    scheme, _, rest = whole.partition("://")
    host, _, path = rest.partition("/")
    if _SCHEME.match(reference):
        return check_address(reference)
    if reference.startswith("//"):
        return check_address(f"{scheme}:{reference}")
    if reference.startswith("/"):
        return check_address(f"{scheme}://{host}{reference}")
    if reference.startswith("?"):
        return check_address(whole + reference)
    if reference.startswith("#") or not reference:
        return base
    return check_address("/".join([f"{scheme}://{host}", *path.split("/")[:-1], reference]))


def address_below(base: str, *segments: str) -> str:
    """Return the address of something below another; every segment of its path is quoted.

    Raises
    ------
    AddressError
        If a segment is empty, or leads upwards.
    """
    if any(one in {"", ".", ".."} for one in segments):
        message = f"{for_message('/'.join(segments))} is no path below {shown(base)}"
        raise AddressError(message)
    return check_address("/".join([base.rstrip("/"), *map(_quoted, segments)]))


def segments_below(address: str, base: str) -> list[str] | None:
    """Return the parts of the path of an address, unquoted, if it is at the same server as another; else ``None``.

    Raises
    ------
    AddressError
        If it is no address, or its path is no text.
    """
    address = check_address(address)
    if origin_of(address) != origin_of(base):
        return None
    path = address.partition("?")[0].partition("://")[2].partition("/")[2]
    try:
        return [unquote(one, errors="strict") for one in path.split("/") if one]
    except UnicodeDecodeError:
        raise AddressError(_no_address(address, "its path is no text")) from None


def quoted_path(path: str) -> str:
    """Return a path as it stands in an address."""
    return "/".join(map(_quoted, path.split("/")))


def _quoted(segment: str) -> str:
    return _SAFE_SEGMENT.sub(lambda one: "".join(f"%{byte:02X}" for byte in one[0].encode()), segment)


def _is_host(host: str) -> bool:
    if host.startswith("["):
        machine = _machine(host)
        return isinstance(machine, IPv6Address) and (
            machine.is_loopback or not any(machine in network for network in _CARRY_IPV4)
        )
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _machine(host) is not None
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels))


def _machine(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _port(text: str | None) -> int | None:
    return int(text) if text else None


def _why(text: str) -> str:
    host = re.split(r"[/?#]", text.partition("://")[2])[0]
    for is_so, why in (
        (len(text) > ADDRESS_CHARACTERS, f"it has more than {ADDRESS_CHARACTERS} characters"),
        (not text.isascii(), "it holds letters of another alphabet; write the host as xn--..., and others as %.."),
        ("\\" in text, "it holds a backslash"),
        (_SCHEME.match(text) and not re.match(r"https?://", text, re.IGNORECASE),
         "it does not begin with https://, and only https is fetched"),
        (not text.isprintable() or _DISGUISED.search(text), "it holds a control character, or one in disguise"),
        (any(map(str.isspace, text)), "it holds a blank"),
        ("@" in host, "it holds a name or password before its host"),
        ("%" in host, "its host holds a %"),
        (re.search(r":[^\]]*$", host) and not re.search(r":[1-9][0-9]{0,4}$", host), "its port is none"),
        (not re.fullmatch(r"(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d+)?", host, re.IGNORECASE),
         "its host is no name, IPv4 or IPv6 address in their usual form"),
    ):  # fmt: skip
        if is_so:
            return why
    if "://" not in text:
        return "it does not begin with https://"
    return "it holds a character that has to be written as %.."


def _no_address(text: str, why: str) -> str:
    return f"{shown(text)} is no address: {why}"
