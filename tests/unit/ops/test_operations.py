"""Checks of tasks: each is silent when all is well and finds the fault that was planted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from opsplane.ops import Role
from opsplane.ops.checks.callbacks import Callbacks
from opsplane.ops.checks.queues import Queues, Uploads
from opsplane.ops.checks.schedules import Schedules
from opsplane.ops.checks.tasks import FailedTasks, Partitions, StuckTasks
from opsplane.ops.checks.workers import Workers
from opsplane.tasks.lease import CLASS

WORKER = (
    "insert into worker (name, host, pid, task_types, slots{0}) values ('w', 'here', 7, '{{demo}}', 4{1})"
)
RUNNING = {"status": "1", "worker": "1", "claimed_at": "now()", "started_at": "now()", "updated_at": "now()"}


async def test_a_paused_queue(look) -> None:
    await look.sql("insert into queue (name) values ('catalog')")
    assert await look(Queues()) == []
    await look.sql(
        "update queue set paused = true, paused_by = 'alice', paused_at = now(), reason = 'a test' where name = 'catalog'"
    )
    finding = await look.one(Queues())
    assert (finding.severity, finding.evidence["reason"]) == ("warning", "a test")
    assert finding.repair == look.command("queue resume catalog")
    assert finding.since is not None


async def test_a_drained_queue(look) -> None:
    await look.task()
    await look.sql(
        "insert into queue (name, drained_by, drained_at, drain_reason) values ('default', 'alice', now(), 'a test')"
    )
    finding = await look.one(Queues())
    assert (finding.severity, finding.evidence["reason"]) == ("warning", "a test")
    assert "1 tasks are left" in finding.summary
    assert finding.repair == look.command("queue resume default")


async def test_tasks_that_wait_too_long(look) -> None:
    await look.task(run_at="now() - interval '4 minutes'")
    assert await look(Queues()) == []
    await look.task(run_at="now() - interval '6 minutes'")
    finding = await look.one(Queues())
    assert (finding.evidence["queue"], finding.evidence["pending"]) == ("default", 2)
    assert finding.evidence["oldestSeconds"] >= 360
    assert finding.repair == look.restart("worker")


async def test_no_worker(look) -> None:
    await look.sql(WORKER.format("", ""))
    assert await look(Workers()) == []
    await look.sql("update worker set gone_at = now(), gone_reason = 'its lease is free'")
    finding = await look.one(Workers())
    assert (finding.severity, finding.evidence) == ("critical", {"lately": {"w": "its lease is free"}})
    assert finding.repair == look.restart("worker")


async def test_a_silent_worker_hangs_or_is_gone(look) -> None:
    await look.sql(WORKER.format("", ""))
    await look.sql(WORKER.format(", beat_at", ", now() - interval '90 s'"))
    async with look.pool.connection() as session:
        await session.execute("select pg_advisory_lock(%s, 2)", [CLASS])
        finding = await look.one(Workers())
        await session.execute("select pg_advisory_unlock(%s, 2)", [CLASS])
    assert finding.evidence == {"worker": "w", "pid": 7, "running": 0, "leaseHeld": True}
    assert finding.repair == look.restart("worker")
    finding = await look.one(Workers())
    assert finding.evidence["leaseHeld"] is False
    assert finding.repair == look.restart("operations")
    started = Role("operations", "role", "healthy", datetime.now(UTC))  # it looks within its first seconds
    assert await look(Workers(), roles=[started]) == []
    started = Role("operations", "role", "healthy", datetime.now(UTC) - timedelta(minutes=1))
    assert len(await look(Workers(), roles=[started])) == 1


async def test_a_type_no_worker_knows(look) -> None:
    await look.sql(WORKER.format("", ""))
    assert await look(Workers(), task_types=["demo"]) == []
    finding = await look.one(Workers(), task_types=["demo", "order.export"])
    assert finding.evidence == {"types": ["order.export"], "workers": 1}


REMOTE = {
    "task_types": ["demo", "invoice.render", "label.print"],
    "remote_types": ["invoice.render", "label.print"],
}


async def test_tasks_of_a_remote_type_no_worker_claims(look) -> None:
    await look.sql(WORKER.format("", ""))
    await look.task(task_type="'invoice.render'", run_at="now() + interval '1 minute'")
    assert await look(Workers(), **REMOTE) == []  # nobody needs one yet
    await look.task(task_type="'invoice.render'", run_at="now() - interval '1 minute'")
    await look.task(task_type="'invoice.render'", status="7")
    finding = await look.one(Workers(), **REMOTE)
    assert (finding.severity, finding.repair) == ("critical", "opsplane worker ls")
    assert finding.evidence == {"types": ["invoice.render"], "waiting": 2}
    assert finding.since < datetime.now(UTC) - timedelta(seconds=59)


async def test_a_remote_worker_need_not_call_before_its_lease_ends(look) -> None:
    await look.sql(WORKER.format("", ""))
    await look.task(task_type="'invoice.render'")
    await look.sql(
        "insert into worker (name, host, pid, task_types, slots, beat_at, owner, lease_seconds, lease_until) values"
        " ('r', '', 0, '{invoice.render}', 1, now() - interval '4 minutes', 'o', 300, now() + interval '1 minute')"
    )
    assert await look(Workers(), **REMOTE) == []
    await look.sql("update worker set lease_until = now() - interval '2 minutes' where name = 'r'")
    silent, missing = await look(Workers(), **REMOTE)
    assert (silent.evidence["worker"], silent.repair) == ("r", look.restart("operations"))
    assert missing.evidence == {"types": ["invoice.render"], "waiting": 1}


@pytest.mark.parametrize(
    ("fault", "kind", "severity", "role"),
    [
        (
            {"worker": "99", "claimed_at": "now() - interval '2 minutes'"},
            "belong to a worker",
            "critical",
            "operations",
        ),
        (
            {"timeout_seconds": "1", "started_at": "now() - interval '2 minutes'"},
            "past their",
            "critical",
            "operations",
        ),
        ({"cancel_requested_at": "now() - interval '11 minutes'"}, "asked to stop", "critical", "worker"),
        (
            dict.fromkeys(("claimed_at", "started_at", "updated_at"), "now() - interval '61 minutes'"),
            "no progress",
            "warning",
            None,
        ),
    ],
)
async def test_stuck_tasks(look, fault: dict[str, str], kind: str, severity: str, role: str | None) -> None:
    await look.sql(WORKER.format("", ""))
    await look.task(**RUNNING)
    await look.task(**RUNNING | {"timeout_seconds": "600"})
    assert await look(StuckTasks()) == []
    await look.task(**RUNNING | fault | {"id": "'01a20e00-2b3f-7e8a-903c-5b934de346da'"})
    finding = await look.one(StuckTasks())
    assert (finding.severity, finding.evidence["count"]) == (severity, 1)
    assert finding.evidence["tasks"] == ["01a20e00-2b3f-7e8a-903c-5b934de346da"]
    assert kind in finding.summary
    cancel = look.command("task cancel 01a20e00-2b3f-7e8a-903c-5b934de346da")
    assert finding.repair == (look.restart(role) if role else cancel)


async def test_uploads_that_never_came(look) -> None:
    await look.task(status="2", waits_for="'upload'", waits_until="now() - interval '30 s'")
    assert await look(Uploads()) == []
    await look.task(status="2", waits_for="'upload'", waits_until="now() - interval '90 s'")
    finding = await look.one(Uploads())
    assert (finding.evidence["count"], len(finding.evidence["tasks"])) == (1, 1)
    assert finding.repair == look.restart("operations")


async def finished(look, status: int, count: int) -> None:
    await look.sql(
        "insert into task_history (id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count,"
        " max_retries, queue, task_type, tenant, params, processed_records, failed_records, error_message)"
        f" select gen_random_uuid(), now(), now(), now(), {status}, 5, 0, 1, 0, 3, 'default', 'demo', 't', '{{}}', 0, 0,"
        f" 'disk on fire' from generate_series(1, {count})"
    )


async def test_tasks_that_fail_in_numbers(look) -> None:
    await finished(look, 3, 20)
    await finished(look, 4, 9)
    assert await look(FailedTasks()) == []
    await finished(look, 4, 1)
    finding = await look.one(FailedTasks())
    assert finding.evidence == {"type": "demo", "failed": 10, "lastError": "disk on fire"}
    assert finding.repair.startswith("opsplane task retry ")
    assert len(finding.repair.split()) == 3 + 5 + 2
    await finished(look, 3, 40)
    assert await look(FailedTasks()) == []


async def test_missing_partitions(look) -> None:
    assert await look(Partitions()) == []
    rows = await look.sql(
        "select 'task_log_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD') as name"
    )
    await look.sql(f"drop table {rows[0]['name']}")
    finding = await look.one(Partitions())
    assert finding.evidence == {"missing": [rows[0]["name"]]}
    assert finding.repair == look.restart("operations")


async def test_a_schedule_that_is_paused_late_or_led_to_nothing_is_a_finding(look) -> None:
    assert await look(Schedules()) == []
    await look.sql(
        "insert into task_schedule (name, cron, zone, overlap, missed, grace_seconds, task_type, params, priority,"
        " tenant, decided_to, next_at, updated_by) values ('nightly', '0 3 * * *', 'UTC', 'skip', 'once', 60,"
        " 'order.export', '{}', 4, 'default', now(), now() + interval '1 hour', 'olga')"
    )
    assert await look(Schedules()) == []
    run = "insert into task_schedule_run values ('nightly', now() - interval '%s', now(), '%s', null, 'why')"
    await look.sql(run % ("2 hours", "refused"))
    finding = await look.one(Schedules())
    assert (finding.severity, finding.repair) == ("warning", look.command("schedule run nightly"))
    assert finding.summary == "The last time of the schedule nightly was refused: why"
    await look.sql(run % ("1 hour", "created"))
    assert await look(Schedules()) == []
    await look.sql("update task_schedule set next_at = now() - interval '2 minutes'")
    finding = await look.one(Schedules())
    assert (finding.severity, finding.repair) == ("critical", look.restart("operations"))
    await look.sql("update task_schedule set paused_at = now(), paused_by = 'olga'")
    finding = await look.one(Schedules())
    assert (finding.severity, finding.repair) == ("warning", look.command("schedule resume nightly"))


async def test_callbacks_that_were_given_up_or_are_not_sent_are_findings(look) -> None:
    add = (
        "insert into task_callback (task_id, url, receiver, finished_at, state, due_at, tried_at, last_error)"
        " values (gen_random_uuid(), 'https://a.example/?token=1', 'https://a.example', now(), '{}',"
        " now() - interval '{}', {}, 'it answered 500') returning task_id::text as id"
    )
    await look.sql(add.format("waiting", "4 minutes", "null"))
    await look.sql(add.format("delivered", "1 day", "now() - interval '10 minutes'"))
    await look.sql(add.format("dead", "2 days", "now() - interval '2 days'"))
    assert await look(Callbacks()) == []
    (row,) = await look.sql(add.format("dead", "1 hour", "now() - interval '1 hour'"))
    finding = await look.one(Callbacks())
    assert (finding.severity, finding.evidence["tasks"]) == ("warning", [row["id"]])
    assert finding.summary == "1 callbacks to https://a.example were given up: it answered 500"
    assert finding.repair == look.command(f"task callback {row['id']} --retry")
    assert "token" not in str(finding)
    await look.sql("update task_callback set state = 'delivered' where state = 'dead'")
    await look.sql(add.format("waiting", "6 minutes", "null"))
    finding = await look.one(Callbacks())
    assert (finding.severity, finding.repair) == ("critical", look.restart("operations"))
    assert finding.evidence == {"late": 1}
    await look.sql(
        "update task_callback set due_at = now() + interval '1 minute', finished_at = now() - interval '6 minutes'"
        " where due_at < now() - interval '5 minutes'"
    )
    assert (await look.one(Callbacks())).evidence == {"late": 1}  # taken again and again, and never tried
    await look.sql("update task_callback set tried_at = now() where state = 'delivered'")
    assert await look(Callbacks()) == []  # its receiver is slow, not forgotten
