"""How long tasks of each type wait and run, whoever runs them."""

from __future__ import annotations

from opsplane.tasks.context import Claim
from opsplane.telemetry import histogram

_waited = histogram("task_wait_seconds", "From due to started.", ["type"])
_ran = histogram("task_duration_seconds", "From started to ended.", ["type"])


def observe_wait(claim: Claim, delay: int) -> None:
    """Count how long the claim's task was due when it started, `delay` microseconds after it was claimed."""
    waited = max(0.0, (claim.claimed_at - claim.due_at).total_seconds())
    _waited.labels(claim.task_type).observe(waited + delay / 1e6)


def observe_run(task_type: str, seconds: float) -> None:
    """Count how long an attempt ran."""
    _ran.labels(task_type).observe(max(0.0, seconds))
