"""The AsyncAPI document: valid by the specification's own schema, and true to what is declared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from opsplane.events.schemas import asyncapi, schema
from opsplane.service import collect_services, event_schemas, topology

SPECIFICATION = Path(__file__).parents[3] / "data" / "asyncapi" / "3.0.0.json"
SERVICES = collect_services()
SCHEMAS = event_schemas(SERVICES.values())
TOPOLOGY = topology(SERVICES.values())


@pytest.fixture(scope="module")
def valid():
    """Whether a document is one of AsyncAPI 3.0.0."""
    return jsonschema_rs.validator_for(json.loads(SPECIFICATION.read_text(encoding="utf-8"))).is_valid


def written() -> dict[str, Any]:
    """The platform's document, with an event of draft-07 and references, as it is read."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "A thing.",
        "properties": {"part": {"$ref": "#/definitions/part"}},
        "definitions": {"part": {"type": "string", "maxLength": 3}},
    }
    extra = [schema("shop.thing.done", 1, document), schema("shop.whole.done", 2, {"x-scope": "event"})]
    return json.loads(json.dumps(asyncapi.document([*SCHEMAS.usable(), *extra], TOPOLOGY)))


def test_it_is_valid_by_the_specifications_schema(valid) -> None:
    assert valid(written())


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: one.pop("info"),
        lambda one: one["channels"]["pricing.price.updated"].update(adress="x"),
        lambda one: next(iter(one["operations"].values())).update(action="publish"),
        lambda one: next(iter(one["components"]["messages"].values())).update(payload=5),
    ],
)
def test_damage_is_seen(valid, damage) -> None:
    broken = copy.deepcopy(written())
    damage(broken)
    assert not valid(broken)


def test_every_topic_has_its_publisher_its_consumers_and_its_messages() -> None:
    found = written()
    assert set(found["channels"]) == {*SCHEMAS.types(), "shop.thing.done", "shop.whole.done"}
    topic = "pricing.price.updated"
    of = {
        name: one
        for name, one in found["operations"].items()
        if one["channel"] == {"$ref": f"#/channels/{topic}"}
    }
    assert {name: one["action"] for name, one in of.items()} == {
        f"catalog.send.{topic}": "send",
        f"order-service.receive.{topic}": "receive",
        f"search-service.receive.{topic}": "receive",
    }
    assert set(found["channels"][topic]["messages"]) == {f"{topic}.v1", f"{topic}.v2"}
    assert "operations.send.operations.task.created" in found["operations"]
    for group, topics in TOPOLOGY.groups().items():
        assert {f"{group}.receive.{one}" for one in topics} <= set(found["operations"])


def test_every_reference_leads_somewhere() -> None:
    found = written()

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            if "schemaFormat" in part:  # a payload: its references are its own
                return []
            here = [part["$ref"]] if "$ref" in part else []
            return here + [one for value in part.values() for one in references(value)]
        return []

    pointers = references({name: found[name] for name in ("channels", "operations")})
    assert len(pointers) > 50
    for pointer in pointers:
        place = found
        for step in pointer.removeprefix("#/").split("/"):
            place = place[step]


def test_the_payload_judges_whole_envelopes_references_included() -> None:
    message = written()["components"]["messages"]["shop.thing.done.v1"]
    assert message["payload"]["schemaFormat"] == "application/schema+json;version=draft-07"
    judge = jsonschema_rs.validator_for(message["payload"]["schema"], offline=True)
    event = {"id": "1", "source": "shop", "type": "shop.thing.done", "specversion": "1.0"}
    assert judge.is_valid({**event, "data": {"part": "abc"}})
    assert not judge.is_valid({**event, "data": {"part": "abcd"}})
    assert not judge.is_valid({"data": {"part": "abc"}})
