"""What a handler's context reaches of the operations database: its pool and a producer, in the loop they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from opsplane.database import Pool
from opsplane.events import Outbox
from opsplane.tasks.producer import Producer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations database as steps and fan-outs use it."""

    pool: Pool
    producer: Producer
    outbox: Outbox | None = None


Work = Callable[[Operations], Awaitable[T]]


async def run_in(loop: asyncio.AbstractEventLoop, work: Work[T], operations: Operations) -> T:
    """What `work` gives, run in `loop`: pools belong to one loop, handlers in threads have others."""
    if asyncio.get_running_loop() is loop:
        return await work(operations)

    async def there() -> T:
        return await work(operations)

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))
