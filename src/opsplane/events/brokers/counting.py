"""Counting entries between two ids, on the server: their bytes do not travel."""

from __future__ import annotations

from opsplane.events.broker import Broker

PAGE = 10_000
MOST = 1_000_000

_COUNT = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return {#found, found[1] and found[#found][1] or ''}
"""


async def count(broker: Broker, stream: str, after: str, upto: str = "+", most: int = MOST) -> int:
    """How many entries lie behind `after` up to and with `upto`; counting ends at `most`. Needs the right to scripts."""
    total = 0
    while total < most:
        found, last = await broker.call("EVAL", _COUNT, "1", stream, f"({after}", upto, str(PAGE))
        total += int(found)
        if found < PAGE:
            break
        after = last.decode()
    return min(total, most)
