"""Server-sent events (WHATWG HTML, section 9.2) from an async iterator of named events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar.response import Stream

_KEEP_ALIVE = b": still here\n\n"


def event_stream(events: AsyncIterator[tuple[str, Any]], *, keep_alive: float = 15.0) -> Stream:
    """An answer that sends each `(name, value)` as one event and a comment when nothing came for `keep_alive` s."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Stream(_encoded(events, keep_alive), media_type="text/event-stream", headers=headers)


async def _encoded(events: AsyncIterator[tuple[str, Any]], keep_alive: float) -> AsyncIterator[bytes]:
    upcoming: asyncio.Future[tuple[str, Any]] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=keep_alive)
            if not done:
                yield _KEEP_ALIVE
                continue
            try:
                name, value = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
            yield b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value, enc_hook=str))
    finally:
        if upcoming is not None:
            upcoming.cancel()
