"""How a handler is run: in the worker's loop, in a thread or in a process, as its type's isolation says."""

from __future__ import annotations

from typing import Any, Protocol

from opsplane.errors import OpsplaneError
from opsplane.tasks.attempt import Attempt


class HandlerEnded(Exception):
    """The handler ended with an error elsewhere; `facts` are the fields of the attempt's outcome."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts.get("error_message") or "")
        self.facts = facts


class ProcessDied(OpsplaneError):
    """The process of a handler ended without an answer: killed, out of memory, or by a fault of native code."""


class Executor(Protocol):
    """Runs handlers of one isolation."""

    async def run(self, attempt: Attempt) -> Any:
        """What the handler returned; raises what it raised. Cancelling the call ends the handler."""
        ...
