"""`events.yaml`: what an installation wants of its topics."""

from __future__ import annotations

from opsplane.events.configuration.document import Alerts, Durability, EventsConfig, Retention, TopicPolicy
from opsplane.events.configuration.file import EventsFile
from opsplane.events.configuration.parsing import EventsRejected, parse

__all__ = [
    "Alerts",
    "Durability",
    "EventsConfig",
    "EventsFile",
    "EventsRejected",
    "Retention",
    "TopicPolicy",
    "parse",
]
