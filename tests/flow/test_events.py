"""Events as staff works with them through the gateway: publishing, refusals, dead letters and their replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flow.platform import Platform, eventually, started
from tests.flow.test_dead_letter_commands import _product
from tests.prometheus import check_metrics, scraping

TOPIC = "pricing.price.updated"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("events") / "state") as platform:
        yield platform


@pytest.fixture
def staff(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.token('operations_staff')}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=10) as client:
        yield client


def test_invalid_event_is_refused_with_every_violation(platform: Platform, staff: httpx.Client) -> None:
    answer = staff.post(f"/api/v1/events/{TOPIC}", json={"sku": 5})
    assert answer.status_code == 400
    pointers = {violation["pointer"] for violation in answer.json()["violations"]}
    assert {"/sku", "/productId", "/price"} <= pointers
    with platform.store() as store:
        assert store.xlen(TOPIC) == 0


def test_forced_onto_the_stream_it_becomes_a_dead_letter_with_its_reason(
    platform: Platform, staff: httpx.Client
) -> None:
    envelope = {
        "specversion": "1.0", "id": "forced-1", "source": "test", "type": TOPIC, "topic": TOPIC,
        "datacontenttype": "application/json", "data": {"sku": 5},
    }  # fmt: skip
    with platform.store() as store:
        store.xadd(TOPIC, {"data": json.dumps(envelope)})

    def letters() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = staff.get("/api/v1/admin/dlq/failed-events").json()["data"]
        return [letter for letter in found if letter["topic"] == TOPIC]

    found = eventually(letters)
    assert "violation" in found[0]["errorMessage"]
    assert staff.get("/api/v1/admin/dlq/stats").json()["data"][TOPIC]["count"] >= 1
    with platform.store() as store:
        assert store.xlen(f"{TOPIC}.dlq") >= 1


def test_dead_letters_are_for_staff_only(platform: Platform) -> None:
    assert httpx.get(f"{platform.url}/api/v1/admin/dlq/stats").status_code == 401
    customer = {"Authorization": f"Bearer {platform.token('customer')}"}
    assert httpx.get(f"{platform.url}/api/v1/admin/dlq/stats", headers=customer).status_code == 403


def test_the_story_of_an_event_is_told_across_services(platform: Platform, staff: httpx.Client) -> None:
    platform.run("demo", "run")
    with platform.store() as store:
        [(entry, fields)] = store.xrevrange("orders.order.created", count=1)
    event = json.loads(fields[b"data"])["id"]

    def told() -> dict[str, Any] | None:
        story: dict[str, Any] = json.loads(platform.run("event", "trace", event, "-o", "json").stdout)
        topics = {one["detail"]["topic"] for one in story["moments"] if one["what"] == "caused"}
        return story if {"payments.payment.confirmed"} <= topics else None

    story = eventually(told)
    assert story["missing"] == []
    assert [one["what"] for one in story["moments"][:2]] == ["written", "published"]
    assert story["moments"][1]["detail"]["entry"] == entry.decode()
    assert {one["state"] for one in story["groups"]} == {"acknowledged"}
    assert [one for one in story["groups"] if "done_at" in one]
    assert {one["where"] for one in story["moments"] if one["what"] == "caused"} >= {"database payment"}
    served = staff.get(f"/api/v1/events/{event}/trace").json()["data"]
    assert served["moments"] == story["moments"]
    timeline = platform.run("event", "trace", event)
    assert f"topic orders.order.created  entry={entry.decode()}" in timeline.stdout
    shown = json.loads(platform.run("event", "show", event, "-o", "json").stdout)
    assert (shown["topic"], shown["event"]["id"]) == ("orders.order.created", event)
    assert "outbox of order" in shown["places"]
    assert platform.run("event", "trace", "no-such-event", check=False).returncode == 1


def test_the_metrics_of_every_role_are_sound_and_scraped(platform: Platform, tmp_path: Path) -> None:
    document = json.loads((platform.state / "installation.json").read_text())
    places = {role: f"{at['host']}:{at['port']}" for role, at in document["listen"].items()}
    for place in places.values():
        check_metrics(httpx.get(f"http://{place}/metrics").content)
    with scraping(tmp_path, places) as prometheus:
        eventually(lambda: prometheus.value("sum(up)") == len(places))
        assert prometheus.value('sum(event_publish_total{job="events"})') >= 1
        assert prometheus.query('outbox_pending{job="catalog",database="catalog"}')
        assert prometheus.query('dlq_messages{job="events"}')


def test_positions_and_streams_by_the_command_line(platform: Platform) -> None:
    """With the rights the roles really have: trimmed, sought, followed, published for later."""
    topic, group = "catalog.product.created", "search-service"
    assert "No errors" in platform.run("topic", "lint").stderr
    (platform.state / "events.yaml").write_text(f"topics: [{{match: {topic}, durabilty: strict}}]\n")
    refused = platform.run("topic", "lint", check=False)
    assert (refused.returncode, "events.yaml:1:" in refused.stderr, "durability" in refused.stderr) == (
        1,
        True,
        True,
    )
    (platform.state / "events.yaml").write_text(f"topics: [{{match: {topic}, durability: strict}}]\n")

    with platform.store() as store:
        before = store.xlen(topic)
        data = json.dumps(_product())
        platform.run("event", "publish", topic, "--data", data, "--delay", "1h")
        assert store.xlen(topic) == before
        platform.run("event", "publish", topic, "--data", data, "--delay", "1s")
        eventually(lambda: store.xlen(topic) == before + 1)

    def caught_up() -> bool:
        rows = json.loads(platform.run("consumer", "lag", group, "--topic", topic, "-o", "json").stdout)
        return [(row["lag"], row["pending"]) for row in rows] == [(0, 0)]

    eventually(caught_up)
    asked = platform.run("consumer", "reset", group, topic, check=False)
    assert (asked.returncode, "--skip-done" in asked.stderr) == (1, True)
    dry = json.loads(platform.run("consumer", "reset", group, topic, "--dry-run", "-o", "json").stdout)
    assert [row["again"] for row in dry] == [before + 1]
    moved = platform.run("consumer", "reset", group, topic, "--again", "--reason", "a test", "-o", "json")
    assert [(row["topic"], row["epoch"]) for row in json.loads(moved.stdout)] == [(topic, 1)]
    eventually(caught_up)
    last = json.loads(platform.run("topic", "tail", topic, "-n", "1").stdout.splitlines()[-1])
    assert last["event"]["type"] == topic
    shown = json.loads(platform.run("topic", "show", topic, "-o", "json").stdout)
    standing = shown["standing"]
    assert (standing["durability"], standing["full_because"], standing["delayed"]) == ("strict", [], 1)
    trimmed = json.loads(platform.run("topic", "trim", topic, "--dry-run", "-o", "json").stdout)
    assert [row["aged"] for row in trimmed] == [0]
    refused = platform.run("consumer", "forget", group, "--yes", check=False)
    assert "live" in refused.stderr
