"""Which servers are accepted as brokers: a version with a known critical hole is refused.

Redis before 6.2.20 runs an attacker's code through its Lua engine (CVE-2025-49844). Later lines have releases with the
same hole, but distributions mend those without a new version number, so a version says nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from opsplane.errors import OpsplaneError

OLDEST_REDIS = (6, 2, 20)


class VulnerableServer(OpsplaneError):
    """The broker is a server version with a known critical hole."""


class Server(NamedTuple):
    """What answers at the broker's address, as its greeting says."""

    name: str
    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers; what is no number counts as zero."""
        return tuple(int(part) if part.isdecimal() else 0 for part in self.version.split(".")[:3])


BEFORE_REDIS_6 = Server("redis", "5")  # does not know HELLO


def server_of(greeting: Sequence[Any]) -> Server:
    """The server that gave this reply to HELLO."""
    facts = dict(zip(greeting[::2], greeting[1::2], strict=True))
    return Server(facts[b"server"].decode(), facts[b"version"].decode())


def refuse_vulnerable(server: Server, where: object) -> None:
    """Return unless the server has a known critical hole; raises `VulnerableServer`."""
    if server.name == "redis" and server.numbers < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        raise VulnerableServer(
            f"The broker at {where} is Redis {server.version}; before {oldest} a script can take the server over "
            "(CVE-2025-49844).",
            remedy=f"Run Redis {oldest} or newer, or Valkey; to accept it all the same set "
            "broker.allow_vulnerable: true in opsplane.yaml.",
            version=server.version,
        )
