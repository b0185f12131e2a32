"""Documents: drafts, formats, references, examples."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from tests.unit.events.schemas.conftest import SUBJECT, price

from opsplane.errors import InvalidInput
from opsplane.events import Schemas, new_event
from opsplane.events.schemas import InvalidSchema, SchemaRejected, schema
from opsplane.events.schemas.document import DRAFT_07, failing_examples
from opsplane.events.schemas.violations import CLASSES

ID = {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}}
UUID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


@pytest.mark.parametrize("draft", [{"$schema": DRAFT_07 + "#"}, {}], ids=["draft-07", "2020-12"])
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uuid", UUID, UUID.replace("-", "")),
        ("uuid", UUID.upper(), UUID + "\n"),
        ("duration", "P1DT2H", "1 day"),
        ("duration", "P3W", "P1Y2D"),
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02 03:04"),
    ],
)
def test_formats_are_asserted_in_both_drafts(draft, name, good, bad) -> None:
    one = schema(SUBJECT, 1, {**draft, "type": "string", "format": name})
    assert one.violations(good) == []
    assert [found.error for found in one.violations(bad)] == ["format_invalid"]


@pytest.mark.parametrize("draft", [{"$schema": DRAFT_07 + "#"}, {}], ids=["draft-07", "2020-12"])
def test_annotated_formats_are_not_and_the_verdict_says_which(draft) -> None:
    event = new_event(SUBJECT, {"id": 5}, source="shop")
    for one, word in (
        (schema(SUBJECT, 1, {**draft, **ID}), "asserted"),
        (schema(SUBJECT, 1, {**draft, **ID, "x-formats": "annotate"}), "annotated"),
        (schema(SUBJECT, 1, {**draft, **ID}, formats="annotate"), "annotated"),
    ):
        assert (one.violations({"id": "no"}) == []) is (word == "annotated")
        with pytest.raises(SchemaRejected, match=rf"of version 1 \(formats {word}\)") as refused:
            Schemas([one]).verify(event)
        assert (refused.value.version, refused.value.formats) == (1, one.formats)


def test_a_schema_may_describe_the_whole_event() -> None:
    document = {
        "required": ["subject"],
        "properties": {"data": price(), "source": {"const": "shop"}, "subject": {"type": "string"}},
        "x-scope": "event",
    }
    schemas = Schemas([schema(SUBJECT, 1, document)])
    good = new_event(SUBJECT, {"sku": "a"}, source="shop", subject="a")
    assert schemas.verify(good).scope == "event"
    assert schemas.admit(good).dataschema == f"urn:opsplane:schema:{SUBJECT}:1"
    with pytest.raises(SchemaRejected) as refused:
        schemas.verify(new_event(SUBJECT, {"sku": 1}, source="other"))
    found = {(one["pointer"], one["error"]) for one in refused.value.violations}
    assert found == {
        ("/subject", "required_field_missing"), ("/data/sku", "type_mismatch"), ("/source", "format_invalid"),
    }  # fmt: skip


def test_network_references_are_refused_and_nobody_is_asked() -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)

        def listen() -> None:
            try:
                asked.append(server.accept()[1])
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        reference = f"http://127.0.0.1:{server.getsockname()[1]}/shared.json"
        with pytest.raises(InvalidSchema, match="nothing is fetched from elsewhere") as refused:
            schema(SUBJECT, 1, {"properties": {"a": {"$ref": reference}}})
        listener.join()
    assert (refused.value.reference, asked) == (reference, [])
    assert "definitions" in refused.value.remedy


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"$ref": "file:///etc/hostname"}, "file:///etc/hostname"),
        ({"$ref": "other.json"}, "other.json"),
        ({"$ref": "#/definitions/missing"}, "does not exist"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft-04"),
        ({"$schema": 5}, "written in 5"),
        ({"type": "strin"}, "Not a JSON Schema"),
        ({"x-scope": "all"}, "x-scope is 'all'"),
        ([], "JSON object"),
        (True, "JSON object"),
    ],
)
def test_what_is_no_usable_schema_is_refused_with_its_fault(document, told) -> None:
    with pytest.raises(InvalidSchema, match=told):
        schema(SUBJECT, 1, document)


def test_a_file_of_another_draft_is_named(tmp_path) -> None:
    (tmp_path / SUBJECT).mkdir()
    (tmp_path / SUBJECT / "1.json").write_text(
        json.dumps({"$schema": "http://json-schema.org/draft-04/schema#"})
    )
    with pytest.raises(InvalidInput, match=r"1\.json.*draft-04"):
        Schemas.load(tmp_path)


def test_examples_that_fail_are_named_wherever_they_stand() -> None:
    document = price(
        amount={"type": "number", "examples": [1, "x"]},
        money={"$ref": "#/$defs/money", "examples": [{"amount": 1}, {"amount": None}]},
    )
    document["$defs"] = {"money": {"type": "object", "properties": {"amount": {"$ref": "#/$defs/amount"}}}}
    document["$defs"]["amount"] = {"type": "number"}
    document["examples"] = [{"sku": "a"}, {"sku": 1}, {"sku": "b", "more": 1}]
    found = failing_examples(schema(SUBJECT, 1, document))
    assert [one.partition(":")[0] for one in found] == [
        "/examples/1", "/examples/2", "/properties/amount/examples/1", "/properties/money/examples/1",
    ]  # fmt: skip
    assert failing_examples(schema(SUBJECT, 1, {**price(), "examples": [{"sku": "a"}]})) == []


@pytest.mark.parametrize(
    ("keyword", "document", "data", "error"),
    [
        ("required", price(), {}, "required_field_missing"),
        ("format", ID, {"id": "x"}, "format_invalid"),
        ("pattern", {"pattern": "^a"}, "b", "format_invalid"),
        ("enum", {"enum": [1]}, 2, "format_invalid"),
        ("minimum", {"minimum": 1}, 0, "format_invalid"),
        ("maxLength", {"maxLength": 1}, "ab", "length_exceeded"),
        ("minItems", {"minItems": 1}, [], "length_exceeded"),
        ("type", {"type": "string"}, 1, "type_mismatch"),
        ("anyOf", {"anyOf": [{"type": "string"}]}, 1, "type_mismatch"),
        ("additionalProperties", price(), {"sku": "a", "b": 1}, "unknown_field"),
    ],
)
def test_every_violation_has_one_of_the_six_classes(keyword, document, data, error) -> None:
    [found] = schema(SUBJECT, 1, document).violations(data)
    assert (found.keyword, found.error) == (keyword, error)
    assert set(CLASSES) == {
        "required_field_missing", "format_invalid", "business_logic_violation", "length_exceeded", "type_mismatch",
        "unknown_field",
    }  # fmt: skip
