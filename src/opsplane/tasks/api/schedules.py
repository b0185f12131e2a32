"""`/api/v1/operations/schedules`, for staff. (Annotations are read at run time.)"""

from typing import Any

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from opsplane.action import Action
from opsplane.tasks.actions import STAFF
from opsplane.tasks.api.desk import TaskDesk
from opsplane.tasks.api.parameters import Desk, Name, Reason
from opsplane.tasks.api.requests import PutSchedule
from opsplane.tasks.api.staff_views import ScheduleDetail, ScheduleRunView, ScheduleView
from opsplane.tasks.schedules import Schedule, actions
from opsplane.tasks.schedules.book import upcoming
from opsplane.web import Caller, Identity, requires

GUARDS = [requires(STAFF)]


@get("/schedules", operation_id="listSchedules", guards=GUARDS)
async def list_schedules(desk: Desk) -> dict[str, list[ScheduleView]]:
    """Every schedule, by name."""
    return {"data": [_view(schedule) for schedule in await desk.schedules.all()]}


@get("/schedules/{name:str}", operation_id="getSchedule", guards=GUARDS)
async def get_schedule(desk: Desk, name: Name) -> ScheduleDetail:
    """A schedule, its next times and what was decided at its last ones."""
    schedule = await desk.schedules.get(name)
    runs = msgspec.convert(await desk.schedules.runs(name), list[ScheduleRunView], from_attributes=True)
    facts = msgspec.structs.asdict(_view(schedule))
    return ScheduleDetail(**facts, upcoming=upcoming(schedule, desk.clock.now()), runs=runs)


@put("/schedules/{name:str}", operation_id="putSchedule", guards=GUARDS)
async def put_schedule(desk: Desk, identity: Caller, name: Name, data: JSONBody[PutSchedule]) -> ScheduleView:
    """Make a schedule or change it; its tasks are requested by the caller."""
    new = data.new_schedule(name, identity)
    return _view(await _act(desk, actions.put, new, identity, None))


@post("/schedules/{name:str}/run", operation_id="runSchedule", status_code=200, guards=GUARDS)
async def run_schedule(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> ScheduleView:
    """Create the schedule's task now, whatever its policies say."""
    return _view(await _act(desk, actions.run, actions.ScheduleTarget(name, reason), identity, reason))


@post("/schedules/{name:str}/pause", operation_id="pauseSchedule", status_code=200, guards=GUARDS)
async def pause_schedule(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> ScheduleView:
    """Create nothing until the schedule is resumed."""
    return _view(await _act(desk, actions.pause, actions.ScheduleTarget(name, reason), identity, reason))


@post("/schedules/{name:str}/resume", operation_id="resumeSchedule", status_code=200, guards=GUARDS)
async def resume_schedule(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> ScheduleView:
    """Go on from the schedule's next time."""
    return _view(await _act(desk, actions.resume, actions.ScheduleTarget(name, reason), identity, reason))


@delete("/schedules/{name:str}", operation_id="deleteSchedule", guards=GUARDS)
async def delete_schedule(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> None:
    """Forget a schedule; its tasks stay."""
    await _act(desk, actions.delete, actions.ScheduleTarget(name, reason), identity, reason)


async def _act(
    desk: TaskDesk,
    action: Action[actions.ScheduleHand, Any, Any],
    target: Any,
    identity: Identity,
    reason: str | None,
) -> Any:
    hand = actions.ScheduleHand(desk.schedules, desk.scheduler, identity.sub)
    return await desk.perform(action, hand, target, identity, reason)


def _view(schedule: Schedule) -> ScheduleView:
    return msgspec.convert(schedule, ScheduleView, from_attributes=True)
