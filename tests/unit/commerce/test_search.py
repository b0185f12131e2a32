"""Search: what others told, in any order and any script, is found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplane.commerce.money import Money
from opsplane.commerce.search import repository, service
from opsplane.commerce.search.model import PriceUpdated, Product, ProductDeleted, StockChanged
from opsplane.commerce.search.text import asked, indexed, terms

SHELF = {
    "Thé à la menthe": "tea",
    "Crème brûlée": "food",
    "Мятный чай": "tea",
    "Ελληνικός καφές": "coffee",
    "شاي بالنعناع": "tea",
    "תה נענע": "tea",
    "पुदीना चाय": "tea",
    "薄荷茶叶礼盒": "tea",
    "ミントティー": "tea",
    "ชาสะระแหน่": "tea",
    "Gift 🎁 box 🍵": "gifts",
    "O'Brien's \\ mug": "gifts",
}


def product(
    name: str, category: str = "tea", *, key: UUID | None = None, version: int = 1, **changes: Any
) -> Product:
    facts: dict[str, Any] = {
        "id": key or uuid4(), "sku": f"SKU-{abs(hash(name)) % 10**6}", "name": name, "description": "",
        "category": category, "price": Money(Decimal("10.00"), "EUR"), "stock": 3, "active": True, "version": version,
    }  # fmt: skip
    return Product(**(facts | changes))


@pytest.fixture
async def search(serve: Any) -> Any:
    return await serve(service)


async def index(search: Any, *products: Product) -> None:
    async with search.pool.transaction() as tx:
        await repository.index_products(tx, products)


async def found(search: Any, **wanted: Any) -> list[str]:
    answer = await search.client.get("/api/v1/search", params=wanted)
    assert answer.status_code == 200, answer.text
    return [hit["name"] for hit in answer.json()["data"]]


async def test_every_script_is_found(search: Any) -> None:
    await index(search, *(product(name, category) for name, category in SHELF.items()))
    for asked_for, name in {
        "the menthe": "Thé à la menthe", "MENTHE": "Thé à la menthe", "brul": "Crème brûlée",
        "МЯТНЫЙ": "Мятный чай", "ελληνικος": "Ελληνικός καφές", "ΚΑΦΕΣ": "Ελληνικός καφές",
        "بالنعناع": "شاي بالنعناع", "נענע": "תה נענע", "चाय": "पुदीना चाय", "茶叶": "薄荷茶叶礼盒", "礼": "薄荷茶叶礼盒",
        "ティー": "ミントティー", "สะระแหน่": "ชาสะระแหน่", "🍵": "Gift 🎁 box 🍵", "o'brien": "O'Brien's \\ mug",
    }.items():  # fmt: skip
        assert await found(search, q=asked_for) == [name], asked_for
    assert await found(search, q="叶茶") == []
    assert await found(search, q="menthe nowhere") == []
    assert await found(search, q="...") == []
    assert len(await found(search)) == len(SHELF)


async def test_filters_facets_sorting_and_pages(search: Any) -> None:
    for number, price in enumerate(["5.00", "15.00", "25.00"]):
        await index(search, product(f"tea {number}", price=Money(Decimal(price), "EUR"), stock=number))
    await index(search, product("tea pot", "pots", price=Money(Decimal("20.00"), "EUR")))
    assert await found(search, q="tea", minPrice="10", maxPrice="20", sort="price") == ["tea 1", "tea pot"]
    assert await found(search, sort="-price", category="tea") == ["tea 2", "tea 1", "tea 0"]
    assert await found(search, inStock="false") == ["tea 0"]
    assert await found(search, currency="USD") == []
    answer = (await search.client.get("/api/v1/search?q=tea&category=pots&pageSize=1")).json()
    assert (answer["total"], answer["pages"]) == (1, 1)
    assert [(facet["category"], facet["products"], facet["inStock"]) for facet in answer["facets"]["category"]] == [
        ("tea", 3, 2), ("pots", 1, 1),
    ]  # fmt: skip
    beyond = (await search.client.get("/api/v1/search?q=tea&page=9")).json()
    assert (beyond["data"], beyond["total"]) == ([], 4)
    assert (await search.client.get("/api/v1/search?sort=magic")).status_code == 400
    assert (await search.client.get("/api/v1/search?minPrice=cheap")).status_code == 400


async def test_name_ranks_above_description(search: Any) -> None:
    await index(search, product("aaa cup", description="holds mint"), product("zzz mint"))
    assert await found(search, q="mint") == ["zzz mint", "aaa cup"]


async def test_events_may_come_in_any_order(search: Any) -> None:
    key = uuid4()
    async with search.pool.transaction() as tx:
        await repository.index_stocks(tx, [StockChanged(key, 7, 4), StockChanged(key, 9, 3)])
        await repository.index_price(tx, PriceUpdated(key, Money(Decimal(2), "EUR"), 2))
    assert await found(search) == []  # nobody told its name yet
    await index(search, product("tea", key=key, version=1))
    hit = (await search.client.get("/api/v1/search?q=tea")).json()["data"][0]
    assert (hit["stock"], hit["price"]["amount"]) == (7, "2.00")
    async with search.pool.transaction() as tx:
        await repository.forget_product(tx, ProductDeleted(key, "x", 6))
    await index(search, product("tea", key=key, version=5))
    assert await found(search) == []


async def test_what_is_not_on_sale_is_not_found(search: Any) -> None:
    key = uuid4()
    await index(search, product("tea", key=key))
    await index(search, product("tea", key=key, version=2, active=False))
    assert await found(search, q="tea") == []


async def test_nothing_anybody_types_breaks_it(search: Any) -> None:
    for text in ("' | !x", "a & | b", "\\", "'':*", "%", "<->", "🙂" * 200, "'" * 200):
        assert (await search.client.get("/api/v1/search", params={"q": text})).status_code == 200, text
    for wrong in ({"q": "a\x00b"}, {"category": "a\x00b"}, {"maxPrice": "1e999999"}, {"page": "9" * 18}):
        assert (await search.client.get("/api/v1/search", params=wrong)).status_code == 400, wrong


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_text_is_found_by_itself(text: str) -> None:
    wanted = terms(text)
    assert wanted == terms(text.upper()) or text.upper().lower() != text.lower()
    assert all(term.strip() for term in wanted)
    assert (asked(text) is None) == (not wanted) == (indexed((text, "A")) == "")
