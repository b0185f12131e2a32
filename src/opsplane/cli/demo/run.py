"""One order end to end: request → event → consumers → export task → result file, each hop checked."""

from __future__ import annotations

import csv
import io
import secrets
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from opsplane.cli.demo.calls import call, create_export, download, follow, until
from opsplane.cli.demo.seed import seed_when_empty
from opsplane.cli.demo.trace import Hop, HopFailed, Trace

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.database import Pool

COLUMNS = ("id", "customer_id", "status", "currency", "total")
STOCK, QUANTITY = 100, 3


async def run_demo(opened: Session, trace: Trace, seed: int) -> bool:
    """Whether every hop did what it should; `trace` has them all."""
    staff = await opened.api()
    async with httpx.AsyncClient(base_url=staff.base_url, timeout=15.0) as client:
        try:
            async with trace.hop("demo data") as hop:
                await seed_when_empty(staff, seed, hop)
            await _sign_in(client, trace)
            product = await _offer(staff, client, trace)
            order = await _buy(client, trace, product)
            await _follow_saga(client, trace, product, order)
            await _export(staff, trace, order, await opened.pool("order"))
        except HopFailed:
            return False
    return trace.well


async def _sign_in(client: httpx.AsyncClient, trace: Trace) -> None:
    account = {
        "email": f"demo-{secrets.token_hex(6)}@example.org",
        "password": secrets.token_urlsafe(16),
        "name": "Zoë 安娜",
    }
    async with trace.hop("sign-up") as hop:
        session = await call(client, "POST", "/api/v1/auth/signup", json=account)
        hop.must(session["customer"]["name"] == account["name"], "The name came back changed.")
        hop.saw(customer=session["customer"]["id"], email=account["email"])
    async with trace.hop("login") as hop:
        login = {name: account[name] for name in ("email", "password")}
        session = await call(client, "POST", "/api/v1/auth/login", json=login)
        client.headers["Authorization"] = f"Bearer {session['accessToken']}"
        me = await call(client, "GET", "/api/v1/customers/me")
        hop.must(me["email"] == account["email"], "The token is somebody else's.")
        hop.saw(roles=me["roles"])


async def _offer(staff: httpx.AsyncClient, client: httpx.AsyncClient, trace: Trace) -> dict[str, Any]:
    sku = f"RUN-{secrets.token_hex(4)}"
    wanted = {
        "sku": sku, "name": f"Thé du jour 今日の茶 {sku}", "category": "tea", "stock": STOCK,
        "price": {"amount": "12.50", "currency": "EUR"},
    }  # fmt: skip
    async with trace.hop("product created") as hop:
        product: dict[str, Any] = await call(staff, "POST", "/api/v1/products", json=wanted)
        hop.saw(product=product["id"], sku=sku)
    async with trace.hop("found by search") as hop:

        async def found() -> bool:
            hits = (await call(client, "GET", "/api/v1/search", params={"q": f"the jour {sku}"}))["data"]
            return [hit["id"] for hit in hits] == [product["id"]]

        await until(found, "Search did not find the product")
        hop.saw(group="search-service", topic="catalog.product.created")
    return product


async def _buy(client: httpx.AsyncClient, trace: Trace, product: dict[str, Any]) -> dict[str, Any]:
    wanted = {"items": [{"productId": product["id"], "quantity": QUANTITY}]}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    async with trace.hop("order placed") as hop:

        async def taken() -> Any:
            answer = await client.post("/api/v1/orders", json=wanted, headers=key)
            if answer.status_code == 400:  # the order service has not heard of the price yet
                return None
            return answer

        answer = await until(taken, "The order service did not hear of the product")
        hop.must(answer.status_code == 201, f"It was answered {answer.status_code}: {answer.text[:300]}")
        order: dict[str, Any] = answer.json()
        hop.must(order["total"] == {"amount": "37.50", "currency": "EUR"}, f"The total is {order['total']}.")
        hop.saw(order=order["id"], total="37.50 EUR", status=order["status"])
    async with trace.hop("order repeated") as hop:
        again = await call(client, "POST", "/api/v1/orders", json=wanted, headers=key)
        hop.must(again["id"] == order["id"], "The same Idempotency-Key made another order.")
    return order


async def _follow_saga(
    client: httpx.AsyncClient, trace: Trace, product: dict[str, Any], order: dict[str, Any]
) -> None:
    async with trace.hop("paid") as hop:

        async def paid() -> Any:
            found = (await call(client, "GET", f"/api/v1/payments?orderId={order['id']}"))["data"]
            return next((one for one in found if one["status"] != "charging"), None)

        payment = await until(paid, "There was no payment")
        hop.must(payment["status"] == "confirmed", f"The payment is {payment['status']}: {payment['reason']}")
        hop.saw(payment=payment["id"], status=payment["status"], topic="payments.payment.confirmed")
    async with trace.hop("order confirmed") as hop:

        async def final() -> Any:
            found = await call(client, "GET", f"/api/v1/orders/{order['id']}")
            return found if found["status"] != "PENDING" else None

        found = await until(final, "The order stayed PENDING")
        hop.must(found["status"] == "CONFIRMED", f"The order is {found['status']}: {found['reason']}")
        placed, confirmed = (datetime.fromisoformat(step["at"]) for step in found["history"])
        hop.saw(status="CONFIRMED", since_placed_ms=round((confirmed - placed).total_seconds() * 1000, 1))
    await _check_stock(client, trace, product)


async def _check_stock(client: httpx.AsyncClient, trace: Trace, product: dict[str, Any]) -> None:
    left = STOCK - QUANTITY
    async with trace.hop("stock taken") as hop:

        async def taken() -> bool:
            return bool((await call(client, "GET", f"/api/v1/products/{product['id']}"))["stock"] == left)

        await until(taken, f"The stock did not become {left}")
        hop.saw(stock=left, topic="warehouse.inventory.stock_changed")
    async with trace.hop("search has new stock") as hop:

        async def told() -> bool:
            hits = (await call(client, "GET", "/api/v1/search", params={"q": product["sku"]}))["data"]
            return bool(hits and hits[0]["stock"] == left)

        await until(told, f"Search did not show a stock of {left}")
        hop.saw(stock=left)


async def _export(staff: httpx.AsyncClient, trace: Trace, order: dict[str, Any], pool: Pool) -> None:
    before = await _rows(pool, order["createdAt"])
    async with trace.hop("export task") as hop:
        params = {"columns": COLUMNS, "filters": {"created_at": {"le": order["createdAt"]}}}
        task = await create_export(staff, "order", params)
        hop.saw(task=task["id"], status=task["status"])
    async with trace.hop("export progress") as hop:
        finished, seen = await follow(staff, task["id"])
        hop.must("snapshot" in seen, "The stream brought no snapshot.")
        hop.saw(events=seen, records=finished["processedRecords"])
    async with trace.hop("result downloaded") as hop:
        content = await download(staff, task["id"])
        hop.saw(bytes=len(content), file=finished["resultFile"]["fileName"])
    async with trace.hop("result equals database") as hop:
        _compare(hop, content, before, await _rows(pool, order["createdAt"]))
        hop.must(order["id"] in before, "The order is not in the database.")


async def _rows(pool: Pool, until_then: str) -> dict[str, tuple[Any, ...]]:
    rows = await pool.fetch(
        "select id::text, customer_id, status, currency, total from customer_order where created_at <= %s",
        [datetime.fromisoformat(until_then)],
    )
    return {row["id"]: tuple(row[name] for name in COLUMNS) for row in rows}


def _compare(
    hop: Hop, content: bytes, before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]
) -> None:
    """Check that each row of the file is as the database had it (others may be buying while it is written)."""
    found = {}
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"))):
        values = [*(row[name] for name in COLUMNS[:-1]), Decimal(row["total"])]
        found[row["id"]] = tuple(values)
    wrong = [one for one, row in found.items() if row not in (before.get(one), after.get(one))]
    hop.must(found.keys() == before.keys(), f"The file has {len(found)} orders, the database {len(before)}.")
    hop.must(not wrong, f"{len(wrong)} rows differ from the database, first: {wrong[:1]}")
    hop.saw(rows=len(found))
