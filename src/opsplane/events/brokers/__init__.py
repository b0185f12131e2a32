"""Implementations of `Broker`."""

from __future__ import annotations

from opsplane.events.broker import Broker
from opsplane.events.brokers.redis_streams import RedisStreams


def connect(url: str) -> Broker:
    """The broker at a `redis://` or `unix://` URL; connections are made when first needed."""
    return RedisStreams(url)


__all__ = ["connect"]
