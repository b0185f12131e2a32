"""The audit log: who did what, with which parameters, why, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from opsplane.action import Actor
from opsplane.database.pool import Pool
from opsplane.database.statements import sql


class append_audit:  # noqa: N801  read as a verb where it is used: `audit=append_audit(pool)`
    """An `Audit` that appends to the `audit` table of the operations database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(
        self, actor: Actor, action: str, parameters: Mapping[str, Any], reason: str | None, outcome: str
    ) -> None:
        """Append one entry."""
        await self._pool.execute(
            sql(__package__, "insert_audit"),
            [actor.sub, sorted(actor.roles), action, Jsonb(msgspec.to_builtins(parameters)), reason, outcome],
        )
