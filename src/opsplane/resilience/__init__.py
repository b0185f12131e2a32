"""Backoff, retries, breakers, and duties that run until they are told to stop."""

from __future__ import annotations

from opsplane.resilience.backoff import Backoff, Retry, seconds
from opsplane.resilience.breaker import Breaker, BreakerPolicy, Condition
from opsplane.resilience.duty import Duty, Stop, run_duties

__all__ = [
    "Backoff",
    "Breaker",
    "BreakerPolicy",
    "Condition",
    "Duty",
    "Retry",
    "Stop",
    "run_duties",
    "seconds",
]
