"""Bells for many tasks: rung after the commit, as many ids in one as PostgreSQL takes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from opsplane.database import Connection, Doorbell, after_commit
from opsplane.tasks import channels

IDS = 150
Ring = Callable[[str, str], None]


def ringing(tx: Connection, doorbell: Doorbell) -> Ring:
    """Rings when `tx` has committed."""

    def ring(channel: str, payload: str) -> None:
        after_commit(tx, partial(doorbell.ring, channel, payload))

    return ring


def ring_changed(ring: Ring, ids: Collection[str]) -> None:
    """Tell those who watch these tasks."""
    known = sorted(ids)
    for at in range(0, len(known), IDS):
        ring(channels.PROGRESS, " ".join(known[at : at + IDS]))
