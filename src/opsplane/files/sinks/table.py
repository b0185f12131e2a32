from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import polars as pl

from opsplane.database import Connection, Pool
from opsplane.files.checks import LINE, RECORD, refused_frame
from opsplane.files.entity import Entity
from opsplane.files.ledger import Ledger
from opsplane.files.mapping import Mapped
from opsplane.files.sink import CheckedChunk, Outcome, RefusedRow, State
from opsplane.files.sinks.merge import Merge, Rejected
from opsplane.files.sinks.outage import outage_told

OnChunk = Callable[[Connection, list[Any]], Awaitable[None]]
Fence = Callable[[Connection], Awaitable[None]]


class TableSink:
    """Imported rows go to the entity's own table; rows, ledger, refused rows and event in one transaction a chunk.

    `on_chunk(tx, keys)` is awaited in that transaction with the keys of the applied rows (values, or tuples
    where the key has several columns): publish the bulk event there. `fence(tx)` is awaited first in every
    transaction: raise there to stop an importer that has lost its task.
    """

    def __init__(
        self,
        pool: Pool,
        entity: Entity,
        task: str,
        *,
        on_chunk: OnChunk | None = None,
        fence: Fence | None = None,
    ) -> None:
        self._pool, self._entity = pool, entity
        self._on_chunk, self._fence = on_chunk, fence
        self._ledger = Ledger(pool, task)
        self._merge = Merge(entity, entity.importable)

    async def begin(self, binding: str, mapped: Sequence[Mapped]) -> State:
        """Where to go on."""
        self._merge = Merge(self._entity, [one.column for one in mapped])
        async with self._transaction() as tx:
            return await self._ledger.begin(tx, binding)

    async def apply(self, chunk: CheckedChunk) -> State:
        """Merge the good rows, keep the bad ones, enter both in the ledger, publish."""
        async with self._transaction() as tx:
            if await self._ledger.claim(tx, chunk):
                await self._merge.prepare(tx)
                changed, rejected = await self._put(tx, chunk.good)
                bad = _joined(chunk.bad, rejected, chunk.records)
                await self._ledger.refuse(tx, bad)
                await self._ledger.count(tx, chunk.number, chunk.rows, bad.height, changed)
            return await self._ledger.read(tx)

    async def collect(self, chunk: CheckedChunk, *, keep: bool) -> State:
        """Keep the bad rows, and the good ones until the end."""
        payload = await asyncio.to_thread(_packed, chunk) if keep and chunk.good.height else b""
        async with self._transaction() as tx:
            if await self._ledger.claim(tx, chunk):
                await self._ledger.refuse(tx, chunk.bad)
                await self._ledger.count(tx, chunk.number, chunk.rows, chunk.bad.height, 0)
                if payload:
                    await self._ledger.stage(tx, chunk.number, payload)
            return await self._ledger.read(tx)

    async def publish(self) -> State:
        """Merge all kept rows in one transaction; when the database refuses one, none stays."""
        try:
            async with self._transaction() as tx:
                if await self._ledger.lock(tx) is None:
                    await self._publish(tx)
                return await self._ledger.read(tx)
        except _RefusedAtTheEnd as refused:
            return await self._give_up(refused.chunks)

    async def finish(self, outcome: Outcome) -> State:
        """End the import."""
        async with self._transaction() as tx:
            if await self._ledger.lock(tx) is None:
                await self._ledger.finish(tx, outcome)
            return await self._ledger.read(tx)

    def refused(self) -> AsyncGenerator[RefusedRow, None]:
        """Every refused row in the order of the file."""
        return self._ledger.refused()

    async def reasons(self) -> Mapping[str, int]:
        """How often each reason code refused a row."""
        return await self._ledger.reasons()

    async def forget(self) -> None:
        """Remove what is kept about the import (its rows stay in the table)."""
        await self._ledger.forget()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        with outage_told(self._pool, self._entity.name):
            async with self._pool.transaction() as tx:
                if self._fence is not None:
                    await self._fence(tx)
                yield tx

    async def _put(self, tx: Connection, rows: pl.DataFrame) -> tuple[int, Sequence[Rejected]]:
        changed, rejected = await self._merge.run(tx, rows)
        applied = rows
        if rejected:
            applied = rows.filter(~pl.col(LINE).is_in([one.line for one in rejected]))
        if self._on_chunk is not None and applied.height:
            await self._on_chunk(tx, self._keys(applied))
        return changed, rejected

    def _keys(self, rows: pl.DataFrame) -> list[Any]:
        names = [column.target for column in self._entity.keys]
        if len(names) == 1:
            return rows[names[0]].to_list()
        return rows.select(names).rows()

    async def _publish(self, tx: Connection) -> None:
        await self._merge.prepare(tx)
        refused: dict[int, pl.DataFrame] = {}
        async for number, payload in self._ledger.staged(tx):
            rows = await asyncio.to_thread(pl.read_ipc, io.BytesIO(payload))
            changed, rejected = await self._put(tx, rows.drop(RECORD))
            if rejected:
                refused[number] = _joined(None, rejected, rows.select(LINE, RECORD))
            await self._ledger.publish(tx, number, changed)
        if refused:
            raise _RefusedAtTheEnd(refused)
        await self._ledger.finish(tx, "completed")

    async def _give_up(self, refused: Mapping[int, pl.DataFrame]) -> State:
        async with self._transaction() as tx:
            if await self._ledger.lock(tx) is None:
                for number, bad in refused.items():
                    await self._ledger.refuse(tx, bad)
                    await self._ledger.refused_late(tx, number, bad.height)
                await self._ledger.finish(tx, "aborted")
            return await self._ledger.read(tx)


class _RefusedAtTheEnd(Exception):  # never leaves this file: it undoes the transaction
    def __init__(self, chunks: Mapping[int, pl.DataFrame]) -> None:
        super().__init__("rows were refused")
        self.chunks = chunks


def _packed(chunk: CheckedChunk) -> bytes:
    target = io.BytesIO()
    chunk.good.join(chunk.records, on=LINE, how="left", maintain_order="left").write_ipc(
        target, compression="zstd"
    )
    return target.getvalue()


def _joined(bad: pl.DataFrame | None, rejected: Sequence[Rejected], records: pl.DataFrame) -> pl.DataFrame:
    lines = [one.line for one in rejected]
    texts = dict(records.filter(pl.col(LINE).is_in(lines)).iter_rows())
    late = refused_frame([(one.line, texts[one.line], one.column, one.code, one.message) for one in rejected])
    return late if bad is None else pl.concat([bad, late])
