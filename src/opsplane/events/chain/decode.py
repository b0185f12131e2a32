"""Decode: bytes to event, and the consumer that wants it."""

from __future__ import annotations

from collections.abc import Mapping

from opsplane.events.chain.work import Work
from opsplane.events.consumer import Consumer, Reject
from opsplane.events.envelope import decode


def decode_work(work: Work, consumers: Mapping[str, Consumer]) -> None:
    """Give the work its event and consumer; raises `Undecodable`, or `Reject` for a topic nobody consumes."""
    found = consumers.get(work.topic)
    if found is None:
        raise Reject(f"No consumer of this group takes {work.topic}.")
    work.consumer = found
    work.event = decode(work.entry.data)
