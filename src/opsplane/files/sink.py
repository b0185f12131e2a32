from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec
import polars as pl

from opsplane.files.mapping import Mapped

Outcome = Literal["completed", "aborted", "validated"]


class State(NamedTuple):
    """How far an import is: the chunk that comes next, where it starts, the sums, and the outcome when it ended."""

    chunk: int = 0
    position: int = 0
    line: int = 0
    rows: int = 0
    bad: int = 0
    changed: int = 0
    outcome: Outcome | None = None


class CheckedChunk(NamedTuple):
    """A chunk whose rows were checked; `position` and `line` are those of what follows it.

    `good` has `line` and the table's columns as text, each key once; `bad` has `line`, `record`,
    `reasons`; `records` has `line` and `record` of all.
    """

    number: int
    position: int
    line: int
    rows: int
    good: pl.DataFrame
    bad: pl.DataFrame
    records: pl.DataFrame


class Reason(msgspec.Struct, frozen=True):
    """Why a row was refused."""

    column: str
    code: str
    message: str


class RefusedRow(NamedTuple):
    """A row that was not applied, as it stood in the file."""

    line: int
    record: str
    reasons: Sequence[Reason]


class Sink(Protocol):
    """Where imported rows go, together with the ledger of what has been done.

    Every method that takes a chunk does its work and notes it in one transaction, once: given a chunk that
    is in the ledger already, it changes nothing and returns the state the ledger has.
    """

    async def begin(self, binding: str, mapped: Sequence[Mapped]) -> State:
        """Where to go on. Raises `ImportChanged` when the import was begun with another `binding`."""
        ...

    async def apply(self, chunk: CheckedChunk) -> State:
        """Apply the good rows, note the bad ones."""
        ...

    async def collect(self, chunk: CheckedChunk, *, keep: bool) -> State:
        """Note the bad rows, and `keep` the good ones for `publish`."""
        ...

    async def publish(self) -> State:
        """Apply all kept rows, or, when one of them is refused, none."""
        ...

    async def finish(self, outcome: Outcome) -> State:
        """End the import; kept rows are dropped."""
        ...

    def refused(self) -> AsyncGenerator[RefusedRow, None]:
        """Every refused row in the order of the file."""
        ...

    async def reasons(self) -> Mapping[str, int]:
        """How often each reason code refused a row, the most frequent first."""
        ...
