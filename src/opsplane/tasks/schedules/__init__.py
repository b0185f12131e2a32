"""Schedules: tasks that are created at the times of a cron expression in a time zone, each time decided once."""

from __future__ import annotations

from opsplane.tasks.schedules.book import ScheduleBook, ScheduleNotFound
from opsplane.tasks.schedules.cron import Cron
from opsplane.tasks.schedules.decide import Decision, decide
from opsplane.tasks.schedules.schedule import Missed, NewSchedule, Outcome, Overlap, Schedule, ScheduleRun
from opsplane.tasks.schedules.scheduler import Scheduler

__all__ = [
    "Cron", "Decision", "Missed", "NewSchedule", "Outcome", "Overlap", "Schedule", "ScheduleBook", "ScheduleNotFound",
    "ScheduleRun", "Scheduler", "decide",
]  # fmt: skip
