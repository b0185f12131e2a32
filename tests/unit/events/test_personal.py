"""What schemas call personal is masked, wherever in an event it stands and whatever repeats it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from opsplane.events.personal import MASK, Personal

TOPIC, CANARY = "customers.customer.created", "canary-7Qx@example.org"
SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "email": {"type": "string", "x-personal": True},
        "name": {"type": "string", "writeOnly": True},
        "age": {"$ref": "#/$defs/secret"},
        "address": {"type": "object", "x-personal": True},
        "orders": {"type": "array", "items": {"type": "object", "properties": {
            "sku": {"type": "string"}, "phone": {"x-personal": True}}}},
        "contact": {"oneOf": [{"type": "null"}, {"properties": {"phone": {"x-personal": True}, "kind": {}}}]},
        "labels": {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": {"x-personal": True}},
    },
    "$defs": {"secret": {"type": "integer", "x-personal": True}},
}  # fmt: skip


def personal(scope: str = "data", **more: Any) -> Personal:
    documents = {TOPIC: SCHEMA, **more}
    return Personal(
        SimpleNamespace(
            get=lambda kind: documents.get(kind) and SimpleNamespace(document=documents[kind], scope=scope)
        )
    )


def event(data: Any, **fields: Any) -> bytes:
    body = {"specversion": "1.0", "id": "1", "source": "shop", "type": TOPIC, "data": data, **fields}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"id": "7", "email": CANARY}, {"id": "7", "email": MASK}),
        ({"name": CANARY, "age": 12345}, {"name": MASK, "age": MASK}),
        ({"address": {"street": [CANARY]}}, {"address": MASK}),
        ({"orders": [{"sku": "a", "phone": CANARY}]}, {"orders": [{"sku": "a", "phone": MASK}]}),
        ({"contact": {"phone": CANARY, "kind": 1}}, {"contact": {"phone": MASK, "kind": 1}}),
        ({"labels": {"x-a": "b", "c": CANARY}}, {"labels": {"x-a": "b", "c": MASK}}),
        ({"emial": CANARY}, {"emial": MASK}),  # not described, so nobody knows what it is
        ({"orders": CANARY}, {"orders": MASK}),  # not of its type
        ([CANARY], [MASK]),
        (CANARY, MASK),
    ],
)
def test_personal_values_are_masked_and_others_are_not(data, seen):
    view = personal().view(event(data), TOPIC)
    assert view.event["data"] == seen
    assert view.is_masked


@pytest.mark.parametrize(
    "body", [CANARY.encode(), json.dumps({"email": CANARY}).encode(), b'{"email": "' + CANARY.encode()]
)
def test_what_is_no_event_is_masked_whole_where_the_topic_has_personal_data(body):
    assert personal().view(body, TOPIC).event == MASK
    assert CANARY in str(personal().view(body, "catalog.product.created").event)


def test_binary_data_and_subject_are_masked_too():
    view = personal().view(event({"email": CANARY}, data_base64="Y2FuYXJ5", subject=f"user:{CANARY}"), TOPIC)
    assert CANARY not in str(view.event)
    assert (view.event["data_base64"], view.event["subject"]) == (MASK, f"user:{MASK}")


def test_texts_about_the_event_do_not_repeat_its_values():
    value = 'Ann "Q" O\'Neil\\'
    view = personal().view(event({"name": value, "email": "li", "age": 123456}), TOPIC)
    for text in (f"no {value}!", json.dumps({"name": value}), repr([value]), 'the "li" is', "age 123456"):
        assert MASK in view.text(text)
    assert view.text("line up") == "line up", "a short value is masked where it stands in quotes only"
    assert view.within([{"pointer": "/name", "message": f"{value} is wrong"}]) == [
        {"pointer": "/name", "message": f"{MASK} is wrong"}
    ]


def test_a_value_cut_off_at_the_end_of_a_text_is_masked():
    view = personal().view(event({"email": CANARY}), TOPIC)
    assert view.text(f"it was {CANARY[:9]}…") == f"it was {MASK}…"


def test_a_type_without_annotations_is_shown_as_it_is():
    plain = {"shop.item.created": {"properties": {"a": {}}}}
    data = event({"a": 1, "b": CANARY}, type="shop.item.created")
    view = personal(**plain).view(data, "shop.item.created")
    assert (view.event["data"], view.is_masked) == ({"a": 1, "b": CANARY}, False)


def test_the_topic_counts_where_the_type_has_no_personal_data():
    assert CANARY not in str(personal().view(event({"email": CANARY}, type="no.such.type"), TOPIC).event)


def test_a_schema_of_the_whole_event_masks_in_its_data_and_beside_it():
    whole = {
        "properties": {"data": {"$ref": "#/$defs/data"}, "subject": {"x-personal": True}},
        "$defs": {"data": SCHEMA["properties"]["orders"]["items"]},
    }
    view = personal("event", **{TOPIC: whole}).view(
        event({"sku": "a", "phone": CANARY}, subject="anna"), TOPIC
    )
    assert view.event["data"] == {"sku": "a", "phone": MASK}
    assert (view.event["subject"], view.event["id"], view.event["source"]) == (MASK, "1", "shop")
