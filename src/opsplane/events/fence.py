"""The fence of an ordered group: what a leader that was replaced still wants to do is refused."""

from __future__ import annotations

from opsplane.database import Connection, sql
from opsplane.errors import OpsplaneError


class Deposed(OpsplaneError):
    """Another process leads the group now; nothing more may be done for it here."""


class Fence:
    """The epoch of one leader, held against the row in the service's database that every new leader raises.

    `hold` locks that row for the length of a transaction: a new leader waits until it has ended, or ends it.
    """

    def __init__(self, group: str, epoch: int) -> None:
        self.group = group
        self.epoch = epoch
        self.lost = False

    async def hold(self, tx: Connection) -> None:
        """Return when `tx` may have effects; raises `Deposed`."""
        row = await (await tx.execute(sql(__package__, "hold_epoch"), [self.group])).fetchone()
        if row is None or row["epoch"] != self.epoch:
            self.lost = True
        self.check()

    def check(self) -> None:
        """Return unless a transaction was refused before, whatever the handler made of that; raises `Deposed`."""
        if self.lost:
            raise Deposed(
                f"The ordered group {self.group} has a newer leader than epoch {self.epoch}; this one stops.",
                group=self.group,
                epoch=self.epoch,
            )
