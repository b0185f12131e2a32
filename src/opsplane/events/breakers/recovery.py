"""Automatic recovery: when a breaker closes, the dead letters of those who asked for it (`recover=True`) are replayed."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from opsplane.action import Actor, perform
from opsplane.clock import SYSTEM, Clock
from opsplane.database import Pool, append_audit
from opsplane.events.actions.dead_letters import RETRY, RetryLetters
from opsplane.events.backbone import ROLE, Backbone
from opsplane.events.breakers.overview import conditions
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import RECOVERED, RECOVERING
from opsplane.events.deadletters import Selection
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
INTERVAL = 1.0
SETTLING = 5.0  # until the last dead letters of the outage are read in
RATE = 100.0
REASONS = ("timeout", "unavailable")
ACTOR = Actor("breaker-recovery", frozenset({ROLE}))


class BreakerRecovery:
    """Starts the replays; runs in the `events` role. What failed after the closing is left alone: it fails otherwise."""

    name = "breaker recovery"

    def __init__(
        self, pool: Pool, broker: Broker, clock: Clock = SYSTEM, *, settling: float = SETTLING
    ) -> None:
        self._backbone = Backbone(pool, broker, ACTOR.sub)
        self._broker = broker
        self._clock = clock
        self._settling = settling

    async def run(self, stop: Stop) -> None:
        """Watch until `stop`."""
        while not await stop.wait(INTERVAL):
            await self.step()

    async def step(self) -> int:
        """How many replays were started now."""
        asked = await self._map(RECOVERING)
        if not asked:
            return 0
        done, started = await self._map(RECOVERED), 0
        for name, condition in (await conditions(self._broker)).items():
            since = repr(condition.since)
            if name not in asked or condition.opened or not condition.since or done.get(name) == since:
                continue
            if self._clock.now().timestamp() < condition.since + self._settling:
                continue
            count = await self._replay(name, asked[name], datetime.fromtimestamp(condition.since, UTC))
            await self._broker.call("HSET", RECOVERED, name, since)
            log.info("events.recovered_letters", breaker=name, replays=count)
            started += count
        return started

    async def _replay(self, name: str, topics: str, until: datetime) -> int:
        group, count = name.rpartition(":")[0], 0
        for topic in msgspec.json.decode(topics, type=list[str]):
            for reason in REASONS:
                chosen = Selection(group=group, topic=topic, reason=reason, until=until)
                wanted = RetryLetters(selection=chosen, rate=RATE)
                if not (await RETRY.preview(self._backbone, wanted)).count:
                    continue
                await perform(
                    RETRY,
                    self._backbone,
                    wanted,
                    actor=ACTOR,
                    audit=append_audit(self._backbone.pool),
                    reason=f"The breaker {name} has closed.",
                )
                count += 1
        return count

    async def _map(self, key: str) -> dict[str, str]:
        found = await self._broker.call("HGETALL", key)
        return {name.decode(): text.decode() for name, text in zip(found[::2], found[1::2], strict=True)}
