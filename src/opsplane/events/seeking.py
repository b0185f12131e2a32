"""Moving a group's position: back, to do events again or to find those it missed; forward, to leave events out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec

from opsplane.errors import InvalidInput, NotFound
from opsplane.events import epochs
from opsplane.events.backbone import Backbone
from opsplane.events.brokers.counting import count
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.streams import ZERO, before, number, topics


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What a move means on one topic: from the id last given to the one given then; events seen `again`, or `left_out`
    though never given; the new `epoch` where they are done again.
    """

    topic: str
    position: str
    target: str
    again: int
    left_out: int
    epoch: int | None = None


class Unanswered(InvalidInput):
    """The group would get events again, and it was not said whether it should do them again."""


async def plan(backbone: Backbone, group: str, only: Collection[str], to: str) -> list[Move]:
    """The moves to `to`: `beginning`, `end`, an entry's id (given next) or a time with its zone; nothing is changed."""
    return [await _move(backbone, topic, facts, to) for topic, facts in await _where(backbone, group, only)]


async def seek(
    backbone: Backbone, group: str, only: Collection[str], to: str, *, again: bool | None
) -> list[Move]:
    """The moves, made; consumers go on from there by themselves.

    `again`: what was done is done again, in a new epoch; false: what the inbox and the seen-set know is skipped.
    Raises `Unanswered` when some events would be seen again and it is None.
    """
    moves = await plan(backbone, group, only, to)
    if again is None and any(move.again for move in moves):
        total = sum(move.again for move in moves)
        raise Unanswered(
            f"{group} would be given {total} events again: shall it do them again, or skip what was done?",
            remedy="Say so: --again (API: again=true), or --skip-done (again=false).",
        )
    return [await _make(backbone, group, move, again=bool(again)) for move in moves]


async def _make(backbone: Backbone, group: str, move: Move, *, again: bool) -> Move:
    """The epoch first: what is given between the two is then done in it, and not once more after the move."""
    epoch = None
    if again and move.again:
        since = move.target
        pool, broker = backbone.pool, backbone.broker
        epoch = await epochs.begin(pool, broker, group, move.topic, since, backbone.actor)
    await backbone.broker.call("XGROUP", "SETID", move.topic, group, move.target)
    return msgspec.structs.replace(move, epoch=epoch)


async def _where(backbone: Backbone, group: str, only: Collection[str]) -> list[tuple[str, dict[bytes, Any]]]:
    found = []
    for topic in sorted(only) or await topics(backbone.broker):
        try:
            groups = await backbone.broker.call("XINFO", "GROUPS", topic)
        except CommandRefused as error:
            raise NotFound(f"There is no topic {topic}.", remedy="See: opsplane topic ls") from error
        facts = next((one for one in map(_facts, groups) if one[b"name"].decode() == group), None)
        if facts is not None:
            found.append((topic, facts))
        elif only:
            raise NotFound(f"{group} does not read {topic}.", remedy="See: opsplane consumer ls")
    if not found:
        raise NotFound(f"There is no group {group} on the broker.", remedy="See: opsplane consumer ls")
    return found


async def _move(backbone: Backbone, topic: str, facts: dict[bytes, Any], to: str) -> Move:
    position: str = facts[b"last-delivered-id"].decode()
    target = await _target(backbone, topic, to)
    back = number(target) < number(position)
    passed = await count(backbone.broker, topic, *((target, position) if back else (position, target)))
    return Move(
        topic=topic,
        position=position,
        target=target,
        again=passed if back else 0,
        left_out=0 if back else passed,
    )


async def _target(backbone: Backbone, topic: str, to: str) -> str:
    """The id to set as the last given."""
    if to == "beginning":
        return "0-0"
    if to == "end":
        info = await backbone.broker.call("XINFO", "STREAM", topic)
        return str(info[info.index(b"last-generated-id") + 1].decode())
    try:
        place = _place(to)
    except ValueError as error:
        raise InvalidInput(
            f"{to!r} is no place on a stream.",
            remedy="Give beginning, end, an entry's id (1700000000000-0) or a time with its zone (2026-05-01T12:00:00Z).",
        ) from error
    return before(place)


def _place(to: str) -> str:
    """The first id that is given: an entry's own, or the first of a time."""
    if to.replace("-", "", 1).isdecimal() and to.partition("-")[0].isdecimal():
        return to if number(to) > ZERO else "0-1"
    at = datetime.fromisoformat(to)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return f"{max(0, int(at.astimezone(UTC).timestamp() * 1000))}-0"


def _facts(group: Any) -> dict[bytes, Any]:
    return dict(zip(group[::2], group[1::2], strict=True))
