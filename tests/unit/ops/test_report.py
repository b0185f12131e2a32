"""The report: what is run, in which order findings stand, what is skipped, how it is printed and which code it ends with."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from opsplane.cli.main import run
from opsplane.database import Pool, migrate
from opsplane.embedded import prepare, remove
from opsplane.embedded.ports import free_ports
from opsplane.ops import AREAS, Finding, last_day, run_checks
from opsplane.ops.checks import ENGINES

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Planted:
    """A check that finds what it was told to, after a while."""

    def __init__(self, name: str, *severities: str, needs=(), daily: bool = False, error: Any = None) -> None:
        self.name, self.needs, self.daily = name, needs, daily
        self._severities, self._error = severities, error

    async def look(self, scene: Any) -> list[Finding]:
        if self._error:
            raise self._error
        return [
            Finding(check=self.name, severity=one, summary="s", evidence={"a": 1}, repair="r", runbook="b")
            for one in self._severities
        ]


async def test_the_worst_first_and_causes_before_what_they_cause(look) -> None:
    checks = [Planted("b", "warning", "critical"), Planted("a", "critical"), Planted("c")]
    report = await run_checks(checks, look.scene)
    assert [(one.check, one.severity) for one in report.findings] == [
        ("b", "critical"), ("a", "critical"), ("b", "warning"),
    ]  # fmt: skip
    assert (report.checks, report.skipped, report.well) == (["b", "a", "c"], [], False)
    assert (await run_checks([Planted("c")], look.scene)).well


async def test_what_needs_an_absent_engine_is_skipped(look) -> None:
    checks = [*ENGINES, Planted("a", "critical", needs=("postgres",)), Planted("b", needs=("valkey",))]
    report = await run_checks(checks, replace(look.scene, absent={"postgres": "gone"}))
    assert ([one.check for one in report.findings], report.skipped) == (["engines"], ["a"])
    assert report.checks == ["engines", "b"]


async def test_daily_checks_run_only_when_asked_for(look) -> None:
    checks = [Planted("now"), Planted("today", "warning", daily=True)]
    assert (await run_checks(checks, look.scene)).checks == ["now"]
    assert (await run_checks(checks, look.scene, daily=True)).checks == ["now", "today"]


async def test_a_check_that_cannot_look_is_a_finding(look, monkeypatch: pytest.MonkeyPatch) -> None:
    report = await run_checks([Planted("a", error=ValueError("no such table")), Planted("b")], look.scene)
    (finding,) = report.findings
    assert finding.summary == "The check of a could not look: no such table"
    assert (finding.evidence, finding.repair) == ({"error": "ValueError"}, look.command("doctor"))

    class Slow(Planted):
        async def look(self, scene: Any) -> list[Finding]:
            await asyncio.sleep(60)
            return []

    monkeypatch.setattr("opsplane.ops.check.PATIENCE", 0.05)
    (finding,) = (await run_checks([Slow("slow")], look.scene)).findings
    assert finding.summary == "The check of slow could not look: it did not end in time"


async def test_every_check_is_silent_on_a_healthy_scene_and_survives_missing_engines(look) -> None:
    await look.sql("insert into worker (name, host, pid, task_types, slots) values ('w', 'here', 7, '{}', 4)")
    report = await run_checks(AREAS["all"], replace(look.scene, groups={}), daily=True)
    assert (report.findings, report.skipped) == ([], [])
    lost = {"postgres": "gone", "valkey": "gone", "objects": "gone"}
    report = await run_checks(AREAS["all"], replace(look.scene, pools={}, absent=lost), daily=True)
    assert {one.check for one in report.findings} == {"engines"}
    assert len(report.findings) == 3
    for area in AREAS.values():
        assert area[0].name == "engines"


async def test_the_figures_of_the_last_day(look) -> None:
    await look.sql(
        "insert into outbox (topic, event_id, envelope, published_at) values ('a', '1', '{}', now())"
    )
    await look.sql(
        "insert into outbox (topic, event_id, envelope, published_at)"
        " values ('a', '2', '{}', now() - interval '25 hours'), ('a', '3', '{}', null)"
    )
    await look.sql(
        "insert into task_history (id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count,"
        " max_retries, queue, task_type, tenant, params, processed_records, failed_records)"
        " select gen_random_uuid(), now(), now() - interval '2 s', now(), status, 5, 0, 1, 0, 3, 'default', 'demo', 't',"
        " '{}', 0, 0 from unnest(array[3, 3, 4, 5]) as status"
    )
    assert await last_day(look.scene) == {
        "published": {"operations": 1},
        "deadLetters": {"arrived": 0, "resolved": 0, "discarded": 0, "open": 0},
        "tasks": [{"type": "demo", "completed": 2, "failed": 1, "cancelled": 1, "seconds": 2.0}],
    }
    await look.sql("drop table outbox, inbox, outbox_subject")
    assert (await last_day(look.scene))["published"] == {"operations": None}
    absent = replace(look.scene, pools={}, absent={"postgres": "gone"})
    assert await last_day(absent) == {"published": None, "deadLetters": None, "tasks": None}


@pytest.fixture
def installation(tmp_path: Path, postgres: Any, database: str, broker_url: str) -> Any:
    """An installation none of whose roles run, on the tests' engines."""
    state = tmp_path / "state"
    document = prepare(state, free_ports(1)[0], "")
    settings = {
        "engines": {"postgres": {"superuser_dsn": postgres.superuser_dsn}},
        "databases": dict.fromkeys(document["databases"], database),
        "broker": {"admin": broker_url},
    }
    (state / "opsplane.yaml").write_text(yaml.safe_dump(settings))
    yield state, settings
    remove(state)


def checked(capsys: pytest.CaptureFixture[str], state: Path, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["check", *arguments, "--state", str(state)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_command_reports_findings(
    installation: Any, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state, _ = installation

    async def migrated() -> None:
        pool = await Pool.open(database)
        await migrate(pool, "tasks", "opsplane.tasks.migrations")
        await pool.close()

    asyncio.run(migrated())
    code, out, _ = checked(capsys, state, "operations", "-o", "json")
    report = json.loads(out)
    assert code == 3
    assert set(report) == {"at", "checks", "skipped", "findings", "day"}
    assert report["checks"] == [one.name for one in AREAS["operations"] if not one.daily]
    (finding,) = report["findings"]
    assert set(finding) == {
        "check", "severity", "summary", "evidence", "repair", "runbook", "since", "first",
    }  # fmt: skip
    assert (finding["check"], report["day"]) == ("workers", None)
    assert finding["repair"] == f"opsplane up --detach --state {state}"

    code, out, err = checked(capsys, state, "operations")
    assert code == 3
    assert "CRITICAL  workers: No worker runs tasks." in out
    assert (
        f"          repair: opsplane up --detach --state {state}\n          see docs/runbooks/worker-lost.md"
        in out
    )
    assert "1 findings" in err


def test_the_command_with_engines_away(installation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    state, settings = installation
    closed = free_ports(1)[0]
    settings["broker"]["admin"] = f"redis://127.0.0.1:{closed}"
    (state / "opsplane.yaml").write_text(yaml.safe_dump(settings))
    code, out, _ = checked(capsys, state, "events", "-o", "json")
    report = json.loads(out)
    assert code == 3
    assert report["findings"][0]["check"] == "engines"
    assert report["findings"][0]["evidence"]["name"] == "valkey"
    assert {"consumers", "retries", "lost topics"} <= set(report["skipped"])
    assert "outboxes" in report["checks"]

    dead = f"postgresql://nobody@127.0.0.1:{closed}/nothing"
    settings["databases"] = dict.fromkeys(settings["databases"], dead)
    settings["engines"]["postgres"]["superuser_dsn"] = dead
    (state / "opsplane.yaml").write_text(yaml.safe_dump(settings))
    code, out, err = checked(capsys, state)
    assert (code, out) == (4, "")
    assert "does not run" in err
    assert "opsplane up --detach" in err
