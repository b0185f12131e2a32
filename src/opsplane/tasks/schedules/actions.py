"""What an operator does with schedules; the API and the command line are made from these."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opsplane.action import Action, Preview
from opsplane.tasks.actions import STAFF
from opsplane.tasks.schedules.book import ScheduleBook
from opsplane.tasks.schedules.schedule import NewSchedule, Schedule
from opsplane.tasks.schedules.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class ScheduleHand:
    """What an action on schedules works with; `actor` is noted with the schedule."""

    book: ScheduleBook
    scheduler: Scheduler
    actor: str


class ScheduleTarget(msgspec.Struct, frozen=True):
    """The schedule meant, and why."""

    name: str
    reason: str | None = None


async def _preview_put(hand: ScheduleHand, new: NewSchedule) -> Preview:
    there = [one for one in await hand.book.all() if one.name == new.name]
    word = "Change" if there else "Make"
    return Preview(f"{word} the schedule {new.name}: {new.task_type} at {new.cron} {new.zone}.", len(there))


async def _preview_run(hand: ScheduleHand, target: ScheduleTarget) -> Preview:
    return await _preview(hand, target, "Create now the task of")


async def _preview_pause(hand: ScheduleHand, target: ScheduleTarget) -> Preview:
    return await _preview(hand, target, "Pause")


async def _preview_resume(hand: ScheduleHand, target: ScheduleTarget) -> Preview:
    return await _preview(hand, target, "Resume")


async def _preview_delete(hand: ScheduleHand, target: ScheduleTarget) -> Preview:
    return await _preview(hand, target, "Forget")


async def _preview(hand: ScheduleHand, target: ScheduleTarget, words: str) -> Preview:
    schedule = await hand.book.get(target.name)
    at = f"; its next time is {schedule.next_at:%Y-%m-%d %H:%M:%S} UTC" if schedule.next_at else ""
    return Preview(f"{words} the schedule {schedule.name}{at}.", 1)


async def _put(hand: ScheduleHand, new: NewSchedule) -> Schedule:
    return await hand.book.put(new, hand.actor)


async def _run(hand: ScheduleHand, target: ScheduleTarget) -> Schedule:
    return await hand.scheduler.run_now(target.name, hand.actor)


async def _pause(hand: ScheduleHand, target: ScheduleTarget) -> Schedule:
    return await hand.book.pause(target.name, hand.actor, target.reason)


async def _resume(hand: ScheduleHand, target: ScheduleTarget) -> Schedule:
    return await hand.book.resume(target.name)


async def _delete(hand: ScheduleHand, target: ScheduleTarget) -> None:
    await hand.book.delete(target.name)


put = Action("schedule.put", STAFF, "Make or change a schedule.", NewSchedule, _preview_put, _put)
run = Action("schedule.run", STAFF, "Create a schedule's task now.", ScheduleTarget, _preview_run, _run)
pause = Action("schedule.pause", STAFF, "Pause a schedule.", ScheduleTarget, _preview_pause, _pause)
resume = Action("schedule.resume", STAFF, "Resume a schedule.", ScheduleTarget, _preview_resume, _resume)
delete = Action("schedule.delete", STAFF, "Forget a schedule.", ScheduleTarget, _preview_delete, _delete)
