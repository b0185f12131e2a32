"""The HTTP API of events: publish, topics, consumers, dead letters. (Annotations are read at run time.)"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from opsplane.action import Action, perform
from opsplane.database import append_audit
from opsplane.errors import NotFound
from opsplane.events import actions, deadletters, direct, inspect
from opsplane.events.backbone import Backbone
from opsplane.events.deadletters import Selection
from opsplane.events.schemas import Schemas
from opsplane.web import Caller, Identity, Page, paged, requires

STAFF = ("operations_staff",)
PUBLISHERS = ("operations_staff", "service")
State = Literal["waiting", "replaying", "resolved", "discarded"]


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which waiting dead letters to replay, at most how many a second, and why; `dryRun` only counts them."""

    selection: Selection
    rate: float | None = None
    reason: str | None = None
    dry_run: bool = msgspec.field(name="dryRun", default=False)


def handlers(
    backbone: Backbone, schemas: Schemas, groups: Mapping[str, Sequence[str]]
) -> Sequence[ControllerRouterHandler]:
    """The routes of the `events` role; `groups` are the declared consumer groups with their topics."""
    queue = [*_queue(backbone), *_replays(backbone)]
    return [
        Router("/api/v1/admin/dlq", route_handlers=queue, guards=[requires(*STAFF)], tags=["dead letters"]),
        _events(backbone, schemas, groups),
    ]


def _queue(backbone: Backbone) -> list[ControllerRouterHandler]:
    pool = backbone.pool

    @get("/stats", operation_id="deadLetterStats")
    async def stats() -> dict[str, Any]:
        """For each topic how many dead letters are open."""
        return {"data": await deadletters.stats(pool)}

    @get("/groups", operation_id="deadLetterGroups")
    async def groups() -> dict[str, Any]:
        """Open dead letters by what caused them."""
        return {"data": await deadletters.groups(pool)}

    @get("/failed-events", operation_id="listDeadLetters")
    async def failed_events(
        topic: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        reason: FromQuery[str | None] = None,
        fingerprint: FromQuery[str | None] = None,
        text: FromQuery[str | None] = None,
        event_id: FromQuery[str | None] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
        page: FromQuery[int] = 1,
        page_size: Annotated[int, QueryParameter(name="pageSize")] = 50,
    ) -> dict[str, Any]:
        """One page of dead letters, the latest failure first; open ones unless `state` says otherwise."""
        wanted = Page(page, page_size)
        selection = Selection(
            topic=topic, group=group, reason=reason, fingerprint=fingerprint, text=text, event_id=event_id
        )
        states = (in_state,) if in_state else deadletters.OPEN
        rows, total = await deadletters.page(
            pool, selection, states=states, limit=wanted.size, offset=wanted.offset
        )
        return paged([_failed_event(row) for row in rows], total, wanted)

    @get("/{letter:int}", operation_id="getDeadLetter")
    async def show(letter: FromPath[int]) -> dict[str, Any]:
        """Everything about one dead letter."""
        return {"data": await deadletters.show(pool, letter)}

    @delete("/{letter:int}", status_code=200, operation_id="discardDeadLetter")
    async def discard(letter: FromPath[int], reason: FromQuery[str], identity: Caller) -> dict[str, Any]:
        """Give up one dead letter, for a reason."""
        wanted = actions.DiscardLetters(selection=Selection(ids=(letter,)), because=reason)
        return {"data": {"discarded": await _perform(backbone, actions.DISCARD, wanted, identity, reason)}}

    return [stats, groups, failed_events, show, discard]


def _replays(backbone: Backbone) -> list[ControllerRouterHandler]:
    @post("/retry", status_code=202, operation_id="retryDeadLetter")
    async def retry(
        event_id: FromQuery[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Replay the dead letters of one event, named by its own id or by the dead letter's."""
        selection = await _named(backbone, event_id)
        done = await _perform(
            backbone, actions.RETRY, actions.RetryLetters(selection=selection), identity, reason
        )
        return {"data": done}

    @post("/replays", status_code=202, operation_id="startReplay")
    async def start_replay(data: JSONBody[ReplayRequest], identity: Caller) -> dict[str, Any]:
        """Replay all waiting dead letters selected, or say what would be replayed."""
        wanted = actions.RetryLetters(selection=data.selection, rate=data.rate)
        if data.dry_run:
            preview = await actions.RETRY.preview(backbone, wanted)
            return {"data": {"summary": preview.summary, "count": preview.count, "sample": preview.sample}}
        return {"data": await _perform(backbone, actions.RETRY, wanted, identity, data.reason)}

    @get("/replays", operation_id="listReplays")
    async def list_replays() -> dict[str, Any]:
        """The latest replays."""
        return {"data": await deadletters.replays(backbone.pool)}

    @get("/replays/{number:int}", operation_id="getReplay")
    async def get_replay(number: FromPath[int]) -> dict[str, Any]:
        """A replay and how far it is."""
        return {"data": await deadletters.replay(backbone.pool, number)}

    @delete("/replays/{number:int}", status_code=200, operation_id="cancelReplay")
    async def cancel_replay(
        number: FromPath[int], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Stop a replay; what was not sent waits again."""
        wanted = actions.CancelReplay(replay=number)
        return {"data": await _perform(backbone, actions.CANCEL, wanted, identity, reason)}

    return [retry, start_replay, list_replays, get_replay, cancel_replay]


def _events(backbone: Backbone, schemas: Schemas, declared: Mapping[str, Sequence[str]]) -> Router:
    @get("/topics", guards=[requires(*STAFF)], operation_id="listTopics")
    async def list_topics() -> dict[str, Any]:
        """Every topic with its length and groups."""
        return {"data": await inspect.list_topics(backbone.broker)}

    @get("/consumers", guards=[requires(*STAFF)], operation_id="listConsumers")
    async def list_consumers() -> dict[str, Any]:
        """Every consumer group with its consumers."""
        return {"data": await inspect.list_groups(backbone.broker, backbone.pool, declared)}

    @post(
        "/consumers/{group:str}/pause",
        status_code=200,
        guards=[requires(*STAFF)],
        operation_id="pauseConsumer",
    )
    async def pause(
        group: FromPath[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Stop a group from reading; the answer lists all paused groups."""
        wanted = actions.GroupName(group=group, because=reason)
        return {"data": {"paused": await _perform(backbone, actions.PAUSE, wanted, identity, reason)}}

    @post(
        "/consumers/{group:str}/resume",
        status_code=200,
        guards=[requires(*STAFF)],
        operation_id="resumeConsumer",
    )
    async def resume(
        group: FromPath[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Let a paused group read; the answer lists the groups that are still paused."""
        wanted = actions.GroupName(group=group, because=reason)
        return {"data": {"paused": await _perform(backbone, actions.RESUME, wanted, identity, reason)}}

    @post("/{topic:str}", status_code=202, guards=[requires(*PUBLISHERS)], operation_id="publishEvent")
    async def publish(
        topic: FromPath[str], data: JSONBody[Any], identity: Caller, subject: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Publish a payload or a CloudEvents envelope; 400 lists every violation of the schema."""
        done = await direct.publish(
            backbone.broker, schemas, topic, data, source=f"user:{identity.sub}", subject=subject
        )
        return {"data": done}

    return Router(
        "/api/v1/events",
        route_handlers=[list_topics, list_consumers, pause, resume, publish],
        tags=["events"],
    )


async def _perform(
    backbone: Backbone,
    action: Action[Backbone, Any, Any],
    wanted: Any,
    identity: Identity,
    reason: str | None,
) -> Any:
    acting = replace(backbone, actor=identity.sub)
    return await perform(
        action, acting, wanted, actor=identity.actor, audit=append_audit(backbone.pool), reason=reason
    )


async def _named(backbone: Backbone, name: str) -> Selection:
    """The waiting dead letters of an event id, else the dead letter of that number."""
    selection = Selection(event_id=name)
    _, total = await deadletters.page(backbone.pool, selection, states=("waiting",), limit=1)
    if total:
        return selection
    if not name.isdecimal() or len(name) > 18:
        raise NotFound(f"No dead letter of the event {name} waits.")
    return Selection(ids=(int(name),))


def _failed_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "topic": row["topic"],
        "group": row["consumer_group"],
        "eventId": row["event_id"],
        "eventType": row["event_type"],
        "subject": row["subject"],
        "reason": row["reason"],
        "error": row["error"],
        "errorMessage": row["message"],
        "fingerprint": row["fingerprint"],
        "retryCount": max(0, row["attempts"] - 1),
        "failures": row["failures"],
        "firstFailedAt": row["first_failed_at"],
        "lastFailedAt": row["last_failed_at"],
        "state": row["state"],
        "replayId": row["replay_id"],
    }
