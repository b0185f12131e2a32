"""Backoff, retries, and duties that run until they are told to stop."""

from __future__ import annotations

from opsplane.resilience.backoff import Backoff, Retry, seconds
from opsplane.resilience.duty import Duty, Stop, run_duties

__all__ = ["Backoff", "Duty", "Retry", "Stop", "run_duties", "seconds"]
