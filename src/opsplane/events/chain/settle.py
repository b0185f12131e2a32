"""Settle: an entry is acknowledged after success, or in the step that schedules its retry or writes its dead letter."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from opsplane.clock import Clock
from opsplane.errors import InvalidInput
from opsplane.events.broker import Delivered, Done
from opsplane.events.chain.classification import Verdict, classify
from opsplane.events.chain.fingerprint import fingerprint
from opsplane.events.chain.work import Work
from opsplane.events.envelope import UNREADABLE
from opsplane.events.personal import Personal, View
from opsplane.events.schemas import Schemas
from opsplane.telemetry import counter, get_logger, histogram

log = get_logger("events")
_results = counter("event_processing_total", "Events handled.", ["event_type", "service", "result"])
_errors = counter("event_processing_errors_total", "Errors of handlers.", ["error_type"])
_lag = histogram("event_processing_lag_seconds", "Age of events when handled.", ["service"])
_dead = counter("dlq_messages_total", "Dead letters written.", ["topic"], beside_gauge=True)
_bugs = counter("event_handler_bugs_total", "Dead letters of errors nobody foresaw.", ["service"])
_history = msgspec.json.Decoder(list[Any])
FLUSH_COUNT = 200
FLUSH_SECONDS = 0.1
MOST_VIOLATIONS = 200


class Ledger(Protocol):
    """Where a settler writes: a `Broker`, or what stands between."""

    async def settle(self, group: str, done: Sequence[Done]) -> None:
        """Acknowledge handled entries and remember their events as seen."""
        ...

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float
    ) -> None:
        """Acknowledge the entry and have it come back: one step."""
        ...

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str]
    ) -> None:
        """Acknowledge the entry and write it to `<topic>.dlq`: one step."""
        ...


class Settler:
    """Settles the entries of one group."""

    def __init__(
        self, ledger: Ledger, group: str, consumer: str, clock: Clock, personal: Personal | None = None
    ) -> None:
        self._ledger = ledger
        self._personal = personal or Personal(Schemas())
        self._group = group
        self._consumer = consumer
        self._clock = clock
        self._done: list[Done] = []
        self._last: Work | None = None
        self._counts: Counter[tuple[str, str]] = Counter()
        self._flushed = time.monotonic()

    async def succeed(self, work: Work) -> None:
        """Note success; acknowledgements are sent in batches, at the latest with the next `flush`."""
        self._done.append(work.done())
        self._last = work
        self._counts[work.topic, "duplicate" if work.seen else "success"] += 1
        if len(self._done) >= FLUSH_COUNT or time.monotonic() - self._flushed > FLUSH_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        """Acknowledge everything noted."""
        self._flushed = time.monotonic()
        if not self._done:
            return
        done, self._done = self._done, []
        await self._ledger.settle(self._group, done)
        counts, self._counts = self._counts, Counter()
        for (topic, result), count in counts.items():
            _results.labels(topic, self._group, result).inc(count)
        if self._last is not None:
            _observe_lag(self._last, self._group)

    async def fail(self, work: Work, error: Exception, seconds: float, *, attributed: bool = False) -> None:
        """Schedule the next attempt, or write the dead letter when there is none.

        `attributed` says that a named dependency is to blame.
        """
        verdict = classify(error, getattr(work, "consumer", None), attributed=attributed)
        attempts = _attempts(work)
        view = self._personal.view(work.entry.data, work.topic)
        told = view.text(str(error))
        text = f"{type(error).__name__}: {told}"[:500]
        at = self._clock.now().isoformat()
        attempts.append({"at": at, "error": text, "durationMs": round(seconds * 1000, 1)})
        _errors.labels(verdict.reason).inc()
        delay = verdict.delay(len(attempts))
        metadata = self._beside(work, attempts)
        if delay is None:
            await self.bury(work, verdict, error, metadata, view)
            return
        due = self._clock.now().timestamp() + delay
        await self._ledger.schedule_retry(self._group, work.entry, metadata, due)
        self._tell(work, "retry", error, told, attempt=len(attempts), delay=round(delay, 3))

    def _beside(self, work: Work, attempts: list[Any]) -> dict[str, str]:
        return {
            **work.history,
            "sourceTopic": work.topic,
            "sourceId": work.source_id,
            "attempts": _text(attempts),
        }

    async def bury(
        self, work: Work, verdict: Verdict, error: Exception, metadata: dict[str, str], view: View
    ) -> None:
        """Write the dead letter with everything an operator asks about; what is told of it has no personal data."""
        handler = work.consumer.handler if hasattr(work, "consumer") else None
        told = view.text(str(error))
        metadata |= {
            "reason": verdict.reason,
            "message": told[:2000],
            "error": type(error).__name__,
            "fingerprint": fingerprint(verdict.reason, error, work.topic, handler),
            "group": self._group,
            "consumer": self._consumer,
            "failedAt": self._clock.now().isoformat(),
        }
        if isinstance(error, InvalidInput) and error.violations:
            metadata["violations"] = _text(view.within(error.violations[:MOST_VIOLATIONS]))
        alias = work.consumer.dead_letters if hasattr(work, "consumer") else None
        if alias:
            metadata["deadLetters"] = alias
        await self._ledger.dead_letter(self._group, work.entry, work.topic, metadata)
        _dead.labels(work.topic).inc()
        if verdict.reason == "internal":
            _bugs.labels(self._group).inc()
            log.error(
                "events.handler_failed", group=self._group, topic=work.topic, entry=work.entry.id,
                error=type(error).__name__, text=told[:300], fingerprint=metadata["fingerprint"],
            )  # fmt: skip
        self._tell(work, "dead_letter", error, told, reason=verdict.reason)

    async def poison(self, work: Work, starts: int) -> None:
        """Bury an entry whose handling ended the process again and again."""
        error = PoisonousEvent(f"Handling was started {starts} times and ended the process each time.")
        attempt = {"at": self._clock.now().isoformat(), "error": str(error), "durationMs": None}
        metadata = self._beside(work, [*_attempts(work), attempt])
        view = self._personal.view(work.entry.data, work.topic)
        await self.bury(work, Verdict("poison", None), error, metadata, view)

    def _tell(self, work: Work, result: str, error: Exception, told: str, **facts: Any) -> None:
        _results.labels(work.topic, self._group, result).inc()
        log.warning(
            "events.settled", result=result, group=self._group, topic=work.topic, entry=work.entry.id,
            event_id=work.event.id if hasattr(work, "event") else None,
            error=type(error).__name__, text=told[:300], **facts,
        )  # fmt: skip


class PoisonousEvent(InvalidInput):
    """An event that ends every process which handles it."""


def _attempts(work: Work) -> list[Any]:
    try:
        return _history.decode(work.history.get("attempts", "[]"))
    except UNREADABLE:
        return []


def _observe_lag(work: Work, group: str) -> None:
    """One event of every acknowledged batch is looked at."""
    at = work.event.time
    if at is not None and at.tzinfo is not None:
        _lag.labels(group).observe(max(0.0, (datetime.now(UTC) - at).total_seconds()))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
