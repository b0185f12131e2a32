"""A circuit breaker as a machine without side effects: it is told what happened and when, and says whether to call.

closed → open (failures in a row, or a share of the calls in a window) → half open (one probe at a time) → closed.
Source: "Circuit Breaker", Michael T. Nygard, Release It!, 2nd edition, 2018; the openings in a row back off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from opsplane.resilience.backoff import Backoff

Phase = Literal["closed", "open", "half_open"]
LEVELS: dict[Phase, int] = {"closed": 0, "open": 1, "half_open": 2}


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, for how long, and how many probes must succeed before it closes.

    It opens after `failures` in a row, or when of at least `calls` calls within `window` seconds the share `rate` failed.
    """

    failures: int = 5
    rate: float = 0.5
    calls: int = 20
    window: float = 10.0
    probes: int = 5
    wait: str = "1s..15s"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a breaker is in and what is known about it, as all who share it see it; times are Unix seconds.

    `openings` counts those in a row without a closing between, `probes` the successful ones since the last opening.
    """

    opened: bool = False
    since: float = 0.0
    until: float = 0.0
    openings: int = 0
    probes: int = 0
    failure: str = ""

    def phase(self, now: float) -> Phase:
        """Closed, open, or half open once the wait is over."""
        if not self.opened:
            return "closed"
        return "open" if now < self.until else "half_open"


class Breaker:
    """One breaker as one process sees it."""

    __slots__ = ("_backoff", "_failures", "_window", "condition", "policy", "row", "successes")

    def __init__(self, policy: BreakerPolicy, condition: Condition = Condition()) -> None:
        self.policy = policy
        self.condition = condition
        self.row = 0
        self.successes = 0
        self._failures = 0
        self._window = float("-inf")
        self._backoff = Backoff.parse(policy.wait)

    def phase(self, now: float) -> Phase:
        """What it is in now."""
        return self.condition.phase(now)

    def succeed(self) -> None:
        """A call succeeded while it was closed."""
        self.row = 0
        self.successes += 1

    def fail(self, now: float, failure: str = "") -> bool:
        """Whether this failure of a call, made while it was closed, opened it."""
        if now - self._window > self.policy.window:  # a window begins with a failure
            self._window, self.successes, self._failures = now, 0, 0
        self.row += 1
        self._failures += 1
        calls = self._failures + self.successes
        too_many = calls >= self.policy.calls and self._failures >= self.policy.rate * calls
        if self.row < self.policy.failures and not too_many:
            return False
        self.open(now, failure)
        return True

    def open(self, now: float, failure: str = "") -> None:
        """Open it, or open it again after a probe that failed: each time in a row it waits longer."""
        openings = self.condition.openings + 1
        since = self.condition.since if self.condition.opened else now
        until = now + self._backoff.delay(openings)
        self.adopt(Condition(True, since, until, openings, 0, failure))

    def probed(self, now: float) -> bool:
        """Whether this successful probe was the last one needed, and closed it."""
        probes = self.condition.probes + 1
        if probes < self.policy.probes:
            self.condition = replace(self.condition, probes=probes)
            return False
        self.adopt(Condition(since=now))
        return True

    def adopt(self, condition: Condition) -> None:
        """Be in this condition, found out by somebody else; where it is another one, what was counted is forgotten."""
        if condition.since != self.condition.since or condition.opened != self.condition.opened:
            self.row, self.successes, self._failures, self._window = 0, 0, 0, float("-inf")
        self.condition = condition
