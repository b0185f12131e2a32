"""How long to wait before trying again: exponential with full jitter below a cap.

Source: "Exponential Backoff And Jitter", Marc Brooker, AWS Architecture Blog, 2015; here the jitter covers
the upper half only, so that a retry never comes at once.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from opsplane.errors import InvalidInput

_DURATION = re.compile(r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def seconds(duration: str | float) -> float:
    """Seconds of a duration such as `250ms`, `30s`, `5m`, `2h`, `7d`, or of a plain number."""
    if isinstance(duration, int | float):
        return float(duration)
    match = _DURATION.fullmatch(duration.strip())
    if match is None:
        raise InvalidInput(
            f"{duration!r} is not a duration.", remedy="Write it like 250ms, 30s, 5m, 2h or 7d."
        )
    return float(match["value"]) * _UNITS[match["unit"]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `first` seconds to `last`, spread by jitter."""

    first: float = 1.0
    last: float = 30.0
    random: Callable[[], float] = field(default=random.random, compare=False)

    @classmethod
    def parse(cls, text: str) -> Backoff:
        """The backoff written as `1s..30s`, or a constant one written as `5s`."""
        first, _, last = text.partition("..")
        return cls(seconds(first), seconds(last or first))

    def delay(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt`, counted from 1."""
        step = min(self.last, self.first * 2.0 ** min(attempt - 1, 62))
        return step if self.first == self.last else step * (0.5 + 0.5 * self.random())


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` retries after the first try, spaced by `backoff`."""

    attempts: int = 3
    backoff: str = "1s..30s"

    def delay(self, attempt: int) -> float | None:
        """Seconds to wait after failed attempt number `attempt`; None when there is no retry left."""
        return None if attempt > self.attempts else Backoff.parse(self.backoff).delay(attempt)
