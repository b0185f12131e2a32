"""The commands that settle entries; each list is run as one transaction, by any consumer or by a leader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from opsplane.events.broker import Delivered, Done
from opsplane.events.brokers import keys

Command = tuple[Any, ...]
encode = msgspec.json.Encoder().encode


def settled(group: str, done: Sequence[Done]) -> list[Command]:
    """Acknowledge handled entries, confirm replays, remember the events as seen."""
    finished: dict[str, list[str]] = {}
    for entry in done:
        finished.setdefault(entry.stream, []).append(entry.id)
    commands: list[Command] = []
    for stream, ids in finished.items():
        commands += _finished(group, stream, ids)
    commands += [("XADD", keys.REPLAYED, "*", "id", entry.replay_of) for entry in done if entry.replay_of]
    commands += [
        ("HDEL", keys.started(group), keys.place(entry.stream, entry.id)) for entry in done if entry.recovered
    ]
    events, seen = [entry.event for entry in done if entry.event], keys.seen(group)
    if events:
        commands.append(("SADD", seen, *events))
        commands.append(("EXPIRE", seen, str(2 * keys.SEEN_SECONDS)))
    return commands


def scheduled(group: str, entry: Delivered, metadata: Mapping[str, str], due: float) -> list[Command]:
    """Acknowledge the entry and schedule its retry."""
    member = packed(metadata, entry.data)
    return [("ZADD", keys.retry_schedule(group), repr(due), member), *released(group, entry)]


def buried(group: str, entry: Delivered, topic: str, metadata: Mapping[str, str]) -> list[Command]:
    """Acknowledge the entry and write its dead letter."""
    return [added(keys.dead_letters(topic), entry.data, metadata), *released(group, entry)]


def released(group: str, entry: Delivered) -> list[Command]:
    """Acknowledge the entry and forget its starts."""
    return [
        *_finished(group, entry.stream, [entry.id]),
        ("HDEL", keys.started(group), keys.place(entry.stream, entry.id)),
    ]


def added(stream: str, data: bytes, metadata: Mapping[str, str] | None) -> Command:
    """Append to a stream."""
    if metadata:
        return ("XADD", stream, "*", "data", data, "metadata", encode(metadata))
    return ("XADD", stream, "*", "data", data)


def packed(metadata: Mapping[str, str], data: bytes) -> bytes:
    """An event outside of any stream: ten digits that give the length of the metadata, the metadata, the data."""
    encoded = encode(metadata)
    return b"%010d%b%b" % (len(encoded), encoded, data)


def unpacked(member: bytes) -> tuple[bytes, bytes]:
    """Metadata and data of what was `packed`."""
    end = 10 + int(member[:10])
    return member[10:end], member[end:]


def _finished(group: str, stream: str, ids: Sequence[str]) -> list[Command]:
    if keys.is_aside(stream):
        return [("LPOP", stream, str(len(ids)))]  # one lane finishes them in their order
    acknowledged = [("XACK", stream, group, *ids)]
    if stream == keys.retry_stream(group):
        acknowledged.append(("XDEL", stream, *ids))
    return acknowledged
