from __future__ import annotations

import json

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import Schemas, Violation
from opsplane.events.schemas import SchemaRejected, UnknownEventType
from opsplane.telemetry import render_metrics

TYPE = "shop.price.updated"
SCHEMA = {
    "type": "object",
    "required": ["sku"],
    "additionalProperties": False,
    "properties": {
        "sku": {"type": "string", "maxLength": 3},
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"a/b~c": {"type": "integer"}}}},
        "sale": {"type": "number"},
        "regular": {"type": "number"},
    },
}


@pytest.fixture
def directory(tmp_path):
    (tmp_path / TYPE).mkdir()
    (tmp_path / TYPE / "1.json").write_text(json.dumps({"type": "string"}))
    (tmp_path / TYPE / "2.json").write_text(json.dumps(SCHEMA))
    return tmp_path


def sale_is_not_dearer(data):
    if data.get("sale", 0) > data.get("regular", 0):
        yield Violation("/sale", "sale_le_regular", "The sale price is above the regular price.")


def test_every_violation_is_listed_with_its_place_and_class(directory):
    data = {"id": "no", "at": "no", "lines": [{}, {"a/b~c": "x"}], "sku2": 1}
    found = {(one.pointer, one.keyword, one.error) for one in Schemas.load(directory).violations(TYPE, data)}
    assert found == {
        ("/sku", "required", "required_field_missing"),
        ("/id", "format", "format_invalid"),
        ("/at", "format", "format_invalid"),
        ("/lines/1/a~1b~0c", "type", "type_mismatch"),
        ("", "additionalProperties", "unknown_field"),
    }
    [long] = Schemas.load(directory).violations(TYPE, {"sku": "x" * 10_000})
    assert (long.error, len(long.message)) == ("length_exceeded", 501)


def test_the_newest_version_counts(directory):
    assert Schemas.load(directory).get(TYPE).version == 2
    assert Schemas.load(directory).violations(TYPE, {"sku": "abc"}) == []


def test_business_rules_speak_after_the_schema(directory):
    schemas = Schemas.load(directory, rules={TYPE: [sale_is_not_dearer]})
    assert schemas.violations(TYPE, {"sku": "a", "sale": 1, "regular": 2}) == []
    with pytest.raises(SchemaRejected) as rejected:
        schemas.require(TYPE, {"sku": "a", "sale": 3, "regular": 2})
    [found] = rejected.value.violations
    assert (found["pointer"], found["error"]) == ("/sale", "business_logic_violation")
    [found] = schemas.merged(Schemas(rules={TYPE: [lambda _: ()]})).violations(TYPE, {"sku": "a", "sale": 1})
    assert found.keyword == "sale_le_regular"


def test_an_unknown_type_is_refused_with_the_nearest_one(directory):
    with pytest.raises(UnknownEventType, match=r"Did you mean shop\.price\.updated"):
        Schemas.load(directory).require("shop.price.update", {})


@pytest.mark.parametrize("text", ["{", '{"type": "strin"}', '{"properties": []}'])
def test_a_file_that_is_no_schema_is_named(directory, text):
    (directory / TYPE / "3.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"3\.json"):
        Schemas.load(directory)


def test_violation_metrics_do_not_grow_with_payloads(directory):
    schemas = Schemas.load(directory)
    for number in range(20):
        schemas.violations(TYPE, {"sku": "a", "lines": [{}] * number + [{"a/b~c": "x"}]})
    lines = [one for one in render_metrics().decode().splitlines() if "event_validation_errors_total{" in one]
    assert len([one for one in lines if "/lines" in one and TYPE in one]) == 1


def test_a_payload_nested_deeper_than_the_validator_follows_is_refused(tmp_path):
    path = tmp_path / "deep.thing.done" / "1.json"
    path.parent.mkdir()
    path.write_text('{"type": "object"}')
    schemas, deep = Schemas.load(tmp_path), json.loads("[" * 500 + "]" * 500)
    [violation] = schemas.violations("deep.thing.done", deep)
    assert (violation.keyword, violation.error) == ("depth", "type_mismatch")
    with pytest.raises(SchemaRejected):
        schemas.require("deep.thing.done", deep)
