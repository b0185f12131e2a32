"""A processor that moves no money: its latency, failure rate and outages are set in the payment database."""

from __future__ import annotations

import hashlib

from opsplane.clock import Clock
from opsplane.commerce.money import Money
from opsplane.commerce.payment.model import Behaviour
from opsplane.commerce.payment.processor import Declined, ProcessorUnavailable
from opsplane.commerce.payment.repository import get_behaviour
from opsplane.database import Pool


class SimulatedProcessor:
    """Answers one key always alike (as long as the failure rate stays), as an idempotent processor does."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def charge(self, key: str, money: Money) -> str:
        """A reference made of the key; raises `Declined` for the set share of keys."""
        behaviour = await self._behave()
        if money.amount > 0 and _share(key) < behaviour.failure_rate:
            raise Declined("card declined")
        return f"charge-{key}"

    async def refund(self, reference: str, money: Money) -> str:
        """A reference made of the charge's."""
        await self._behave()
        return f"refund-of-{reference}-{money.currency}"

    async def _behave(self) -> Behaviour:
        behaviour = await get_behaviour(self._pool)
        await self._clock.sleep(behaviour.latency_ms / 1000)
        if behaviour.outage:
            raise ProcessorUnavailable("The payment processor is down.", remedy="See: opsplane demo --help")
        return behaviour


def _share(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48
