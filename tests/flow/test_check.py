"""The daily check: silent on a healthy platform, and every command it prints repairs what it found."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from tests.flow.platform import Platform, eventually, started

from opsplane.cli.check import OPERATIONS_MIGRATIONS

TOPIC = "catalog.product.created"


def test_findings_name_their_repair_and_the_repairs_work(tmp_path: Path) -> None:
    with started(tmp_path / "state") as platform:
        eventually(lambda: platform.run("check", "--daily", check=False).returncode == 0)
        platform.run("queue", "pause", "catalog", "--reason", "a test")
        platform.run("down", "--only", "payment")
        _poison(platform, 12)
        wanted = {"queues", "roles", "consumers", "dead letters"}
        eventually(lambda: wanted <= {one["check"] for one in _findings(platform)}, 60.0)
        findings = _findings(platform)
        assert all(one["evidence"] and one["repair"].startswith("opsplane ") for one in findings)
        assert all((Path(__file__).parents[2] / one["runbook"]).exists() for one in findings)

        _cure(platform)
        _repair(platform, findings)
        eventually(lambda: platform.run("check", "--daily", check=False).returncode == 0, 60.0)
        assert platform.run("check", "events").returncode == 0
        with platform.store() as store:
            assert store.xlen(f"{TOPIC}.dlq") == store.xlen("dlq:search-events") == 0


def test_an_engine_that_is_away_is_the_finding_and_its_command_brings_it_back(tmp_path: Path) -> None:
    with started(tmp_path / "state") as platform:
        eventually(lambda: platform.run("check", "--daily", check=False).returncode == 0)
        for engine in ("postgres", "valkey"):
            platform.run("down", "--only", engine)
            findings = _findings(platform)
            assert (findings[0]["check"], findings[0]["evidence"]["name"]) == ("engines", engine)
            assert "could not look" not in "".join(one["summary"] for one in findings)
            _repair(platform, findings[:1])
            eventually(lambda: platform.run("check", "--daily", check=False).returncode == 0, 60.0)
        _known_migrations(platform)
        os.kill(
            platform.status()["worker"]["pid"], signal.SIGKILL
        )  # its tasks are taken, although PostgreSQL was away
        eventually(
            lambda: _operations(platform, "select count(*) from worker where gone_at is not null")[0][0], 60.0
        )


def _known_migrations(platform: Platform) -> None:
    """The check of migrations knows every source the roles have applied to the operations database."""
    rows = _operations(platform, "select distinct source from opsplane_migration")
    assert {name for (name,) in rows} == set(OPERATIONS_MIGRATIONS)


def _operations(platform: Platform, query: str) -> list[Any]:
    document = json.loads((platform.state / "installation.json").read_text())
    with psycopg.connect(document["databases"]["operations"]) as connection:
        return connection.execute(query.encode()).fetchall()


def _repair(platform: Platform, findings: list[dict[str, Any]]) -> None:
    for command in dict.fromkeys(one["repair"] for one in findings):
        for part in command.split(" && "):
            _, *arguments = shlex.split(part)
            platform.run(*arguments[: arguments.index("--state")])


def _findings(platform: Platform) -> list[dict[str, Any]]:
    finished = platform.run("check", "--daily", "-o", "json", check=False)
    findings: list[dict[str, Any]] = json.loads(finished.stdout)["findings"]
    assert finished.returncode == (3 if findings else 0)
    return findings


def _poison(platform: Platform, count: int) -> None:
    """Break the search service's table, then let that many events fail in its handler."""
    _search(platform, "alter table product_index rename to hidden")
    token = platform.token("admin")
    with httpx.Client(base_url=platform.url, headers={"Authorization": f"Bearer {token}"}) as client:
        for number in range(count):
            product = {
                "sku": f"poison-{number}-{time.time_ns()}", "name": "Tee", "category": "food",
                "price": {"amount": "1.00", "currency": "EUR"}, "stock": 1,
            }  # fmt: skip
            eventually(lambda wanted=product: client.post("/api/v1/products", json=wanted).status_code == 201)


def _cure(platform: Platform) -> None:
    _search(platform, "alter table hidden rename to product_index")


def _search(platform: Platform, statement: str) -> None:
    document = json.loads((platform.state / "installation.json").read_text())
    with psycopg.connect(document["databases"]["search"], autocommit=True) as connection:
        connection.execute(statement.encode())
