"""The streams a broker has, and their ids as numbers."""

from __future__ import annotations

from datetime import UTC, datetime

from opsplane.events.broker import Broker

OWN = "opsplane:"
ALIASES = "dlq:"
SUFFIX = ".dlq"
ZERO = (0, 0)


async def scan(broker: Broker) -> list[str]:
    """The names of all streams, opsplane's own left out, and those that are no UTF-8, which no topic has."""
    cursor, found = "0", set()
    while True:
        reply = await broker.call("SCAN", cursor, "COUNT", "1000", "TYPE", "stream")
        cursor = reply[0].decode()
        found |= set(reply[1])
        if cursor == "0":
            names = {name.decode() for name in found if _is_text(name)}
            return sorted(name for name in names if not name.startswith(OWN))


async def topics(broker: Broker) -> list[str]:
    """The topics among the streams: no dead letters, nothing of opsplane's own."""
    return [name for name in await scan(broker) if not name.endswith(SUFFIX) and not name.startswith(ALIASES)]


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def number(stream_id: str) -> tuple[int, int]:
    """A stream id as two numbers, which compare as the ids do."""
    first, _, second = stream_id.partition("-")
    return int(first), int(second or 0)


def time_of(stream_id: str) -> datetime:
    """When the broker took the entry, to the millisecond."""
    return datetime.fromtimestamp(number(stream_id)[0] / 1000, UTC)


def text(position: tuple[int, int]) -> str:
    """Two numbers as a stream id."""
    return f"{position[0]}-{position[1]}"


def before(stream_id: str) -> str:
    """The id just below a stream id."""
    first, second = number(stream_id)
    if (first, second) == ZERO:
        return "0-0"
    return text((first, second - 1) if second else (first - 1, 2**64 - 1))
