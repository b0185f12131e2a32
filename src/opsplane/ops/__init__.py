"""The operator's own room: checks that find what is wrong before somebody complains, each with its repair."""

from __future__ import annotations

from opsplane.ops.check import Check, Finding, Report, Role, Scene, run_checks
from opsplane.ops.checks import AREAS, EVENTS, OPERATIONS, PLATFORM
from opsplane.ops.day import last_day

__all__ = [
    "AREAS",
    "EVENTS",
    "OPERATIONS",
    "PLATFORM",
    "Check",
    "Finding",
    "Report",
    "Role",
    "Scene",
    "last_day",
    "run_checks",
]
