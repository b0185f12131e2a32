"""A worker's workshop with one task type, `thing.import`, whose handler runs in a process of its own.

`planted` puts a defect into that process: an import begins with an empty ledger each time.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.import_process import THING

from opsplane.clock import SYSTEM
from opsplane.database import Connection, Pool
from opsplane.files import ObjectStore, ledger, open_store
from opsplane.tasks import TaskType
from opsplane.tasks.bulk import import_type


@dataclass(frozen=True)
class Runtime:
    pool: Pool
    objects: ObjectStore
    clock: Any = SYSTEM


@dataclass(frozen=True)
class ImportShop:
    """`dsn` is of the service's own database, `place` holds the objects."""

    dsn: str
    place: Path
    planted: bool = False
    home: int = field(default_factory=os.getpid)

    def types(self) -> Sequence[TaskType]:
        return [import_type(THING, service="thing")]

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[Runtime]:
        if self.planted and os.getpid() != self.home:
            forget_first()
        pool = await Pool.open(self.dsn, max_size=3)
        try:
            yield Runtime(pool, self.store())
        finally:
            await pool.close()

    def store(self) -> ObjectStore:
        return open_store(self.place.as_uri(), "files", "00" * 32, "http://files.test")


def forget_first() -> None:
    """The planted defect."""
    begin = ledger.Ledger.begin

    async def forgetful(self: ledger.Ledger, tx: Connection, binding: str) -> ledger.State:
        await self.forget()
        return await begin(self, tx, binding)

    ledger.Ledger.begin = forgetful  # type: ignore[method-assign]
