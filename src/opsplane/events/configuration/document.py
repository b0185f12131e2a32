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


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """When a topic has so many dead letters that somebody is told, and how.

    `thresholds` (by shell pattern, the longest that fits counts) stand beside the defaults; `webhook` gets a message
    when a topic has more, once in a `cooldown` while it stays so, and when it is well again. `runbooks` is the address
    under which the runbooks are served, for links.
    """

    webhook: str | None = None
    cooldown: Duration = Duration(900)
    thresholds: dict[str, int] = {}
    runbooks: str | None = None


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long settled dead letters are kept, and what services remember of their effects (`inbox`): at least as long.

    Both are taken up when a process starts.
    """

    dead_letters: Duration = Duration(30 * 86400)
    inbox: Duration = Duration(30 * 86400)


class EventsConfig(msgspec.Struct, frozen=True):
    """A whole `events.yaml`."""

    topics: tuple[TopicPolicy, ...] = ()
    alerts: Alerts = Alerts()
    retention: Retention = Retention()

    def policy(self, topic: str) -> TopicPolicy:
        """What holds for a topic: the longest pattern that fits it, else the defaults."""
        fitting = [one for one in self.topics if fnmatchcase(topic, one.match)]
        return max(fitting, key=lambda one: len(one.match)) if fitting else TopicPolicy(match="*")
