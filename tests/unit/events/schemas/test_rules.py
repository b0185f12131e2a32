"""Business rules: what JSON Schema cannot say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from opsplane.clock import SYSTEM, ManualClock
from opsplane.commerce.catalog import service
from opsplane.events import new_event
from opsplane.events.schemas import SchemaRejected, ascending, not_in_the_future, positive_when
from opsplane.service import event_schemas

PRICES = ascending("specialPrice", "salePrice", "regularPrice")
CATALOG = event_schemas([service])


def eur(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        ({"specialPrice": 1, "salePrice": 2, "regularPrice": 3}, []),
        ({"specialPrice": "9.99", "salePrice": "10.00"}, []),  # as numbers, not as texts
        ({"specialPrice": 4, "salePrice": 2, "regularPrice": 3}, ["/specialPrice"]),
        ({"specialPrice": 3, "salePrice": 2, "regularPrice": 1}, ["/specialPrice", "/salePrice"]),
        ({"specialPrice": eur("4.00"), "regularPrice": eur("3.99")}, ["/specialPrice"]),
        ({"specialPrice": eur("4"), "regularPrice": {"amount": "9", "currency": "USD"}}, ["/regularPrice"]),
        ({"specialPrice": 4, "salePrice": None, "regularPrice": 3}, ["/specialPrice"]),
        ({"salePrice": True, "regularPrice": "x"}, []),
        ({}, []),
        ("text", []),
    ],
)
def test_prices_ascend(data, pointers) -> None:
    found = list(PRICES(data))
    assert [one.pointer for one in found] == pointers
    assert {one.error for one in found} <= {"business_logic_violation"}


def test_in_stock_needs_a_positive_quantity() -> None:
    rule = positive_when("status", "in_stock", "quantity", "stock")
    assert list(rule({"status": "in_stock", "stock": 1})) == []
    assert list(rule({"status": "out_of_stock", "stock": 0})) == []
    assert [one.pointer for one in rule({"status": "in_stock", "stock": 0})] == ["/stock"]
    assert [one.pointer for one in rule({"status": "in_stock"})] == ["/quantity"]


def test_not_from_the_future_within_what_clocks_differ() -> None:
    clock = ManualClock()
    rule = not_in_the_future("at", clock=clock)
    for ahead, broken in ((-1, 0), (299, 0), (301, 1)):
        at = clock.now() + timedelta(seconds=ahead)
        assert len(list(rule({"at": at.isoformat()}))) == broken
    assert list(rule({"at": "soon"})) == list(rule({"at": 5})) == list(rule([])) == []


def judged(kind: str, **changes):
    """What the platform's own schema and rules say about its example with changes."""
    data = {**CATALOG.get(kind).document["examples"][-1], **changes}
    try:
        CATALOG.verify(new_event(kind, data, source="catalog"))
    except SchemaRejected as refused:
        return [(one["pointer"], one["error"]) for one in refused.violations]
    return []


def test_the_catalogs_events_obey_them() -> None:
    future = (SYSTEM.now() + timedelta(days=1)).isoformat()
    broken = "business_logic_violation"
    assert judged("pricing.price.updated") == []
    assert judged("pricing.price.updated", specialPrice=eur("11.50")) == [("/specialPrice", broken)]
    assert judged("pricing.price.updated", salePrice=eur("12.51")) == [("/salePrice", broken)]
    assert judged("pricing.price.updated", changedAt=future) == [("/changedAt", broken)]
    assert judged("warehouse.inventory.stock_changed") == []
    assert judged("warehouse.inventory.stock_changed", stock=0) == [("/stock", broken)]
    assert judged("warehouse.inventory.stock_changed", stock=0, availability="out_of_stock") == []
    assert judged("catalog.product.created") == []
    assert judged("catalog.product.created", updatedAt=future) == [("/updatedAt", broken)]
    [product] = CATALOG.get("catalog.product.bulk_imported").document["examples"][0]["products"]
    wrong = [product, {**product, "updatedAt": future}]
    assert judged("catalog.product.bulk_imported", products=wrong) == [("/products/1/updatedAt", broken)]
