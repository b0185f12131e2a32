"""The HTTP API of events: publish, topics, consumers, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litestar import Router
from litestar.types import ControllerRouterHandler

from opsplane.events.api.acting import STAFF
from opsplane.events.api.breakers import breaker_handlers
from opsplane.events.api.consumers import consumer_handlers
from opsplane.events.api.dead_letters import dead_letter_handlers
from opsplane.events.api.own_dead_letters import own_dead_letter_router
from opsplane.events.api.positions import position_handlers
from opsplane.events.api.publishing import publishing_handlers
from opsplane.events.api.replays import replay_handlers
from opsplane.events.api.schemas import schema_handlers
from opsplane.events.api.selecting import SELECTING
from opsplane.events.api.stories import story_handlers
from opsplane.events.api.topics import topic_handlers
from opsplane.events.api.transfer import transfer_handlers
from opsplane.events.backbone import Backbone
from opsplane.events.direct import DirectPublisher
from opsplane.events.story import TaskWitness, Witnesses
from opsplane.web import requires

__all__ = ["handlers", "own_dead_letter_router"]


def handlers(
    backbone: Backbone,
    publisher: DirectPublisher,
    groups: Mapping[str, Sequence[str]],
    tasks: TaskWitness | None = None,
) -> Sequence[ControllerRouterHandler]:
    """The routes of the `events` role; `groups` are the declared consumer groups with their topics."""
    staff = [requires(*STAFF)]
    queue = [*dead_letter_handlers(backbone), *replay_handlers(backbone), *transfer_handlers(backbone)]
    own = {} if backbone.pool in backbone.databases.values() else {"operations": backbone.pool}
    databases = {**backbone.databases, **own}
    witnesses = Witnesses(backbone.broker, databases, backbone.pool, groups, tasks)
    stories = story_handlers(witnesses, backbone.personal)
    looked_at = [
        *topic_handlers(backbone),
        *consumer_handlers(backbone, groups),
        *breaker_handlers(backbone),
        *position_handlers(backbone),
    ]
    return [
        Router(
            "/api/v1/admin/dlq",
            route_handlers=queue,
            guards=staff,
            dependencies=SELECTING,
            tags=["dead letters"],
        ),
        Router("/api/v1/events", route_handlers=looked_at, guards=staff, tags=["events"]),
        Router("/api/v1/events", route_handlers=[*publishing_handlers(publisher), *stories], tags=["events"]),
        Router("/api/v1/schemas", route_handlers=schema_handlers(backbone), guards=staff, tags=["schemas"]),
    ]
