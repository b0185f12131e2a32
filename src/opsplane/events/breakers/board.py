"""The breakers of a group in this process, kept in step with those of the other processes through the broker.

Each process counts on its own and writes down what it concludes; the last word counts. Two that open or close a breaker
at the same time say the same; one that was overruled finds out within a quarter of a second.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from opsplane.clock import Clock
from opsplane.events.broker import Broker, BrokerUnavailable
from opsplane.events.brokers import keys
from opsplane.events.consumer import Consumer
from opsplane.resilience import Breaker, BreakerPolicy, Condition
from opsplane.resilience.breaker import LEVELS, Phase
from opsplane.telemetry import gauge, get_logger

log = get_logger("events")
_state = gauge("circuit_breaker_state", "0 closed, 1 open, 2 half open.", ["name"])
LOOK = 0.25
PROBE_MS = 5000  # a probe whose process died lets others probe after this; a living one renews it
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Condition).decode


class Breakers:
    """One breaker for each dependency the group's consumers name; `shut` are those that are not closed."""

    def __init__(
        self, broker: Broker, consumers: Sequence[Consumer], clock: Clock, policy: BreakerPolicy
    ) -> None:
        self.group = consumers[0].group
        found = dict.fromkeys(name for consumer in consumers for name in consumer.dependencies)
        self._machines = {name: Breaker(policy) for name in found}
        self._names = {name: f"{self.group}:{name}" for name in found}
        self._recovering = sorted({topic for one in consumers if one.recover for topic in one.topics})
        self._broker = broker
        self._clock = clock
        self._held: frozenset[str] = frozenset()
        self._probing: set[str] = set()
        self._unsaved: set[str] = set()
        self._writes = 0
        self._look_at = 0.0
        self._phases: dict[str, Phase] = {}
        self.shut: frozenset[str] = frozenset()
        self.proof = dict.fromkeys(found, float("-inf"))
        self._tell()

    def phase(self, dependency: str) -> Phase:
        """What its breaker is in now; one that an operator holds open stays so."""
        return "open" if dependency in self._held else self._machines[dependency].phase(self._now())

    @property
    def open(self) -> bool:
        """Whether the group must not read: one of its breakers is open."""
        return bool(self.shut) and any(self.phase(name) == "open" for name in self.shut)

    def succeed(self, dependency: str, started: float) -> None:
        """A call begun at `started` (`time.perf_counter`) was answered; `proof` is the latest such beginning."""
        self.proof[dependency] = max(self.proof[dependency], started)
        if dependency not in self.shut:
            self._machines[dependency].succeed()

    async def fail(self, dependency: str, failure: str) -> None:
        """A call failed for the dependency; what was begun before its breaker opened counts no more then."""
        if dependency not in self.shut and self._machines[dependency].fail(self._now(), failure[:300]):
            await self._save(dependency)

    async def probed(self, dependency: str) -> None:
        """A probe was answered."""
        self._machines[dependency].probed(self._now())
        await self._save(dependency)

    async def reopen(self, dependency: str, failure: str) -> None:
        """A probe failed."""
        self._machines[dependency].open(self._now(), failure[:300])
        await self._save(dependency)

    @asynccontextmanager
    async def probing(self, dependency: str, consumer: str) -> AsyncIterator[bool]:
        """Whether `consumer` may send one probe now: nobody else in the group does meanwhile."""
        name = keys.probe(self._names[dependency])
        try:
            taken = await self._broker.call("SET", name, consumer, "NX", "PX", str(PROBE_MS)) is not None
        except BrokerUnavailable:
            taken = False
        if not taken:
            yield False
            return
        self._probing.add(dependency)
        try:
            await self.look()
            yield self.phase(dependency) == "half_open"
        finally:
            self._probing.discard(dependency)
            try:
                if await self._broker.call("GET", name) == consumer.encode():
                    await self._broker.call("DEL", name)
            except BrokerUnavailable as error:
                log.info("events.probe_runs_out", breaker=self._names[dependency], error=error.message)

    async def look(self) -> None:
        """Learn what the others concluded, unless the broker cannot be asked: then what is known stays."""
        self._look_at = time.monotonic() + LOOK
        names = list(self._names.values())
        try:
            for dependency in sorted(self._unsaved):
                await self._write(dependency)
            writes = self._writes
            found = await self._broker.call("HMGET", keys.BREAKERS, *names)
            held = await self._broker.call("HMGET", keys.HELD_OPEN, *names)
            for dependency in self._probing:
                await self._broker.call("PEXPIRE", keys.probe(self._names[dependency]), str(PROBE_MS))
            if writes == self._writes:
                self._held = frozenset(
                    name for name, mark in zip(self._names, held, strict=True) if mark is not None
                )
                for dependency, text in zip(self._names, found, strict=True):
                    await self._learn(dependency, text)
        except BrokerUnavailable as error:
            log.warning("events.breakers_not_shared", group=self.group, error=error.message)
        self._tell()

    async def look_when_due(self) -> None:
        """Look, unless somebody has within the last quarter of a second."""
        if time.monotonic() >= self._look_at:
            await self.look()

    async def _learn(self, dependency: str, text: bytes | None) -> None:
        machine, name = self._machines[dependency], self._names[dependency]
        if text is None:  # the first one, or the broker lost its memory
            await self._broker.call("HSETNX", keys.BREAKERS, name, _encode(machine.condition))
            if self._recovering:
                await self._broker.call("HSET", keys.RECOVERING, name, _encode(self._recovering))
            return
        try:
            machine.adopt(_decode(text))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("events.breaker_unreadable", breaker=name, error=str(error))

    async def _save(self, dependency: str) -> None:
        self._tell()
        self._writes += 1
        self._unsaved.add(dependency)
        try:
            await self._write(dependency)
        except BrokerUnavailable as error:
            log.warning("events.breakers_not_shared", group=self.group, error=error.message)

    async def _write(self, dependency: str) -> None:
        text = _encode(self._machines[dependency].condition)
        await self._broker.call("HSET", keys.BREAKERS, self._names[dependency], text)
        self._unsaved.discard(dependency)

    def _tell(self) -> None:
        for dependency, name in self._names.items():
            phase, condition = self.phase(dependency), self._machines[dependency].condition
            _state.labels(name).set(LEVELS[phase])
            before = self._phases.get(dependency, "closed")
            self._phases[dependency] = phase
            if phase != before:
                tell = log.warning if phase == "open" else log.info
                tell(
                    f"events.breaker_{phase}", breaker=name, openings=condition.openings,
                    until=condition.until, failure=condition.failure, held=dependency in self._held,
                )  # fmt: skip
        self.shut = frozenset(name for name, phase in self._phases.items() if phase != "closed")

    def _now(self) -> float:
        return self._clock.now().timestamp()
