"""Implementations of `Broker`."""

from __future__ import annotations

from opsplane.events.broker import Broker
from opsplane.events.brokers.redis_streams import RedisStreams
from opsplane.events.brokers.servers import VulnerableServer


def connect(url: str, *, allow_vulnerable: bool = False) -> Broker:
    """The broker at a `redis://` or `unix://` URL; connections are made when first needed.

    A server with a known critical hole is refused then (`VulnerableServer`) unless `allow_vulnerable`.
    """
    return RedisStreams(url, allow_vulnerable=allow_vulnerable)


__all__ = ["VulnerableServer", "connect"]
