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
    """One topic: its groups with position, lag and pending entries, and its last events."""
    from opsplane.errors import NotFound
    from opsplane.events.inspect import list_topics as look
    from opsplane.events.inspect import tail

    async with session(common) as opened:
        broker = await opened.broker("admin")
        [found] = await look(broker, [topic])
        if found.last_at is None and not found.groups:
            raise NotFound(f"There is no topic {topic}.", remedy="See: opsplane topic ls")
        events = await tail(broker, topic, entries)
    if common.output != "table":
        emit({"topic": found, "events": events}, common.output)
        return
    note(f"{topic}: {found.length} entries, {found.dead_letters} dead letters")
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
