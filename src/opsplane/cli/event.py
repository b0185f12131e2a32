from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.given import given_bytes
from opsplane.cli.output import emit
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.events import Schemas
    from opsplane.events.direct import DirectPublisher
    from opsplane.events.personal import Personal

app = cyclopts.App(name="event", help="Publish events, show them, tell what became of them.")

DEFAULTS = Common()


@app.command
async def publish(
    topic: Annotated[str, Parameter(help="The topic, for example catalog.product.created.")],
    *,
    data: Annotated[str, Parameter(help="JSON, @FILE, or - for standard input.", allow_leading_hyphen=True)],
    subject: Annotated[
        str | None, Parameter(help="What the event is about; events of one subject keep order.")
    ] = None,
    force: Annotated[
        bool, Parameter(negative="", help="Put it on the stream unvalidated, even if it is no JSON.")
    ] = False,
    deliver_at: Annotated[
        datetime | None, Parameter(help="When to put it on the topic, for example 2026-05-01T12:00:00Z.")
    ] = None,
    delay: Annotated[str | None, Parameter(help="In how long to put it on the topic: 30s, 5m, 2h.")] = None,
    common: Common = DEFAULTS,
) -> None:
    """Validate an event and put it on its topic, now or later; lists every violation when it does not fit."""
    from opsplane.events.schemas import store
    from opsplane.service import collect_services, event_schemas

    body, due = _body(data, force), _due(deliver_at, delay)
    async with session(common) as opened:
        schemas = event_schemas(collect_services().values())
        schemas.adopt(await store.usable(await opened.pool("operations")))
        direct = await _publisher(opened, schemas)
        source = f"operator:{opened.actor.sub}"
        done = await direct.publish(topic, body, source=source, subject=subject, force=force, deliver_at=due)
        emit(done, common.output)


@app.command
async def show(
    event: Annotated[str, Parameter(help="The event's id.")], *, common: Common = DEFAULTS
) -> None:
    """The event as it was published, personal data masked, and where copies of it stand."""
    from opsplane.cli.output import note
    from opsplane.cli.story import witnesses
    from opsplane.events.story import find

    async with session(common) as opened:
        found = await find(await witnesses(opened), event, declared())
    if common.output != "table":
        emit(found, common.output)
        return
    emit(found.event if isinstance(found.event, dict) else {"data": found.event})
    note(f"on {', '.join(found.places)}")
    for missing in found.missing:
        note(f"⚠ not told by {missing}")


@app.command
async def trace(
    event: Annotated[str, Parameter(help="The event's id.")], *, common: Common = DEFAULTS
) -> None:
    """An event's whole story: written, published, read by each group, attempts, dead letters, tasks, what it caused."""
    from opsplane.cli.story import show as show_story
    from opsplane.cli.story import witnesses
    from opsplane.events.story import tell

    async with session(common) as opened:
        story = await tell(await witnesses(opened), event, declared())
    show_story(story, common.output)


def declared() -> Personal:
    """What masks personal data by the schemas the services declare."""
    from opsplane.events.personal import Personal
    from opsplane.service import collect_services, event_schemas

    return Personal(event_schemas(collect_services().values()))


async def _publisher(opened: Session, schemas: Schemas) -> DirectPublisher:
    """Publishes with the durability events.yaml asks for."""
    from opsplane.events import Outbox
    from opsplane.events.configuration import EventsFile
    from opsplane.events.direct import DirectPublisher

    return DirectPublisher(
        await opened.broker("admin"),
        schemas,
        file=EventsFile(opened.settings.events_file),
        pool=await opened.pool("operations"),
        outbox=Outbox(schemas, "operations"),
    )


def _due(deliver_at: datetime | None, delay: str | None) -> datetime | None:
    from opsplane.errors import InvalidInput
    from opsplane.resilience import seconds

    if deliver_at is not None and delay is not None:
        raise InvalidInput("Both --deliver-at and --delay were given.", remedy="Give one of them.")
    if delay is not None:
        return datetime.now(UTC) + timedelta(seconds=seconds(delay))
    return deliver_at.astimezone() if deliver_at is not None and deliver_at.tzinfo is None else deliver_at


def _body(data: str, force: bool) -> Any:
    import msgspec

    from opsplane.errors import InvalidInput
    from opsplane.events.envelope import UNREADABLE

    text = given_bytes(data)
    try:
        return msgspec.json.decode(text)
    except UNREADABLE as error:
        if force:
            return text
        raise InvalidInput(f"The data is not JSON: {error}.", remedy="Give JSON, @FILE or -.") from error
