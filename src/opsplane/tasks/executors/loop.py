"""Isolation `async`: the handler shares the worker's event loop."""

from __future__ import annotations

from typing import Any

from opsplane.tasks.attempt import Attempt


class InLoop:
    """Runs handlers in the calling loop."""

    async def run(self, attempt: Attempt) -> Any:
        """What the handler returned."""
        return await attempt.kind.handler(attempt.context, attempt.context.params)
