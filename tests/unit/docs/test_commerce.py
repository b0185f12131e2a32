"""The reference of the commerce platform names every call, event and consumed topic there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.commerce.conftest import serve  # noqa: F401  (a fixture)

from opsplane.commerce.catalog import service as catalog
from opsplane.service import Service, collect_services

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "commerce.md").read_text(encoding="utf-8")
SERVICES = collect_services()
CALLS = set(re.findall(r"^\| `([A-Z]+) (/\S+)` \|", TEXT, re.MULTILINE))


def events_of(name: str) -> tuple[set[str], set[str]]:
    [row] = re.findall(rf"^\| `{name}` \|(.*)\|(.*)\|$", TEXT, re.MULTILINE)
    published, consumed = (set(re.findall(r"`([\w.]+)`", cell)) for cell in row)
    return published, consumed


@pytest.mark.parametrize("name", SERVICES)
async def test_calls(name: str, serve: Any) -> None:  # noqa: F811
    service = SERVICES[name]
    served = await serve(service)
    paths = (await served.client.get("/schema/openapi.json")).json()["paths"]
    there = {
        (method.upper(), path.rstrip("/") or "/")
        for path, calls in paths.items()
        for method in calls
        if path.startswith("/api/")
    }
    assert there
    roots = {path.split("/")[3] for _, path in there}
    assert {call for call in CALLS if call[1].split("/")[3] in roots} == there


@pytest.mark.parametrize("name", SERVICES)
def test_events(name: str) -> None:
    service = SERVICES[name]
    published = {path.name for path in service.schemas.iterdir()} if service.schemas.is_dir() else set()
    consumed = {topic for consumer in service.consumers for topic in consumer.topics}
    assert events_of(name) == (published, consumed)


def test_a_missing_event_is_seen() -> None:
    without = Service(name="catalog", database="d", package="p", api=catalog.api)
    assert events_of("catalog")[1] != {topic for one in without.consumers for topic in one.topics}
