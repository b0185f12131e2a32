"""The names of everything opsplane keeps in the broker besides the topics themselves."""

from __future__ import annotations

import time

from opsplane.events.broker import PRIVATE

PAUSED = "opsplane:paused"
REPLAYED = "opsplane:replayed"
FULL = "opsplane:full"
EVICTED = "opsplane:evicted"
DELAYED = "opsplane:delayed"
BREAKERS = "opsplane:breaker:states"  # hash: the condition of each breaker
HELD_OPEN = "opsplane:breaker:held-open"  # hash: who holds a breaker open, and why
RECOVERING = "opsplane:breaker:recovering"  # hash: the topics whose dead letters are replayed when it closes
RECOVERED = "opsplane:breaker:recovered"  # hash: the closing after which that was last done
SCHEMAS = "opsplane:schemas"
SEEN_SECONDS = 300
ASIDE = "opsplane:aside:"


def retry_schedule(group: str) -> str:
    """Sorted set of entries waiting for their retry, by due time."""
    return f"opsplane:retry:{group}"


def retry_stream(group: str) -> str:
    """The group's private stream, where retries and replays come back."""
    return f"{PRIVATE}{group}"


def delayed(topic: str) -> str:
    """Sorted set of direct events that wait to be put on the topic, by due time."""
    return f"opsplane:delayed:{topic}"


def epochs(group: str) -> str:
    """Hash: the epochs of the group by topic."""
    return f"opsplane:epochs:{group}"


def lease(group: str, consumer: str) -> str:
    """Exists as long as the consumer's process lives."""
    return f"opsplane:lease:{group}:{consumer}"


def started(group: str) -> str:
    """Hash: how often handling of a recovered entry was started."""
    return f"opsplane:started:{group}"


def seen(group: str, age: int = 0) -> str:
    """Set of events handled lately; `age` 0 is the current period's, 1 the one before."""
    return f"opsplane:seen:{group}:{int(time.time()) // SEEN_SECONDS - age}"


def probe(breaker: str) -> str:
    """Held by the one consumer that may probe a half open breaker."""
    return f"opsplane:breaker:probe:{breaker}"


def dead_letters(topic: str) -> str:
    """The dead letter stream of a topic."""
    return f"{topic}.dlq"


def place(stream: str, entry_id: str) -> str:
    """An entry among those of all streams."""
    return f"{stream}:{entry_id}"


def leader(group: str) -> str:
    """Epoch and name of the ordered group's leader."""
    return f"opsplane:leader:{group}"


def parked(group: str) -> str:
    """Hash of the ordered group's parked subjects: what holds each up."""
    return f"opsplane:parked:{group}"


def aside(group: str, subject: str) -> str:
    """List of the events of a parked subject that were set aside."""
    return f"{ASIDE}{len(group)}:{group}:{subject}"


def is_aside(stream: str) -> bool:
    """Whether an entry of this stream was set aside."""
    return stream.startswith(ASIDE)
