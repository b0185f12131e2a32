"""Who publishes and who consumes what, as the services declare it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Subscription:
    """One declared consumer: the service it belongs to, its group, what it reads, what it does with it."""

    group: str
    service: str
    topics: tuple[str, ...]
    handler: str
    description: str = ""
    dead_letters: str | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The declared subscriptions, and for each event type the service that publishes it."""

    subscriptions: Sequence[Subscription] = ()
    publishers: Mapping[str, str] = field(default_factory=dict)

    def groups(self) -> dict[str, list[str]]:
        """The topics of every consumer group."""
        found: dict[str, set[str]] = {}
        for one in self.subscriptions:
            found.setdefault(one.group, set()).update(one.topics)
        return {group: sorted(topics) for group, topics in found.items()}

    def consumers_of(self, topic: str) -> list[str]:
        """The groups that read a topic, by name."""
        return sorted({one.group for one in self.subscriptions if topic in one.topics})
