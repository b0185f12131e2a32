"""The shape of `events.yaml`, frozen."""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from opsplane.documents import Duration

OnFull = Literal["reject", "evict"]
Durability = Literal["default", "strict", "outbox"]


class TopicPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the topics that `match` (shell pattern).

    What every group has read goes after `retention`, sooner when the stream has `max_length` entries; when what is
    unread alone is that much, `on_full` says whether publishers are refused or the oldest go. `durability` is for
    direct publishing.
    """

    match: str
    retention: Duration = Duration(7 * 86400)
    max_length: int = 1_000_000
    on_full: OnFull = "reject"
    durability: Durability = "default"


class EventsConfig(msgspec.Struct, frozen=True):
    """A whole `events.yaml`."""

    topics: tuple[TopicPolicy, ...] = ()

    def policy(self, topic: str) -> TopicPolicy:
        """What holds for a topic: the longest pattern that fits it, else the defaults."""
        fitting = [one for one in self.topics if fnmatchcase(topic, one.match)]
        return max(fitting, key=lambda one: len(one.match)) if fitting else TopicPolicy(match="*")
