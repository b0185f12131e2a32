"""Which addresses a callback may go to: public ones, and what the installation allows of its own network.

A URL is judged twice: when the task is created, as far as its text tells, and at every delivery, when each address its
name has at that moment is judged, and one of the judged addresses is connected to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from opsplane.errors import InvalidInput

Address = IPv4Address | IPv6Address
LONGEST = 2000
PORTS = {"https": 443, "http": 80}
_TEXT = re.compile(
    r"[\x21-\x7e]+"
)  # a parser that strips or folds anything else would read another host than we do
_LABEL = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # what a resolver would take as (part of) an IPv4 address
_INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")
_NEVER = (
    ip_network("192.0.0.0/24"),  # protocol assignments, one of them a cloud's metadata
    ip_network("192.88.99.0/24"),  # 6to4 relays
    ip_network("168.63.129.16/32"),  # a public address with which a cloud serves its machines' metadata
    ip_network("2001::/23"),  # Teredo and other protocol assignments
)
_PUBLIC_6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")


class CallbackRefused(InvalidInput):
    """The URL is none a callback may go to."""

    def __init__(self, message: str) -> None:
        violation = {"pointer": "/callbackUrl", "keyword": "format", "message": message}
        super().__init__(f"callbackUrl: {message}", violations=[violation])


class Target(NamedTuple):
    """Where a URL leads: its parts, and its address where it is written as one."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def name(self) -> str:
        """The host as the header `Host` names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


class CallbackPolicy:
    """What is allowed beyond public addresses over https on port 443.

    `http` allows plain HTTP; `ports` are those that may be named; `networks` and `hosts` are the installation's own
    that callbacks may reach. Every address a host among `hosts` has is allowed.
    """

    def __init__(
        self,
        *,
        http: bool = False,
        ports: Sequence[int] = (443,),
        networks: Sequence[IPv4Network | IPv6Network] = (),
        hosts: Iterable[str] = (),
    ) -> None:
        self._http = http
        self._ports = {*ports, 80} if http else set(ports)
        self._networks = tuple(networks)
        self._hosts = frozenset(hosts)

    @classmethod
    def of(cls, *, http: bool, ports: Sequence[int], allow: Iterable[str]) -> CallbackPolicy:
        """The policy of settings; `allow` has networks (`10.1.0.0/16`), addresses and host names. Raises `InvalidInput`."""
        networks, hosts = [], set()
        for entry in allow:
            if _NAME.fullmatch(entry) and not _NUMBER.fullmatch(entry.split(".")[-1]):
                hosts.add(entry)
                continue
            try:
                networks.append(ip_network(entry))
            except ValueError as error:
                raise InvalidInput(
                    f"callbacks.allow: {entry!r} is no network, address or host name in lower case: {error}.",
                    remedy="Correct opsplane.yaml; see docs/reference/settings.md.",
                ) from error
        return cls(http=http, ports=ports, networks=networks, hosts=hosts)

    def target(self, url: str) -> Target:
        """Where the URL leads; raises `CallbackRefused` where its text shows that no callback may go there."""
        parts, port = _parts(url)
        if parts.scheme != "https" and not (self._http and parts.scheme == "http"):
            raise CallbackRefused(f"it must begin with https://{' or http://' if self._http else ''}.")
        port = port or PORTS[parts.scheme]
        if port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise CallbackRefused(f"port {port} is not allowed, only {allowed or 'none'}.")
        host = parts.hostname or ""
        address = _written_address(host, bracketed="[" in parts.netloc)
        if address is not None:
            self.judge(host, [address])
        elif host not in self._hosts:
            _require_public_name(host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port, path, address)

    def judge(self, host: str, addresses: Sequence[Address]) -> None:
        """Return when every address may be connected to; raises `CallbackRefused` when one of them may not."""
        if host in self._hosts:
            return
        for address in addresses:
            allowed = any(address in network for network in self._networks)
            if not allowed and not is_public(address):
                raise CallbackRefused(f"{host} is {address}, which is not a public address.")


PUBLIC_ONLY = CallbackPolicy()


def is_public(address: Address) -> bool:
    """Whether the address is one of the public Internet, and so is the IPv4 address it may have inside."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _NEVER):
        return False
    if isinstance(address, IPv6Address) and (address not in _PUBLIC_6 or address.scope_id is not None):
        return False
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address a packet to this IPv6 address may end at: mapped, 6to4, or through NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _parts(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > LONGEST or not _TEXT.fullmatch(url) or "\\" in url:
        raise CallbackRefused(f"it must be at most {LONGEST} printable ASCII characters without a backslash.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CallbackRefused(f"it is no URL: {error}.") from error
    if "@" in parts.netloc:
        raise CallbackRefused("it must not hold a user name or password; messages are signed instead.")
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        raise CallbackRefused("it names no host, or no port behind its colon.")
    if parts.fragment:
        raise CallbackRefused("it must not have a fragment (#), which is never sent.")
    return parts, port


def _written_address(host: str, *, bracketed: bool) -> Address | None:
    """The address the host is written as, None for a name; raises `CallbackRefused` for other spellings of addresses."""
    if bracketed or _NUMBER.fullmatch(host.rstrip(".").split(".")[-1]):
        try:
            return ip_address(host)
        except ValueError:
            raise CallbackRefused(f"{host} is no address as it is usually written.") from None
    return None


def _require_public_name(host: str) -> None:
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise CallbackRefused(f"{host[:60]!r} is no host name; write others than ASCII as xn--….")
    if "." not in host or any(host == name or host.endswith(f".{name}") for name in _INSIDE):
        raise CallbackRefused(f"{host} is a name of some inner network.")
