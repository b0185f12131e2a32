"""What a worker and the process of one of its handlers say to each other: length, then a pickle, on private pipes."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import msgspec

from opsplane.tasks.context import Claim
from opsplane.tasks.task import ResultFile
from opsplane.tasks.workshop import Workshop


class Job(msgspec.Struct, frozen=True):
    """What the child is to run."""

    workshop: Workshop
    operations_dsn: str
    source: str | None  # under which task events are published
    task_type: str
    claim: Claim


class Progress(msgspec.Struct, frozen=True):
    """The counts as they are now."""

    done: int
    total: int | None
    failed: int
    message: str | None


class Answer(msgspec.Struct, frozen=True):
    """How it ended: a result, or the outcome's fields of an error."""

    result: Any = None
    error: dict[str, Any] | None = None
    error_file: ResultFile | None = None
    completed: bool = False


async def read_message(stream: asyncio.StreamReader) -> Any:
    """The next message, None when the other side is gone."""
    try:
        size = int.from_bytes(await stream.readexactly(4), "big")
        return pickle.loads(await stream.readexactly(size))  # noqa: S301  our own child's
    except asyncio.IncompleteReadError:
        return None
