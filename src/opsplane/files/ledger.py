from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import msgspec
import polars as pl

from opsplane.database import Connection, Pool, sql
from opsplane.errors import Conflict
from opsplane.files.sink import CheckedChunk, Outcome, Reason, RefusedRow, State


class ImportChanged(Conflict):
    """The import was begun with another file, mapping, policy or version of the entity; it cannot go on."""


class Ledger:
    """What the import of one task has done, in the database of the rows it writes."""

    def __init__(self, pool: Pool, task: str) -> None:
        self._pool = pool
        self.task = task

    async def begin(self, tx: Connection, binding: str) -> State:
        """The state of the import, begun now where it was not. Raises `ImportChanged`."""
        await tx.execute(sql(__package__, "begin_run"), {"task": self.task, "binding": binding})
        row = await self._row(tx)
        if row["binding"] != binding:
            raise ImportChanged(
                f"The import of task {self.task} was begun with another file, mapping, policy or entity version.",
                remedy="Start a new import.",
                task=self.task,
            )
        return _state(row)

    async def read(self, tx: Connection) -> State:
        """The state of the import."""
        return _state(await self._row(tx))

    async def claim(self, tx: Connection, chunk: CheckedChunk) -> bool:
        """Whether this transaction may do the chunk: False when another did it, or the import has ended."""
        facts = {"task": self.task, "chunk": chunk.number, "position": chunk.position, "line": chunk.line}
        return (await tx.execute(sql(__package__, "claim_chunk"), facts)).rowcount == 1

    async def count(self, tx: Connection, chunk: int, rows: int, bad: int, changed: int) -> None:
        """Say what became of a chunk's rows."""
        facts = {"task": self.task, "chunk": chunk, "rows": rows, "bad": bad, "changed": changed}
        await tx.execute(sql(__package__, "count_chunk"), facts)

    async def publish(self, tx: Connection, chunk: int, changed: int) -> None:
        """Say what a kept chunk changed."""
        facts = {"task": self.task, "chunk": chunk, "changed": changed}
        await tx.execute(sql(__package__, "publish_chunk"), facts)

    async def refused_late(self, tx: Connection, chunk: int, bad: int) -> None:
        """Count rows of a kept chunk that the database refused at the end."""
        facts = {"task": self.task, "chunk": chunk, "bad": bad}
        await tx.execute(sql(__package__, "refuse_late"), facts)

    async def refuse(self, tx: Connection, bad: pl.DataFrame) -> None:
        """Keep refused rows (`line`, `record`, `reasons`)."""
        if bad.height == 0:
            return
        async with tx.cursor().copy(sql(__package__, "copy_errors")) as copy:
            for line, record, reasons in bad.iter_rows():
                await copy.write_row((self.task, line, record.replace("\0", "\ufffd"), reasons))

    async def stage(self, tx: Connection, chunk: int, payload: bytes) -> None:
        """Keep the good rows of a chunk."""
        facts = {"task": self.task, "chunk": chunk, "payload": payload}
        await tx.execute(sql(__package__, "stage_payload"), facts)

    async def staged(self, tx: Connection) -> AsyncIterator[tuple[int, bytes]]:
        """The good rows that were kept, chunk by chunk."""
        last = -1
        while True:
            cursor = await tx.execute(sql(__package__, "read_payload"), {"task": self.task, "chunk": last})
            row = await cursor.fetchone()
            if row is None:
                return
            last = row["chunk"]
            yield last, row["payload"]

    async def lock(self, tx: Connection) -> Outcome | None:
        """The outcome so far; no other transaction can set it before this one ends."""
        row = await (await tx.execute(sql(__package__, "lock_run"), {"task": self.task})).fetchone()
        outcome: Outcome | None = row["outcome"] if row else None
        return outcome

    async def finish(self, tx: Connection, outcome: Outcome) -> None:
        """End the import; kept rows are dropped."""
        await tx.execute(sql(__package__, "finish_run"), {"task": self.task, "outcome": outcome})
        await tx.execute(sql(__package__, "clear_staging"), {"task": self.task})

    async def refused(self) -> AsyncGenerator[RefusedRow, None]:
        """Every refused row in the order of the file."""
        line = -1
        while rows := await self._pool.fetch(
            sql(__package__, "read_errors"), {"task": self.task, "line": line}
        ):
            for row in rows:
                reasons = [msgspec.convert(one, Reason) for one in row["reasons"]]
                yield RefusedRow(row["line"], row["record"], reasons)
            line = rows[-1]["line"]

    async def reasons(self) -> Mapping[str, int]:
        """How often each reason code refused a row."""
        rows = await self._pool.fetch(sql(__package__, "count_reasons"), {"task": self.task})
        return {row["code"]: row["count"] for row in rows}

    async def forget(self) -> None:
        """Remove everything kept about the import."""
        await self._pool.execute(sql(__package__, "forget_run"), {"task": self.task})

    async def _row(self, tx: Connection) -> dict[str, Any]:
        row = await (await tx.execute(sql(__package__, "read_run"), {"task": self.task})).fetchone()
        if row is None:
            raise ImportChanged(
                f"The import of task {self.task} is not in the ledger any more.", task=self.task
            )
        return row


def _state(row: Mapping[str, Any]) -> State:
    next_chunk = 0 if row["chunk"] is None else row["chunk"] + 1
    return State(
        next_chunk,
        row["position"] or 0,
        row["line"] or 0,
        row["rows"],
        row["bad"],
        row["changed"],
        row["outcome"],
    )
