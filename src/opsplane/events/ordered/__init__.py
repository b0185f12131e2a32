"""Ordered consumer groups: one leader, a lane per subject, and what waits behind a failed event set aside."""

from __future__ import annotations

from opsplane.events.ordered.group import OrderedGroup
from opsplane.events.ordered.keeper import ParkedKeeper
from opsplane.events.ordered.parked import ParkedSubject, parked_subjects

__all__ = ["OrderedGroup", "ParkedKeeper", "ParkedSubject", "parked_subjects"]
