"""The commerce services in one process, on real databases and a real broker, with their relays and consumers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from opsplane.clock import SYSTEM
from opsplane.commerce import catalog, customer, order, payment, search
from opsplane.database import Doorbell, Pool
from opsplane.embedded import Postgres
from opsplane.embedded.keys import ensure_keys
from opsplane.events import Broker, Consumer, ConsumerGroup, Outbox, Relay, RetryMover, connect
from opsplane.events import Service as Owner
from opsplane.resilience import Duty, Stop, run_duties
from opsplane.service import Runtime, Service, event_schemas, migrate_service
from opsplane.telemetry import Health
from opsplane.web import TokenIssuer, Verifier, create_app

SERVICES: tuple[Service, ...] = tuple(room.service for room in (customer, catalog, order, payment, search))
FINAL = {"CONFIRMED", "CANCELLED"}


class Shop:
    """What a test does with the platform: buys, looks, waits."""

    def __init__(self, broker: Broker, tokens: TokenIssuer) -> None:
        self.broker = broker
        self.tokens = tokens
        self.pools: dict[str, Pool] = {}
        self.clients: dict[str, httpx.AsyncClient] = {}

    def auth(self, sub: str = "anna", *roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.issue(sub, roles or ['customer'])}"}

    async def ask(self, service: str, method: str, path: str, *, json: Any = None, sub: str = "anna") -> Any:
        headers = self.auth(sub, "admin") if sub == "root" else self.auth(sub)
        answer = await self.clients[service].request(method, f"/api/v1/{path}", json=json, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def product(self, sku: str, stock: int, amount: str = "12.50") -> str:
        """The id of a new product that can be ordered."""
        wanted = {"sku": sku, "name": f"Tee {sku}", "category": "tea", "stock": stock, "price": {"amount": amount, "currency": "EUR"}}  # fmt: skip
        made = await self.ask("catalog", "POST", "products", json=wanted, sub="root")
        await self.until(lambda: self._priced(made["id"]))
        return str(made["id"])

    async def buy(self, product: str, quantity: int = 1, sub: str = "anna") -> str:
        """The id of a new order."""
        items = [{"productId": product, "quantity": quantity}]
        return str((await self.ask("order", "POST", "orders", json={"items": items}, sub=sub))["id"])

    async def status(self, id: str) -> str:  # noqa: A002
        return str((await self.ask("order", "GET", f"orders/{id}", sub="root"))["status"])

    async def stock(self, product: str) -> int:
        return int((await self.ask("catalog", "GET", f"products/{product}"))["stock"])

    async def paid(self, order_id: str) -> list[str]:
        """The statuses of the order's payments."""
        found = await self.ask("payment", "GET", f"payments?orderId={order_id}", sub="root")
        return [str(row["status"]) for row in found["data"]]

    async def processor(self, **behaviour: Any) -> None:
        wanted = {"latencyMs": 0, "failureRate": 0.0, "outage": False} | behaviour
        await self.ask("payment", "PUT", "payments/processor", json=wanted, sub="root")

    async def until(self, condition: Any, timeout: float = 30.0) -> Any:
        """What `condition` answers once it is true."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not (answer := await condition()):
            assert asyncio.get_running_loop().time() < deadline, "this did not become true in time"
            await asyncio.sleep(0.02)
        return answer

    async def settled(self, *orders: str) -> list[str]:
        """The orders' statuses once all are final and nothing is on its way any more."""

        async def final() -> bool:
            return all([await self.status(order) in FINAL for order in orders])

        await self.until(final)
        await self.quiet()
        return [await self.status(order) for order in orders]

    async def quiet(self) -> None:
        """Return when every outbox is empty and every group has handled everything."""
        for _ in range(2):
            await self.until(self._nothing_on_its_way)
            await asyncio.sleep(0.05)

    async def again(self, *topics: str) -> int:
        """Deliver every event of the topics a second time; how many that were."""
        copies = 0
        for group in await self.broker.call("KEYS", "opsplane:seen:*"):
            await self.broker.call("DEL", group)
        for topic in topics:
            for _, fields in await self.broker.call("XRANGE", topic, "-", "+"):
                await self.broker.call("XADD", topic, "*", *fields)
                copies += 1
        return copies

    async def dead_letters(self) -> int:
        keys = await self.broker.call("KEYS", "*.dlq")
        return sum([await self.broker.call("XLEN", key) for key in keys])

    async def _priced(self, product: str) -> bool:
        found = await self.pools["order"].fetch_one(
            "select 1 from price where product_id = %s and for_sale and price is not null", [product]
        )
        return found is not None

    async def _nothing_on_its_way(self) -> bool:
        for pool in self.pools.values():
            waiting = await pool.fetch_one("select 1 from outbox where published_at is null limit 1")
            if waiting is not None:
                return False
        for service in SERVICES:
            for group, consumers in service.groups().items():
                for topic in {topic for consumer in consumers for topic in consumer.topics}:
                    if not await self._handled(topic, group):
                        return False
                if await self.broker.call("ZCARD", f"opsplane:retry:{group}"):
                    return False
        return True

    async def _handled(self, topic: str, group: str) -> bool:
        for facts in await self.broker.call("XINFO", "GROUPS", topic):
            known = dict(zip(map(_text, facts[::2]), facts[1::2], strict=True))
            if _text(known["name"]) == group:
                return known["pending"] == 0 and known["lag"] == 0
        return False


def client_of(app: Any) -> httpx.AsyncClient:
    """A client in the same event loop: the application shares its pool with the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@asynccontextmanager
async def opened(
    postgres: Postgres,
    broker_url: str,
    directory: Path,
    consumers: Mapping[str, Sequence[Consumer]] | None = None,
) -> AsyncIterator[Shop]:
    """A running shop; `consumers` replaces those of the named services."""
    ensure_keys(directory)
    verifier = Verifier(directory / "jwks.json", "opsplane", "opsplane")
    tokens = TokenIssuer(directory / "issuer.pem", directory / "jwks.json", "opsplane", "opsplane")
    schemas = event_schemas(SERVICES)
    names = {service.name: f"{service.name}_{secrets.token_hex(4)}" for service in SERVICES}
    postgres.provision({name: name for name in names.values()})
    async with AsyncExitStack() as stack:
        stack.callback(_drop, postgres, list(names.values()))
        broker = connect(broker_url)
        stack.push_async_callback(broker.close)
        shop, duties = Shop(broker, tokens), []
        for service in SERVICES:
            database = names[service.name]
            pool = await Pool.open(postgres.dsn(database, database, database), name=service.name, max_size=6)
            stack.push_async_callback(pool.close)
            await migrate_service(service, pool)
            doorbell = Doorbell(pool.dsn)
            stack.push_async_callback(doorbell.close)
            outbox = Outbox(schemas, service.name, doorbell)
            runtime = Runtime(pool, outbox, verifier, tokens)
            app = create_app(service.name, service.api(runtime), verifier=verifier, health=Health())
            shop.pools[service.name] = pool
            shop.clients[service.name] = await stack.enter_async_context(client_of(app))
            duties.append(Relay(service.database, pool, broker, doorbell))
            wanted = (consumers or {}).get(service.name, service.consumers)
            if wanted:
                owner = Owner(service.name, pool, outbox, SYSTEM)
                duties.append(ConsumerGroup(wanted, owner, broker, schemas))
        duties.append(RetryMover(broker, sorted({g for s in SERVICES for g in s.groups()}), SYSTEM))
        await stack.enter_async_context(_running(duties))
        await shop.processor()
        yield shop


@asynccontextmanager
async def _running(duties: list[Duty]) -> AsyncIterator[None]:
    stop = Stop()
    task = asyncio.create_task(run_duties(duties, stop))
    try:
        yield
    finally:
        stop.set()
        await task


def _drop(postgres: Postgres, databases: list[str]) -> None:
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        for name in databases:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]
            connection.execute(f"DROP ROLE IF EXISTS {name}")  # type: ignore[arg-type]
