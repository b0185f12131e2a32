"""Whether two versions of a schema understand each other's events, and which change breaks it."""

from __future__ import annotations

from opsplane.events.schemas.compatibility.mode import Mode
from opsplane.events.schemas.compatibility.question import Version
from opsplane.events.schemas.compatibility.verdict import Change, Verdict, compare, compare_history

__all__ = ["Change", "Mode", "Verdict", "Version", "compare", "compare_history"]
