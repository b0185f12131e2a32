from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
import polars as pl

from opsplane.errors import InvalidInput, OpsplaneError
from opsplane.files.checks import LINE, RECORD, Checks, refused_frame
from opsplane.files.entity import Entity
from opsplane.files.errorfile import error_rows
from opsplane.files.formats.csv import Chunk, CsvReader
from opsplane.files.formats.stream import Facts, inspect
from opsplane.files.limits import Limits
from opsplane.files.mapping import Mapped, match_columns
from opsplane.files.sink import CheckedChunk, Outcome, Reason, Sink, State
from opsplane.files.source import on_disk
from opsplane.files.store import StoredObject

EXAMPLES = 5


class WorkCancelled(OpsplaneError):
    """The work was cancelled between two chunks; an import keeps what was applied before."""

    status = 409


class Progress(Protocol):
    """Takes how far the work is; called often, returns at once."""

    def __call__(self, *, done: int, total: int, failed: int, message: str) -> None:
        """`done` of about `total` rows, `failed` of them refused."""
        ...


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a file is read and what becomes of bad rows.

    `mapping` names the entity's column for a column of the file (`""`: leave it out). Policy `skip`
    applies good rows chunk by chunk; `abort` applies all rows at the end or none; `validate_only` none.
    `encoding` and `delimiter` are guessed where they are not declared. With `unguard` the apostrophe is
    taken off that exports put before a formula's first character.
    """

    mapping: Mapping[str, str] = {}
    policy: Literal["skip", "abort", "validate_only"] = "skip"
    format: Literal["csv"] = "csv"
    encoding: str | None = None
    delimiter: str | None = None
    unguard: bool = True


class Example(msgspec.Struct, frozen=True):
    """One refused row of a report."""

    line: int
    reasons: Sequence[Reason]


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did. Of `total` rows `failed` were refused and `applied` are in the table (with policy
    `abort` all or none), of which `changed` were new or different. `error_file` is the key of the file with
    the refused rows, where there are any and it was asked for.
    """

    outcome: Outcome
    total: int
    applied: int
    failed: int
    changed: int
    reasons: Mapping[str, int]
    examples: Sequence[Example]
    error_file: str | None
    sha256: str
    seconds: float

    @property
    def rows_per_second(self) -> float:
        """The rate of this run."""
        return self.total / self.seconds if self.seconds else 0.0


class _File(NamedTuple):
    """An opened file with what is to be done with its columns."""

    reader: CsvReader
    facts: Facts
    mapped: tuple[Mapped, ...]
    checks: Checks
    unguard: bool


async def run_import(
    source: Path | StoredObject,
    entity: Entity,
    sink: Sink,
    options: ImportOptions | None = None,
    *,
    errors: StoredObject | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImportReport:
    """Import a csv file, each row once, going on where an import of the same task was interrupted.

    Raises `MappingRejected`, `LimitExceeded`, `ImportChanged` and other `InvalidInput` before any row is
    applied; `OutOfSpace` and `WorkCancelled` between two chunks: calling again goes on there.
    """
    options, limits = options or ImportOptions(), limits or Limits()
    began = time.monotonic()
    async with on_disk(source) as path:
        facts = await asyncio.to_thread(inspect, path, limits)
        reader = await asyncio.to_thread(CsvReader, path, facts, limits, options.encoding, options.delimiter)
        try:
            mapped = match_columns(reader.header, entity, options.mapping)
            file = _File(reader, facts, mapped, Checks(mapped, limits.field_bytes), options.unguard)
            state = await sink.begin(_binding(facts, entity, options, limits), mapped)
            if state.outcome is None:
                steps = _Steps(file, sink, options.policy, progress, cancelled)
                state = await steps.run(state)
            return await _report(state, sink, file, errors, began)
        finally:
            await asyncio.to_thread(reader.close)


def _binding(facts: Facts, entity: Entity, options: ImportOptions, limits: Limits) -> str:
    """A fingerprint of everything that decides which rows a chunk has and what becomes of them."""
    parts = (facts.sha256, entity.name, entity.version, options, limits.chunk_bytes, limits.record_bytes)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


class _Steps:
    """Chunk after chunk; the next is read and checked in a thread while the database takes the last."""

    def __init__(
        self,
        file: _File,
        sink: Sink,
        policy: str,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._file, self._sink, self._policy = file, sink, policy
        self._progress, self._cancelled = progress, cancelled

    async def run(self, state: State) -> State:
        """The state at the end."""
        if state.position == 0:
            state = state._replace(position=self._file.reader.position, line=self._file.reader.line)
        ahead = self._read(state)
        try:
            while (chunk := await ahead) is not None:
                expected = State(chunk.number + 1, chunk.position, chunk.line)
                ahead = self._read(expected)
                state = await self._take(chunk, state)
                self._tell(state)
                if state.outcome is not None:
                    return state
                if state.chunk != expected.chunk:
                    await ahead
                    ahead = self._read(state)
        finally:
            await _settled(ahead)
        return await self._end(state)

    def _read(self, state: State) -> asyncio.Task[CheckedChunk | None]:
        return asyncio.create_task(asyncio.to_thread(_checked, self._file, state))

    async def _take(self, chunk: CheckedChunk, state: State) -> State:
        if self._cancelled is not None and self._cancelled():
            raise WorkCancelled(f"The import was cancelled after {state.rows} rows.", rows=state.rows)
        if self._policy == "skip":
            return await self._sink.apply(chunk)
        keep = self._policy == "abort" and state.bad == 0 and chunk.bad.height == 0
        return await self._sink.collect(chunk, keep=keep)

    async def _end(self, state: State) -> State:
        if self._policy == "validate_only":
            return await self._sink.finish("validated")
        if self._policy == "skip":
            return await self._sink.finish("completed")
        return await self._sink.publish() if state.bad == 0 else await self._sink.finish("aborted")

    def _tell(self, state: State) -> None:
        if self._progress is not None:
            total = max(self._file.facts.lines - 1, state.rows)
            self._progress(done=state.rows, total=total, failed=state.bad, message=f"{state.rows} rows")


def _checked(file: _File, state: State) -> CheckedChunk | None:
    chunk = file.reader.chunk(state.position, state.line)
    if chunk is None:
        return None
    unguard = file.unguard and bool(chunk.frame[RECORD].str.contains("'", literal=True).any())
    good, bad = file.checks.run(chunk.frame, unguard=unguard)
    return CheckedChunk(
        number=state.chunk,
        position=chunk.position,
        line=chunk.line,
        rows=chunk.rows,
        good=good,
        bad=_with_spoiled(bad, chunk),
        records=chunk.frame.select(LINE, RECORD),
    )


def _with_spoiled(bad: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    if not chunk.refused:
        return bad
    spoiled = refused_frame([(one.line, one.record, "", one.code, one.message) for one in chunk.refused])
    return pl.concat([bad, spoiled]).sort(LINE)


async def _settled(task: asyncio.Task[CheckedChunk | None]) -> None:
    """Wait for a read that nobody needs any more: the file must not be closed under it."""
    with suppress(InvalidInput, OSError):
        await task


async def _report(
    state: State, sink: Sink, file: _File, errors: StoredObject | None, began: float
) -> ImportReport:
    outcome = state.outcome or "completed"
    examples: list[Example] = []
    if state.bad:
        async with aclosing(sink.refused()) as refused:
            async for row in refused:
                examples.append(Example(row.line, row.reasons))
                if len(examples) == EXAMPLES:
                    break
        if errors is not None:
            rows = error_rows(sink.refused(), file.reader.header, file.reader.dialect.delimiter)
            await errors.store.put(errors.key, rows, "text/csv; charset=utf-8")
    return ImportReport(
        outcome=outcome,
        total=state.rows,
        applied=state.rows - state.bad if outcome == "completed" else 0,
        failed=state.bad,
        changed=state.changed,
        reasons=await sink.reasons() if state.bad else {},
        examples=examples,
        error_file=errors.key if errors is not None and state.bad else None,
        sha256=file.facts.sha256,
        seconds=time.monotonic() - began,
    )
