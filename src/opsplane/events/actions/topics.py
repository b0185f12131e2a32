"""What operators do to topics."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.action import Action, Preview
from opsplane.events import rebuild as rebuilding
from opsplane.events.backbone import ROLE, Backbone


class RebuildTopics(msgspec.Struct, frozen=True, kw_only=True):
    """Fill lost streams again: all of them, or some topics; `yes` when groups may handle events again."""

    topics: tuple[str, ...] = ()
    yes: bool = False


async def _preview_rebuild(backbone: Backbone, wanted: RebuildTopics) -> Preview:
    planned = await rebuilding.plan(backbone, wanted.topics)
    count = sum(planned.missing.values())
    return Preview(
        f"Would be put back: {count} events on {len(planned.missing)} topics.",
        count,
        [msgspec.to_builtins(one) for one in planned.affected],
    )


async def _rebuild(backbone: Backbone, wanted: RebuildTopics) -> Any:
    return await rebuilding.rebuild(backbone, wanted.topics, yes=wanted.yes)


REBUILD = Action(
    "topic.rebuild",
    ROLE,
    "Fill lost streams again.",
    RebuildTopics,
    _preview_rebuild,
    _rebuild,
    dangerous=True,
)
