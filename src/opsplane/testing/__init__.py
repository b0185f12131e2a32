"""For tests of handlers: a real PostgreSQL, the task engine in this process, a clock that is told the time, what was published."""

from __future__ import annotations

from opsplane.clock import ManualClock
from opsplane.testing.bench import HandlerRuntime, NotDone, TaskBench
from opsplane.testing.recorder import EventRecorder
from opsplane.testing.servers import fresh_database, postgres_server

__all__ = [
    "EventRecorder",
    "HandlerRuntime",
    "ManualClock",
    "NotDone",
    "TaskBench",
    "fresh_database",
    "postgres_server",
]
