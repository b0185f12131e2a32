from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

app = cyclopts.App(name="topic", help="List topics and show what is on them.")

DEFAULTS = Common()


@app.command(name="ls")
async def list_topics(*, common: Common = DEFAULTS) -> None:
    """Every topic: entries, the largest lag of its groups, dead letters, groups."""
    from opsplane.events.inspect import list_topics as look

    async with session(common) as opened:
        found = await look(await opened.broker("admin"))
    rows = [
        {
            "topic": one.topic, "length": one.length, "lag": one.lag, "dead_letters": one.dead_letters,
            "last_at": one.last_at, "groups": [group.group for group in one.groups],
        }
        for one in found
    ]  # fmt: skip
    emit(rows, common.output)


@app.command
async def show(
    topic: Annotated[str, Parameter(help="The topic.")],
    *,
    entries: Annotated[int, Parameter(help="How many of the last events to show.")] = 5,
    common: Common = DEFAULTS,
) -> None:
    """One topic: what events.yaml wants of it, whether it is full, its groups with position and lag, its last events."""
    from opsplane.cli.event import declared
    from opsplane.errors import NotFound
    from opsplane.events.configuration import EventsFile
    from opsplane.events.inspect import list_topics as look
    from opsplane.events.inspect import tail
    from opsplane.events.standing import standing

    async with session(common) as opened:
        broker = await opened.broker("admin")
        [found] = await look(broker, [topic])
        if found.last_at is None and not found.groups:
            raise NotFound(f"There is no topic {topic}.", remedy="See: opsplane topic ls")
        events = await tail(broker, topic, entries, personal=declared())
        stands = await standing(broker, topic, EventsFile(opened.settings.events_file).current.policy(topic))
    if common.output != "table":
        emit({"topic": found, "standing": stands, "events": events}, common.output)
        return
    note(f"{topic}: {found.length} entries, {found.dead_letters} dead letters")
    emit(stands)
    emit(found.groups)
    emit(events)


@app.command
async def rebuild(
    topics: Annotated[tuple[str, ...], Parameter(help="Topics; all when none is named.")] = (),
    /,
    *,
    yes: Annotated[
        bool, Parameter(negative="", help="Groups without an inbox may handle events again.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be put back.")] = False,
    reason: Annotated[str | None, Parameter(help="Why; goes to the audit log.")] = None,
    common: Common = DEFAULTS,
) -> None:
    """Fill streams the broker has lost again from the outboxes, from where the groups had come."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import REBUILD, RebuildTopics

    wanted = RebuildTopics(topics=topics, yes=yes)
    async with session(common) as opened:
        context = await backbone(opened, outboxes=True)
        if dry_run:
            emit(await foresee(REBUILD, context, wanted), common.output)
            return
        done = await act(opened, REBUILD, context, wanted, reason)
    note(f"✓ put back {sum(done.refilled.values())} events")
    rows = [{"topic": name, "events": count} for name, count in sorted(done.refilled.items())]
    emit(rows if rows or common.output != "table" else "Nothing was missing.", common.output)


@app.command
def lint(
    *,
    file: Annotated[
        Path | None, Parameter(help="An events.yaml to look at instead of the installation's.")
    ] = None,
    common: Common = DEFAULTS,
) -> None:
    """Check events.yaml (exit code 1 with all errors at once), then say what holds for each of its patterns."""
    from opsplane import config
    from opsplane.errors import NotFound
    from opsplane.events.configuration import parse

    path = file or config.load(config.state_directory(common.state)).events_file
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", remedy="Name another one with --file.")
    found = parse(path.read_text(encoding="utf-8"), str(path))
    note("✓ No errors.")
    emit([*found.topics, found.policy("")], common.output)


@app.command
async def trim(
    topics: Annotated[tuple[str, ...], Parameter(help="Topics; all when none is named.")] = (),
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be cut.")] = False,
    reason: Annotated[str | None, Parameter(help="Why; goes to the audit log.")] = None,
    common: Common = DEFAULTS,
) -> None:
    """Trim topics as events.yaml says, now; never what a group has not read (unless `on_full: evict`)."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import TRIM, TrimTopics

    wanted = TrimTopics(topics=topics)
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            emit(await foresee(TRIM, context, wanted), common.output)
            return
        emit(await act(opened, TRIM, context, wanted, reason), common.output)


@app.command(name="tail")
async def show_tail(
    topic: Annotated[str, Parameter(help="The topic.")],
    *,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative="", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    entries: Annotated[
        int, Parameter(name=["--entries", "-n"], help="How many of the last to begin with.")
    ] = 10,
    common: Common = DEFAULTS,
) -> None:
    """The last events of a topic, a line of JSON each, the latest last; no group notices."""
    import msgspec

    from opsplane.cli.event import declared
    from opsplane.events.inspect import following

    async with session(common) as opened:
        broker, personal = await opened.broker("admin"), declared()
        async for entry in following(broker, topic, entries, personal=personal, follow=follow):
            print(msgspec.json.encode(entry, enc_hook=str).decode(), flush=True)
