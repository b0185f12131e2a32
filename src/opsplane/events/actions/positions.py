"""What operators do to positions: of groups on topics, and of streams at their old end."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.action import Action, Preview
from opsplane.clock import SYSTEM
from opsplane.errors import Conflict
from opsplane.events import inspect, seeking
from opsplane.events.backbone import ROLE, Backbone
from opsplane.events.seeking import Move
from opsplane.events.streams import topics
from opsplane.events.trimming import trimmed


class SeekGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Give a group events from `to` on (`beginning`, `end`, an entry's id, a time), on its topics or some of them.

    `again`: do again what was done (true), or skip it (false); needed when events would be seen again.
    """

    group: str
    topics: tuple[str, ...] = ()
    to: str
    again: bool | None = None


class ResetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Give a group everything that is on its topics, or some of them, from the beginning."""

    group: str
    topics: tuple[str, ...] = ()
    again: bool | None = None


class ForgetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Strike a group off its topics, or some of them: they are not kept for it any longer."""

    group: str
    topics: tuple[str, ...] = ()


class TrimTopics(msgspec.Struct, frozen=True, kw_only=True):
    """Trim topics as events.yaml says; all when none is named."""

    topics: tuple[str, ...] = ()


class TrimmedTopic(msgspec.Struct, frozen=True):
    """What was cut from a topic: for its age, for its size, although unread; what is left."""

    topic: str
    aged: int
    sized: int
    evicted: int
    length: int


async def _preview_seek(backbone: Backbone, wanted: SeekGroup) -> Preview:
    moves = await seeking.plan(backbone, wanted.group, wanted.topics, wanted.to)
    again, left_out = sum(move.again for move in moves), sum(move.left_out for move in moves)
    summary = f"{wanted.group} would see {again} events again and leave out {left_out} it was never given."
    return Preview(summary, again + left_out, [msgspec.to_builtins(move) for move in moves])


async def _seek(backbone: Backbone, wanted: SeekGroup) -> list[Move]:
    return await seeking.seek(backbone, wanted.group, wanted.topics, wanted.to, again=wanted.again)


def _from_the_beginning(wanted: ResetGroup) -> SeekGroup:
    return SeekGroup(group=wanted.group, topics=wanted.topics, to="beginning", again=wanted.again)


async def _preview_reset(backbone: Backbone, wanted: ResetGroup) -> Preview:
    return await _preview_seek(backbone, _from_the_beginning(wanted))


async def _reset(backbone: Backbone, wanted: ResetGroup) -> list[Move]:
    return await _seek(backbone, _from_the_beginning(wanted))


async def _preview_forget(backbone: Backbone, wanted: ForgetGroup) -> Preview:
    moves = await seeking.plan(backbone, wanted.group, wanted.topics, "end")
    left_out = sum(move.left_out for move in moves)
    summary = (
        f"{wanted.group} would be struck off {len(moves)} topics, with {left_out} events it was never given."
    )
    return Preview(summary, left_out, [msgspec.to_builtins(move) for move in moves])


async def _forget(backbone: Backbone, wanted: ForgetGroup) -> list[str]:
    groups = await inspect.list_groups(backbone.broker)
    alive = sum(one.alive for one in groups if one.group == wanted.group)
    if alive:
        raise Conflict(
            f"{alive} consumers of {wanted.group} live; they would make the group again.",
            remedy="Stop the service that reads for it, then forget the group.",
        )
    moves = await seeking.plan(backbone, wanted.group, wanted.topics, "end")
    for move in moves:
        await backbone.broker.call("XGROUP", "DESTROY", move.topic, wanted.group)
    return [move.topic for move in moves]


async def _trimming(backbone: Backbone, wanted: TrimTopics, *, act: bool) -> list[TrimmedTopic]:
    config, now = backbone.file.current, SYSTEM.now().timestamp()
    found = []
    for topic in sorted(wanted.topics) or await topics(backbone.broker):
        done = await trimmed(backbone.broker, topic, config.policy(topic), now, act=act)
        found.append(TrimmedTopic(topic, done.aged, done.sized, done.evicted, done.length))
    return found


async def _preview_trim(backbone: Backbone, wanted: TrimTopics) -> Preview:
    found = await _trimming(backbone, wanted, act=False)
    total = sum(one.aged + one.sized + one.evicted for one in found)
    summary = f"Would be trimmed: {total} entries (counted up to 10,000 for each topic and cause)."
    return Preview(summary, total, [msgspec.to_builtins(one) for one in found])


async def _trim(backbone: Backbone, wanted: TrimTopics) -> list[TrimmedTopic]:
    return await _trimming(backbone, wanted, act=True)


SEEK: Action[Backbone, SeekGroup, Any] = Action(
    "consumer.seek", ROLE, "Move a group's position.", SeekGroup, _preview_seek, _seek, dangerous=True
)
RESET: Action[Backbone, ResetGroup, Any] = Action(
    "consumer.reset",
    ROLE,
    "Give a group everything again.",
    ResetGroup,
    _preview_reset,
    _reset,
    dangerous=True,
)
FORGET: Action[Backbone, ForgetGroup, Any] = Action(
    "consumer.forget",
    ROLE,
    "Strike a group off its topics.",
    ForgetGroup,
    _preview_forget,
    _forget,
    dangerous=True,
)
TRIM: Action[Backbone, TrimTopics, Any] = Action(
    "topic.trim", ROLE, "Trim topics as events.yaml says.", TrimTopics, _preview_trim, _trim, dangerous=True
)
