"""Customers by the thousand: orders at a fixed rate, whether or not earlier ones were answered (open loop)."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from opsplane.cli.demo.calls import call
from opsplane.cli.demo.seed import seed_when_empty
from opsplane.cli.demo.trace import Hop, HopFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opsplane.cli.session import Session

FINAL = frozenset({"CONFIRMED", "CANCELLED"})
PATIENCE = 60.0
SEARCHING, CANCELLING = 0.2, 0.02


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is bought: one order in five follows a search, one in fifty is cancelled at once."""

    orders: int = 1000
    rate: float = 50.0
    customers: int = 20
    seed: int = 1


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds within which half, nine in ten and ninety-nine in a hundred were done, and the longest."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: list[float]) -> Latency:
        """The percentiles of some durations; zeros when there are none."""
        ordered = sorted(seconds) or [0.0]
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.9, 0.99)]
        return cls(*(round(one * 1000, 1) for one in (*at, ordered[-1])))


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load: `order` is the latency of placing one, counted from when it was due; `final` until it got final."""

    orders: int
    rate: float
    seconds: float
    outcomes: dict[str, int]
    unfinished: int
    errors: dict[str, int]
    order: Latency
    final: Latency
    search: Latency

    @property
    def well(self) -> bool:
        """Whether every order reached a final state and nothing went wrong."""
        return not self.errors and self.unfinished == 0 and sum(self.outcomes.values()) == self.orders

    def rows(self) -> list[dict[str, Any]]:
        """The same for a table."""
        facts: dict[str, Any] = {
            "orders": self.orders,
            "rate": self.rate,
            "seconds": self.seconds,
            **self.outcomes,
        }
        facts |= {"unfinished": self.unfinished, "errors": sum(self.errors.values()), **self.errors}
        for name in ("order", "final", "search"):
            found: Latency = getattr(self, name)
            facts[f"{name} p50/p90/p99 ms"] = f"{found.p50} / {found.p90} / {found.p99}"
        return [{"what": name, "value": value} for name, value in facts.items()]


class Load:
    """The customers of one run and what they met."""

    def __init__(self, clients: list[httpx.AsyncClient], plan: LoadPlan) -> None:
        self._clients, self._plan = clients, plan
        self._chance = random.Random(plan.seed)  # noqa: S311  a choice of goods, not a secret
        self._tokens: list[str] = []
        self._products: list[dict[str, Any]] = []
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.durations: dict[str, list[float]] = {"order": [], "final": [], "search": []}

    async def prepare(self) -> None:
        """Sign the customers up and look at what can be bought in euros."""
        turns = asyncio.Semaphore(4)

        async def join(number: int) -> str:
            account = {
                "email": f"load-{secrets.token_hex(6)}@example.org",
                "password": secrets.token_urlsafe(12),
                "name": f"Customer {number}",
            }
            async with turns:
                session = await call(self._clients[number], "POST", "/api/v1/auth/signup", json=account)
            return str(session["accessToken"])

        self._tokens = await asyncio.gather(*(join(number) for number in range(self._plan.customers)))
        for page in (1, 2, 3):
            wanted = {"currency": "EUR", "inStock": "true", "sort": "name", "pageSize": 500, "page": page}
            self._products += (await call(self._clients[0], "GET", "/api/v1/search", params=wanted))["data"]
        if not self._products:
            raise HopFailed("There is nothing to buy in euros.")

    async def run(self) -> None:
        """Place every order at its time and wait until each is final."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.orders):
                due = started + number / self._plan.rate
                if (ahead := due - loop.time()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(self._one(number, due))

    async def _one(self, number: int, due: float) -> None:
        try:
            await self._buy(number, due)
        except HopFailed as error:
            self.errors[error.message[:120]] += 1
        except httpx.HTTPError as error:
            self.errors[f"{type(error).__name__} {error}"[:120]] += 1

    async def _buy(self, number: int, due: float) -> None:
        loop = asyncio.get_running_loop()
        client = self._clients[number % len(self._clients)]
        me = {"Authorization": f"Bearer {self._tokens[number % len(self._tokens)]}"}
        products = self._chance.sample(self._products, k=self._chance.choice((1, 1, 1, 2, 3)))
        cancels = self._chance.random() < CANCELLING
        if self._chance.random() < SEARCHING:
            began = loop.time()
            await call(client, "GET", "/api/v1/search", params={"q": products[0]["name"][:60]})
            self.durations["search"].append(loop.time() - began)
            due = loop.time()
        items = [{"productId": product["id"], "quantity": self._chance.randint(1, 2)} for product in products]
        key = {"Idempotency-Key": f"load-{secrets.token_hex(8)}"}
        order = await call(client, "POST", "/api/v1/orders", json={"items": items}, headers=me | key)
        self.durations["order"].append(loop.time() - due)
        if cancels:
            await self._cancel(client, order["id"], me)
        final = await self._final(client, order["id"], me)
        if final is not None:
            self.outcomes[final["status"]] += 1
            self.durations["final"].append(_age(final))

    async def _cancel(self, client: httpx.AsyncClient, order: str, me: dict[str, str]) -> None:
        answer = await client.post(f"/api/v1/orders/{order}/cancel", headers=me)
        if not answer.is_success:
            raise HopFailed(f"cancelling was answered {answer.status_code}: {answer.text[:80]}")

    async def _final(
        self, client: httpx.AsyncClient, order: str, me: dict[str, str]
    ) -> dict[str, Any] | None:
        deadline, pause = time.monotonic() + PATIENCE, 0.3
        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            found: dict[str, Any] = await call(client, "GET", f"/api/v1/orders/{order}", headers=me)
            if found["status"] in FINAL:
                return found
            pause = min(pause * 2, 5.0)
        return None


def _age(order: dict[str, Any]) -> float:
    """Seconds from an order's creation to its last change, by the clock of its database: no matter when it was asked for."""
    created, updated = (datetime.fromisoformat(order[at]) for at in ("createdAt", "updatedAt"))
    return (updated - created).total_seconds()


@asynccontextmanager
async def _customers(base_url: str, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client for each customer: httpx walks its whole pool for every request, so one pool for all would be the bottleneck."""
    limits = httpx.Limits(max_connections=8)
    async with AsyncExitStack() as stack:
        # one TLS context for all: making it is most of the cost of a client
        context = httpx.create_ssl_context()
        made = (
            httpx.AsyncClient(base_url=base_url, timeout=30.0, limits=limits, verify=context)
            for _ in range(count)
        )
        yield [await stack.enter_async_context(one) for one in made]


async def run_load(opened: Session, plan: LoadPlan) -> LoadReport:
    """What came of the load on the installation; raises `HopFailed` when it could not start."""
    staff = await opened.api()
    await seed_when_empty(staff, plan.seed, Hop("demo data"))
    async with _customers(str(staff.base_url), plan.customers) as clients:
        load = Load(clients, plan)
        await load.prepare()
        started = time.perf_counter()
        await load.run()
        seconds = time.perf_counter() - started
    finished = sum(load.outcomes.values())
    return LoadReport(
        orders=plan.orders,
        rate=plan.rate,
        seconds=round(seconds, 3),
        outcomes=dict(sorted(load.outcomes.items())),
        unfinished=plan.orders - finished - sum(load.errors.values()),
        errors=dict(load.errors),
        order=Latency.of(load.durations["order"]),
        final=Latency.of(load.durations["final"]),
        search=Latency.of(load.durations["search"]),
    )
