"""Task ids: UUID version 7 (RFC 9562), which sort by creation, so that new rows lie together in the index."""

from __future__ import annotations

import os
import time
import uuid
from datetime import datetime


def new_id() -> str:
    """A new task id."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """`count` ids of one moment, in random order among themselves."""
    head = f"{time.time_ns() // 1_000_000:012x}"
    noise = os.urandom(10 * count).hex()
    first, second = head[:8], head[8:]
    return [
        f"{first}-{second}-7{noise[at : at + 3]}-{'89ab'[int(noise[at + 3], 16) & 3]}{noise[at + 4 : at + 7]}"
        f"-{noise[at + 7 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]


def lowest_id(moment: datetime) -> str:
    """The lowest id a task created at `moment` can have: a bound for searches by creation time."""
    stamp = int(moment.timestamp() * 1000) & 0xFFFFFFFFFFFF
    return str(uuid.UUID(int=(stamp << 80) | (0x7 << 76) | (0x8 << 60)))


def is_id(text: str) -> bool:
    """Whether the text is a UUID at all."""
    try:
        return len(text) == 36 and bool(uuid.UUID(text))
    except ValueError:
        return False
