"""Dead letters by the command line: refused at the door, forced past it, retried once the cause is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.flow.platform import Platform, eventually, started

PRICE, CREATED = "pricing.price.updated", "catalog.product.created"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("letters") / "state") as platform:
        yield platform


def test_an_invalid_event_is_refused_with_every_violation(platform: Platform) -> None:
    refused = platform.run("event", "publish", PRICE, "--data", '{"sku": 5}', check=False)
    assert refused.returncode == 1
    assert all(pointer in refused.stderr for pointer in ("/sku", "/productId", "/price", "/version"))
    with platform.store() as store:
        assert store.xlen(PRICE) == 0


def test_forced_past_the_door_it_is_a_dead_letter_until_it_is_discarded(platform: Platform) -> None:
    platform.run("event", "publish", PRICE, "--data", '{"sku": 5}', "--force")
    found = eventually(lambda: _letters(platform, PRICE, "search-service"))
    shown = json.loads(platform.run("dlq", "show", str(found[0]["id"]), "-o", "json").stdout)
    assert shown["reason"] == "validation"
    assert {"/sku", "/productId"} <= {violation["pointer"] for violation in shown["violations"]}

    again = platform.run("dlq", "retry", str(found[0]["id"]), check=False)
    assert again.returncode == 1, "an event that violates its schema is not cured by sending it again"
    unconfirmed = platform.run("dlq", "discard", "--topic", PRICE, "--reason", "a test", check=False)
    assert unconfirmed.returncode == 1
    assert _letters(platform, PRICE, "search-service")
    platform.run("dlq", "discard", "--topic", PRICE, "--reason", "a test", "--yes")
    eventually(lambda: _lengths(platform, PRICE) == (0, 0))
    assert not _letters(platform, PRICE, "search-service")
    assert _letters(platform, PRICE, "search-service", states="discarded")


def test_retry_after_the_cause_is_gone_has_one_effect_and_empties_the_queue(platform: Platform) -> None:
    with _search(platform) as search:
        search.execute("alter table product_index rename to hidden")
        body = json.dumps(_product())
        platform.run("event", "publish", CREATED, "--data", body, "--subject", "TEA-0001")
        eventually(lambda: _letters(platform, CREATED, "search-service"), 60.0)
        assert eventually(lambda: _lengths(platform, CREATED)) == (1, 1)

        search.execute("alter table hidden rename to product_index")
        retried = json.loads(platform.run("dlq", "retry", "--topic", CREATED, "-o", "json").stdout)
        assert (retried["total"], retried["resolved"], retried["failed"]) == (1, 1, 0)
        eventually(lambda: _lengths(platform, CREATED) == (0, 0))
        assert not _letters(platform, CREATED, "search-service")
        [row] = search.execute("select count(*) from product_index where sku = 'TEA-0001'").fetchall()
        assert row[0] == 1
        [row] = search.execute(
            "select count(*) from inbox where consumer_group = 'search-service'"
        ).fetchall()
        assert row[0] == 1


def test_topics_and_groups_are_listed_paused_and_resumed(platform: Platform) -> None:
    def group() -> dict[str, Any]:
        rows = json.loads(platform.run("consumer", "ls", "-o", "json").stdout)
        found: dict[str, Any] = next(row for row in rows if row["group"] == "search-service")
        return found

    assert CREATED in platform.run("topic", "ls", "-o", "name").stdout.split()
    assert (
        json.loads(platform.run("topic", "show", CREATED, "-o", "json").stdout)["topic"]["topic"] == CREATED
    )
    assert platform.run("topic", "show", "no.such.topic", check=False).returncode == 1
    platform.run("topic", "rebuild", "--dry-run")
    paused = platform.run("consumer", "pause", "search-service", "--reason", "a test")
    assert group()["paused"]
    assert f"consumer resume search-service --state {platform.state}" in paused.stderr
    platform.run("consumer", "resume", "search-service")
    assert not group()["paused"]
    assert group()["alive"] == 1


def test_breakers_are_listed_held_open_and_closed(platform: Platform) -> None:
    def breaker() -> dict[str, Any]:
        rows = json.loads(platform.run("breaker", "ls", "-o", "json").stdout)
        found: dict[str, Any] = next(row for row in rows if row["name"] == name)
        return found

    name = "payment-service:payment-processor"
    assert eventually(breaker)["state"] == "closed"
    foreseen = platform.run("breaker", "open", name, "--reason", "a test", "--dry-run")
    assert "1 breakers" in foreseen.stderr
    assert breaker()["state"] == "closed"
    held = platform.run("breaker", "open", name, "--reason", "a test")
    assert f"breaker close {name}" in held.stderr
    assert (breaker()["state"], breaker()["reason"]) == ("open", "a test")
    checked = platform.run("check", "events", "-o", "json", check=False)
    assert any(one["check"] == "breakers" for one in json.loads(checked.stdout)["findings"])
    platform.run("breaker", "close", name, "--reason", "the test is over")
    assert breaker()["state"] == "closed"
    assert platform.run("breaker", "open", "no:such", "--reason", "a test", check=False).returncode == 1


def _letters(platform: Platform, topic: str, group: str, states: str = "open") -> list[dict[str, Any]]:
    shown = platform.run("dlq", "ls", "--topic", topic, "--group", group, "--states", states, "-o", "json")
    found: list[dict[str, Any]] = json.loads(shown.stdout)
    return found


def _lengths(platform: Platform, topic: str) -> tuple[int, int]:
    """Entries on the topic's own dead letter stream and on the search service's."""
    with platform.store() as store:
        return int(store.xlen(f"{topic}.dlq")), int(store.xlen("dlq:search-events"))


@contextmanager
def _search(platform: Platform) -> Iterator[psycopg.Connection[Any]]:
    document = json.loads((Path(platform.state) / "installation.json").read_text())
    with psycopg.connect(document["databases"]["search"], autocommit=True) as connection:
        yield connection


def _product() -> dict[str, Any]:
    """The example its schema gives."""
    schemas = Path(str(resources.files("opsplane.commerce.catalog"))) / "schemas" / CREATED
    [newest] = sorted(schemas.glob("*.json"))[-1:]
    example: dict[str, Any] = json.loads(newest.read_text())["examples"][0]
    return example


def test_exported_edited_imported_and_replayed(platform: Platform, tmp_path: Path) -> None:
    broken = {**_product(), "id": "7d444840-9dc0-41d1-b245-5ffdce74fad9", "sku": "TEA-0009", "version": "one"}
    platform.run("event", "publish", CREATED, "--data", json.dumps(broken), "--force")
    [letter] = eventually(lambda: _letters(platform, CREATED, "search-service"))
    found = json.loads(
        platform.run(
            "dlq",
            "ls",
            "--text",
            "tea-0009",
            "--pointer",
            "/version",
            "--since",
            "1h",
            "--group",
            "search-service",
            "-o",
            "json",
        ).stdout
    )
    assert [one["id"] for one in found] == [letter["id"]]

    file = tmp_path / "letters.jsonl"
    file.write_text(platform.run("dlq", "export", "--topic", CREATED, "--group", "search-service").stdout)
    assert json.loads(platform.run("dlq", "import", str(file), "-o", "json").stdout)["known"] == 1
    file.write_text(file.read_text() + "{}\n")
    refused = platform.run("dlq", "import", str(file), check=False)
    assert refused.returncode == 1
    assert "line 2" in refused.stderr

    number = str(letter["id"])
    unmended = platform.run("dlq", "edit", number, "--set", "/version=0", "--reason", "typo", check=False)
    assert unmended.returncode == 1
    assert "/version" in unmended.stderr
    platform.run("dlq", "edit", number, "--set", "/version=1", "--reason", "typo", "--retry")
    shown = json.loads(platform.run("dlq", "show", number, "-o", "json").stdout)
    assert shown["state"] == "resolved"
    assert shown["edits"][0]["changes"] == [{"place": "/data/version", "before": "one", "after": 1}]
    latest = json.loads(platform.run("dlq", "replays", "-o", "json").stdout)[0]
    assert (latest["state"], latest["resolved"]) == ("finished", 1)
    assert platform.run("dlq", "watch", str(latest["id"])).returncode == 0
    platform.run("dlq", "cancel", str(latest["id"]), "--dry-run")
    platform.run("dlq", "alerts")
    assert platform.run("dlq", "show", number, "--unmasked", check=False).returncode == 1, "no reason"
    platform.run("dlq", "show", number, "--unmasked", "--reason", "a test")


def test_a_service_serves_its_own_dead_letters_on_its_own_port(platform: Platform) -> None:
    platform.run("event", "publish", PRICE, "--data", '{"sku": 6}', "--force")
    eventually(lambda: _letters(platform, PRICE, "search-service"))
    document = json.loads((Path(platform.state) / "installation.json").read_text())
    token = platform.run("token", "issue", "--sub", "sam", "--role", "operations_staff").stdout.strip()
    counts = {}
    for service in ("search", "payment"):
        place = document["listen"][service]
        with httpx.Client(base_url=f"http://{place['host']}:{place['port']}/api/v1/admin/dlq") as client:
            assert client.get("/stats").status_code == 401
            answer = client.get("/stats", headers={"Authorization": f"Bearer {token}"})
            counts[service] = answer.json()["data"].get(PRICE, {}).get("count", 0)
    assert counts == {"search": 1, "payment": 0}
    platform.run("dlq", "discard", "--topic", PRICE, "--reason", "a test", "--yes")
