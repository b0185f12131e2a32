from __future__ import annotations

from opsplane.tasks import TaskContext, task
from opsplane.tasks.story import TaskStory

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_tasks_of_a_trace_and_of_an_idempotency_key_are_told_from_creation_to_end(engine):
    @task("shop.work")
    async def work(ctx: TaskContext, params: dict) -> None:
        pass

    engine.declare(work)
    traced = await engine.create("shop.work", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    keyed = await engine.create("shop.work", idempotency_key="event-1", requested_by="sam")
    await engine.create("shop.work")
    tell = TaskStory(engine.pool)
    assert [(one.what, one.where) for one in await tell(TRACE, "event-1")] == [
        ("task created", f"task {traced.id}"),
        ("task created", f"task {keyed.id}"),
    ]
    async with engine.worker():
        await engine.finished(traced.id)
    told = await tell(TRACE, "no such event")
    assert [one.what for one in told] == ["task created", "task started", "task completed"]
    assert await tell("0" * 31 + "1", "x") == []
