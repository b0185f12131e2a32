"""What operators do to consumer groups."""

from __future__ import annotations

import msgspec

from opsplane.action import Action, Preview
from opsplane.database import sql
from opsplane.events import pauses
from opsplane.events.backbone import ROLE, ROOM, Backbone


class GroupName(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer group, and why it is paused or resumed."""

    group: str
    because: str | None = None


async def _preview_group(_: Backbone, wanted: GroupName) -> Preview:
    return Preview(f"Would change whether {wanted.group} reads.", 1)


async def _pause(backbone: Backbone, wanted: GroupName) -> list[str]:
    facts = [wanted.group, backbone.actor, wanted.because]
    await backbone.pool.execute(sql(ROOM, "insert_pause"), facts)
    return sorted(await pauses.project(backbone.pool, backbone.broker))


async def _resume(backbone: Backbone, wanted: GroupName) -> list[str]:
    await backbone.pool.execute(sql(ROOM, "delete_pause"), [wanted.group])
    return sorted(await pauses.project(backbone.pool, backbone.broker))


PAUSE = Action("consumer.pause", ROLE, "Stop a group from reading.", GroupName, _preview_group, _pause)
RESUME = Action("consumer.resume", ROLE, "Let a paused group read.", GroupName, _preview_group, _resume)
