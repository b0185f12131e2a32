"""Circuit breakers: one for each named dependency of a group, shared by all its processes through the broker."""

from __future__ import annotations

from opsplane.events.breakers.board import Breakers
from opsplane.events.breakers.guard import Guard
from opsplane.events.breakers.hand import More

__all__ = ["Breakers", "Guard", "More"]
