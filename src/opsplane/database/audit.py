"""The audit log: who did what, with which parameters, why, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from opsplane.action import Actor
from opsplane.database.pool import Pool
from opsplane.database.statements import sql

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # not where its backslash is itself escaped


class append_audit:  # noqa: N801  read as a verb where it is used: `audit=append_audit(pool)`
    """An `Audit` that appends to the `audit` table of the operations database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(
        self, actor: Actor, action: str, parameters: Mapping[str, Any], reason: str | None, outcome: str
    ) -> None:
        """Append one entry; a NUL, which the database does not keep, is written as U+FFFD."""
        facts = Jsonb(parameters, dumps=_without_nul)
        why = reason.replace("\0", "\ufffd") if reason else reason
        await self._pool.execute(
            sql(__package__, "insert_audit"), [actor.sub, sorted(actor.roles), action, facts, why, outcome]
        )


def _without_nul(value: Any) -> str:
    return _NUL.sub(r"\1\\ufffd", msgspec.json.encode(value).decode())
