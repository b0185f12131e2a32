"""Noting for fan-outs which children ended or run again, in the transaction in which they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opsplane.database import Connection, sql


class Child(NamedTuple):
    """A task with a parent, and the code of its final state."""

    id: str
    parent_id: str
    status: int


async def tally_children(tx: Connection, children: Sequence[Child], *, sign: int = 1) -> None:
    """Count the children's ends for their fan-outs; with `sign` -1 they have not ended after all."""
    if children:
        told = {
            "sign": sign,
            "ids": [child.id for child in children],
            "parents": [child.parent_id for child in children],
            "statuses": [child.status for child in children],
        }
        await tx.execute(sql(__package__, "tally_children"), told)
