"""The isolations a task type may ask for."""

from __future__ import annotations

from opsplane.tasks.executors.loop import InLoop
from opsplane.tasks.executors.process import InProcess
from opsplane.tasks.executors.thread import InThread

__all__ = ["InLoop", "InProcess", "InThread"]
