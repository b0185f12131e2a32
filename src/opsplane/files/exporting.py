from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal

import msgspec

from opsplane.database import Pool
from opsplane.files.copyout import CopyOut
from opsplane.files.entity import Column, Entity
from opsplane.files.importing import Progress, WorkCancelled
from opsplane.files.selection import Selection, chosen, statement
from opsplane.files.store import StoredObject


class ExportReport(msgspec.Struct, frozen=True):
    """What an export wrote: rows without the header, bytes, their SHA-256, and the columns."""

    rows: int
    bytes: int
    sha256: str
    columns: Sequence[str]
    seconds: float


async def run_export(
    pool: Pool,
    entity: Entity,
    target: StoredObject,
    selection: Selection | None = None,
    *,
    format: Literal["csv"] = "csv",  # noqa: A002  the word callers know
    guard: bool = True,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ExportReport:
    """Write the entity's rows as of one moment into the target, whole or not at all.

    With `guard`, text a spreadsheet would take for a formula gets an apostrophe in front. Raises
    `SelectionRejected`, `WorkCancelled`, `OutOfSpace`, `DatabaseUnavailable`, `ExportFailed`.
    """
    selection = selection or Selection()
    columns = chosen(entity, selection)
    began = time.monotonic()
    query = statement(entity, selection, guard=guard)
    rows = await asyncio.to_thread(CopyOut, pool, query)
    try:
        blocks = _Blocks(rows, columns, progress, cancelled)
        await target.store.put(target.key, blocks.run(), f"text/{format}; charset=utf-8")
    finally:
        await asyncio.to_thread(rows.close)
    names = [column.name for column in columns]
    return ExportReport(rows.rows, blocks.size, blocks.digest.hexdigest(), names, time.monotonic() - began)


class _Blocks:
    """The export's bytes on their way; the next block is fetched while the last is stored."""

    def __init__(
        self,
        rows: CopyOut,
        columns: Sequence[Column],
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._rows, self._columns = rows, columns
        self._progress, self._cancelled = progress, cancelled
        self.digest, self.size = hashlib.sha256(), 0

    async def run(self) -> AsyncIterator[bytes]:
        """Header and rows."""
        yield self._counted(_header(self._columns))
        ahead = asyncio.create_task(asyncio.to_thread(self._next))
        try:
            while block := await ahead:
                self._check()
                ahead = asyncio.create_task(asyncio.to_thread(self._next))
                yield block
                self._tell()
        finally:
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # whoever stopped the export has the better reason

    def _next(self) -> bytes:
        return self._counted(self._rows.block())

    def _counted(self, block: bytes) -> bytes:
        self.digest.update(block)
        self.size += len(block)
        return block

    def _check(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise WorkCancelled(
                f"The export was cancelled after {self._rows.rows} rows.", rows=self._rows.rows
            )

    def _tell(self) -> None:
        if self._progress is not None:
            done = self._rows.rows
            megabytes = f"{self.size / 1e6:.1f} MB"
            self._progress(
                done=done, total=max(done, self._rows.estimate), failed=0, message=f"{done} rows, {megabytes}"
            )


def _header(columns: Sequence[Column]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow([column.name for column in columns])
    return line.getvalue().encode()
