"""Which version of a schema judges an event."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.events.schemas.conftest import NUMBER, SUBJECT, price

from opsplane.events import Schemas, new_event
from opsplane.events.schemas import SchemaRejected, UnknownEventType, schema

FIRST, SECOND = price(), price("amount", amount=NUMBER)
OLD, NEW = {"sku": "a"}, {"sku": "a", "amount": 1}


def versions(*states: str) -> Schemas:
    found = zip((FIRST, SECOND, price(other=NUMBER)), states, strict=False)
    return Schemas(
        [schema(SUBJECT, number, one, state=state) for number, (one, state) in enumerate(found, 1)]
    )


def event(data, dataschema=None):
    return msgspec.structs.replace(new_event(SUBJECT, data, source="shop"), dataschema=dataschema)


def named(version, kind=SUBJECT) -> str:
    return f"urn:opsplane:schema:{kind}:{version}"


@pytest.mark.parametrize(
    ("dataschema", "judge"),
    [
        (None, 2),
        (named(1), 1),
        (named(2), 2),
        (f"https://api.example.org/api/v1/schemas/subjects/{SUBJECT}/versions/1", 1),
        (named(3), 2),  # a draft judges nothing
        (named(9), 2),
        (named(1, "shop.other.thing"), 2),
        ("https://example.org/elsewhere.json", 2),
        ("", 2),
    ],
)
@pytest.mark.parametrize("first", ["active", "deprecated"])
def test_the_named_version_else_the_newest_active(dataschema, judge, first) -> None:
    assert versions(first, "active", "draft").of(event(OLD, dataschema)).version == judge


def test_an_event_is_judged_by_the_version_it_was_published_under_even_when_a_newer_one_forbids_it() -> None:
    published = versions("active").admit(event(OLD))
    assert published.dataschema == named(1)
    later = versions("deprecated", "active")
    assert later.verify(published).version == 1
    with pytest.raises(SchemaRejected):
        later.verify(event(OLD))


def test_a_type_without_an_active_version_can_be_read_but_not_published() -> None:
    retired = versions("deprecated", "deprecated")
    assert retired.verify(event(NEW)).version == 2
    with pytest.raises(UnknownEventType, match=r"No version of the schema of .* is active any more"):
        retired.admit(event(NEW))
    assert retired.admit(event(OLD, named(1))).dataschema == named(1)


def test_the_registry_replaces_what_it_knows_and_leaves_the_rest() -> None:
    other = "shop.stock.changed"
    schemas = Schemas([schema(SUBJECT, 1, FIRST), schema(SUBJECT, 5, FIRST), schema(other, 1, FIRST)])
    schemas.adopt([schema(SUBJECT, 2, SECOND)])
    assert (schemas.get(SUBJECT).version, schemas.get(other).version) == (2, 1)
    assert schemas.of(event(OLD, named(1))).version == 2  # the file's version is not the registry's
    schemas.adopt([])
    assert schemas.get(SUBJECT).version == 5
    assert [one.version for one in schemas.declared] == [1, 5, 1]


def test_faults_are_those_the_chain_finds() -> None:
    both = versions("active", "active")
    assert both.faults(event(OLD, named(1))) == []
    assert [one.pointer for one in both.faults(event(OLD))] == ["/amount"]
