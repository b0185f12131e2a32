"""Projection: the streams are made to show what the table says, so that XLEN tells the truth."""

from __future__ import annotations

import re

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.deadletters.letter import metadata_of

BATCH = 200
MIRRORS = "opsplane:mirrors"
_ENTRY = re.compile(r"\d+-\d+")  # an imported dead letter was on no stream of this broker yet

# Puts a dead letter (ARGV[1]) on its consumer's stream (KEYS[1]) in place of the entry it had there; KEYS[2] remembers.
_MIRROR = """
local old = redis.call('HGET', KEYS[2], ARGV[1])
if old then redis.call('XDEL', KEYS[1], old) end
redis.call('HSET', KEYS[2], ARGV[1], redis.call('XADD', KEYS[1], '*', 'data', ARGV[2], 'metadata', ARGV[3]))
return 1
"""
_UNMIRROR = """
local old = redis.call('HGET', KEYS[2], ARGV[1])
if old then redis.call('XDEL', KEYS[1], old) redis.call('HDEL', KEYS[2], ARGV[1]) end
return 1
"""


class Projection:
    """For an open dead letter one entry on `<topic>.dlq` and one on `dlq:<consumer>`, for a settled one none.

    Every step can be repeated: a crash in between leaves the row untidy, and it is done again.
    """

    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def step(self) -> int:
        """How many dead letters the streams show anew."""
        count = 0
        while done := await self._batch():
            count += done
        return count

    async def _batch(self) -> int:
        async with self._pool.transaction() as tx:
            rows = await (await tx.execute(sql(ROOM, "select_untidy"), [BATCH])).fetchall()
            for row in rows:
                is_open = row["state"] in ("waiting", "replaying")
                stream_id = await (self._show(row) if is_open else self._hide(row))
                await tx.execute(sql(ROOM, "tidied"), [stream_id, row["id"]])
        return len(rows)

    async def _show(self, row: DictRow) -> str:
        stream_id: str = row["stream_id"]
        metadata = msgspec.json.encode(metadata_of(row))
        await self._delete(row["stream"], row["obsolete"])
        is_there = _ENTRY.fullmatch(stream_id) and await self._broker.call(
            "XRANGE", row["stream"], stream_id, stream_id
        )
        if not is_there:
            added = await self._broker.call(
                "XADD", row["stream"], "*", "data", row["data"], "metadata", metadata
            )
            stream_id = added.decode()
        if row["alias"]:
            await self._broker.call(
                "EVAL", _MIRROR, "2", f"dlq:{row['alias']}", MIRRORS, str(row["id"]), row["data"], metadata
            )
        return stream_id

    async def _hide(self, row: DictRow) -> str:
        await self._delete(row["stream"], [*row["obsolete"], row["stream_id"]])
        if row["alias"]:
            await self._broker.call("EVAL", _UNMIRROR, "2", f"dlq:{row['alias']}", MIRRORS, str(row["id"]))
        return str(row["stream_id"])

    async def _delete(self, stream: str, entries: list[str]) -> None:
        there = [one for one in entries if _ENTRY.fullmatch(one)]
        if there:
            await self._broker.call("XDEL", stream, *there)
