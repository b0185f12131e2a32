"""Schemas of a running platform: a promotion is enforced at publish and at consume, without a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flow.platform import Platform, eventually, started

TOPIC = "pricing.price.updated"
OF = f"/api/v1/schemas/subjects/{TOPIC}"
FILES = Path(str(resources.files("opsplane.commerce.catalog"))) / "schemas" / TOPIC


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("schemas") / "state") as platform:
        yield platform


@pytest.fixture
def staff(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.token('operations_staff')}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=10) as client:
        yield client


def newest() -> tuple[int, dict[str, Any]]:
    path = max(FILES.glob("*.json"), key=lambda path: int(path.stem))
    return int(path.stem), json.loads(path.read_text(encoding="utf-8"))


def event(**data: Any) -> dict[str, Any]:
    example: dict[str, Any] = newest()[1]["examples"][0]
    return {**example, **data}


def test_the_files_are_registered_and_the_platform_is_well(platform: Platform, staff: httpx.Client) -> None:
    subjects = {one["subject"]: one for one in staff.get("/api/v1/schemas/subjects").json()["data"]}
    assert subjects[TOPIC]["active"] == newest()[0]
    assert {"operations.task.created", "orders.order.created"} <= subjects.keys()
    found = json.loads(platform.run("check", "events", "-o", "json").stdout)
    assert ("schemas" in found["checks"], found["findings"]) == (True, [])
    anybody = {"Authorization": f"Bearer {platform.token('customer')}"}
    assert httpx.get(f"{platform.url}/api/v1/schemas/subjects", headers=anybody).status_code == 403


def test_a_promoted_schema_is_enforced_at_publish_and_at_consume(
    platform: Platform, staff: httpx.Client, tmp_path: Path
) -> None:
    version, document = newest()
    processes = {name: one["pid"] for name, one in platform.status().items() if one.get("pid")}
    stricter = {**document, "required": [*document["required"], "changedAt"]}
    refused = staff.post(f"{OF}/versions", json={"schema": stricter})
    assert refused.status_code == 409
    assert refused.json()["violations"][0]["pointer"] == "/changedAt"
    assert "search-service" in refused.json()["violations"][0]["consumers"]
    assert staff.put(f"{OF}/compatibility", json={"mode": "FORWARD"}).status_code == 200
    assert (
        staff.post(f"/api/v1/events/{TOPIC}", json=event()).status_code == 202
    )  # the backlog of the old schema

    made = staff.post(f"{OF}/versions", json={"schema": stricter})
    assert made.status_code == 201, made.text
    number = made.json()["data"]["version"]["version"]
    assert number == version + 1
    assert staff.post(f"/api/v1/events/{TOPIC}", json=event()).status_code == 202  # a draft decides nothing
    assert staff.post(f"{OF}/versions/{number}/promote").status_code == 200

    answer = eventually(lambda: _refusal(staff))
    assert {one["pointer"] for one in answer["violations"]} == {"/changedAt"}
    assert f"version {number} (formats asserted)" in answer["detail"]
    with platform.store() as store:

        def dead() -> list[dict[str, Any]]:
            """A foreign event of the old shape, put on the stream, is judged by the consumers."""
            envelope = {
                "specversion": "1.0",
                "id": "foreign",
                "source": "test",
                "type": TOPIC,
                "data": event(),
            }
            store.xadd(TOPIC, {"data": json.dumps(envelope)})
            letters = staff.get("/api/v1/admin/dlq/failed-events", params={"topic": TOPIC}).json()["data"]
            return [one for one in letters if one["eventId"] == "foreign"]

        letter = eventually(dead)[0]
        assert f"version {number}" in letter["errorMessage"]
    assert {name: one["pid"] for name, one in platform.status().items() if one.get("pid")} == processes
    named = f"urn:opsplane:schema:{TOPIC}:{version}"
    letters = staff.get("/api/v1/admin/dlq/failed-events", params={"topic": TOPIC}).json()["data"]
    assert {one["eventId"] for one in letters} == {"foreign"}  # what was published before names its version
    with platform.store() as store:
        assert named in [json.loads(fields[b"data"]).get("dataschema") for _, fields in store.xrange(TOPIC)]


def _refusal(staff: httpx.Client) -> Any:
    answer = staff.post(f"/api/v1/events/{TOPIC}", json=event())
    return answer.json() if answer.status_code == 400 else None


def test_the_commands(platform: Platform, tmp_path: Path) -> None:
    subject = "catalog.product.deleted"
    assert platform.run("schema", "ls", "-o", "name").stdout.splitlines().count(subject) == 1
    shown = json.loads(platform.run("schema", "show", subject, "latest", "-o", "json").stdout)
    assert (shown["version"], shown["state"], shown["registeredBy"]) == (1, "active", "files")
    assert "same" in platform.run("schema", "diff", subject, "1", "file").stdout

    document = shown["schema"]
    more, breaking = tmp_path / "more.json", tmp_path / "breaking.json"
    more.write_text(
        json.dumps({**document, "properties": {**document["properties"], "reason": {"type": "string"}}})
    )
    breaking.write_text(json.dumps({**document, "required": [*document["required"], "sku2"]}))
    changed = platform.run("schema", "diff", subject, "latest", str(more), check=False)
    assert (changed.returncode, '+    "reason": {' in changed.stdout) == (3, True)
    assert platform.run("schema", "check", subject, str(more)).returncode == 0
    broken = platform.run("schema", "check", subject, str(breaking), check=False)
    assert (broken.returncode, "search-service" in broken.stderr) == (3, True)
    refused = platform.run("schema", "register", subject, str(breaking), check=False)
    assert (refused.returncode, "not compatible (BACKWARD) with version 1" in refused.stderr) == (1, True)
    platform.run("schema", "register", subject, str(more), "--dry-run")
    assert len(json.loads(platform.run("schema", "show", subject, "-o", "json").stdout)) == 1
    platform.run("schema", "register", subject, str(more), "--reason", "why it goes")
    platform.run("schema", "promote", subject, "2", "--dry-run")
    platform.run("schema", "promote", subject, "2")
    platform.run("schema", "deprecate", subject, "1")
    states = [
        one["state"] for one in json.loads(platform.run("schema", "show", subject, "-o", "json").stdout)
    ]
    assert states == ["deprecated", "active"]
    assert "BACKWARD" in platform.run("schema", "mode", subject).stdout
    platform.run("schema", "mode", subject, "FULL")
    assert json.loads(platform.run("schema", "mode", subject, "-o", "json").stdout)["mode"] == "FULL"

    asyncapi = json.loads(platform.run("schema", "asyncapi").stdout)
    assert set(asyncapi["channels"][subject]["messages"]) == {f"{subject}.v1", f"{subject}.v2"}
    module = tmp_path / "events.py"
    module.write_text(platform.run("schema", "types", subject).stdout)
    assert "reason: str | msgspec.UnsetType" in module.read_text()
    subprocess.run([sys.executable, str(module)], check=True)
