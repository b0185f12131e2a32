"""The story of one event on the command line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from opsplane.cli.output import Output, emit, note, printable

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.database import Pool
    from opsplane.events.story import Story, Witnesses


async def witnesses(opened: Session) -> Witnesses:
    """The broker and every database of the installation; those that cannot be reached are named."""
    from opsplane.errors import Unavailable
    from opsplane.events.story import Witnesses
    from opsplane.service import collect_services
    from opsplane.tasks.story import TaskStory

    async def reach(name: str) -> Pool | str:
        try:
            return await opened.pool(name)
        except Unavailable as error:
            return error.message

    names = sorted(opened.settings.databases)
    found = dict(zip(names, await asyncio.gather(*map(reach, names)), strict=True))
    away = {name: one for name, one in found.items() if isinstance(one, str)}
    databases = {name: one for name, one in found.items() if not isinstance(one, str)}
    operations = databases.get("operations")
    groups = {group for service in collect_services().values() for group in service.groups()}
    tasks = TaskStory(operations) if operations else None
    return Witnesses(await opened.broker("admin"), databases, operations, groups, tasks, away)


def show(story: Story, output: Output) -> None:
    """The story as a timeline that can be read, or as data."""
    if output != "table":
        emit(story, output)
        return
    note(f"{story.id} from {story.source} on {story.topic}, trace {story.trace}")
    emit([_line(moment.at, moment.what, moment.where, moment.detail) for moment in story.moments])
    if story.groups:
        print()
        emit(story.groups, columns=("group", "topic", "state", "consumer", "until", "done_at", "dead_letter"))
    for missing in story.missing:
        note(f"⚠ not told by {missing}")


def _line(at: Any, what: str, where: str, detail: dict[str, Any]) -> dict[str, Any]:
    told = "  ".join(f"{name}={printable(value)}" for name, value in detail.items() if value is not None)
    return {"at": f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3], "what": what, "where": where, "detail": told}
