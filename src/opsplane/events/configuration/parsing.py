"""From the text of `events.yaml` to a configuration that makes sense as a whole."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import urlsplit

from opsplane.documents import DocumentRejected, Reader
from opsplane.events.configuration.document import Alerts, EventsConfig

_PATTERN = re.compile(r"[a-z0-9_.*?-]+")
SHORTEST_RETENTION = 1.0


class EventsRejected(DocumentRejected):
    """`events.yaml` cannot be used; what was in force stays so."""

    cure = "Nothing was changed. `opsplane topic lint` checks the file."


def parse(text: str, file: str) -> EventsConfig:
    """The configuration in `text`; a file that says nothing means the defaults.

    Raises `EventsRejected` with every error at once, each with file, line, column, key and the nearest valid name.
    """
    reader = Reader(EventsRejected, empty=True)
    config = reader.read(text, file, EventsConfig)
    if config is not None:
        _check(reader, config)
    if reader.violations or config is None:
        raise EventsRejected(file, reader.violations)
    return config


def _check(reader: Reader, config: EventsConfig) -> None:
    _check_topics(reader, config)
    _check_alerts(reader, config.alerts)
    if config.retention.inbox < config.retention.dead_letters and not reader.flawed(("retention",)):
        reader.complain(
            ("retention", "inbox" if ("retention", "inbox") in reader.marks else "dead_letters"),
            "the inbox must be kept at least as long as dead letters: else a late replay has its effect twice.",
        )


def _check_alerts(reader: Reader, alerts: Alerts) -> None:
    for name in ("webhook", "runbooks"):
        address = getattr(alerts, name)
        if address is not None and not _is_address(address):
            reader.complain(("alerts", name), "must be an address like https://host/path.")
    for pattern in alerts.thresholds:
        if not _PATTERN.fullmatch(pattern):
            reader.complain(
                ("alerts", "thresholds", pattern),
                f"{pattern!r} fits no topic; write it like catalog.product.*",
            )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_topics(reader: Reader, config: EventsConfig) -> None:
    counted = Counter(policy.match for policy in config.topics)
    for policy in config.topics:
        place = reader.place(policy)
        if not _PATTERN.fullmatch(policy.match):
            reader.complain(
                (*place, "match"), f"{policy.match!r} fits no topic; write it like catalog.product.*"
            )
        if counted[policy.match] > 1:
            reader.complain((*place, "match"), f"`{policy.match}` is there {counted[policy.match]} times.")
        if policy.retention < SHORTEST_RETENTION:
            reader.complain((*place, "retention"), "must be at least 1s.")
        if policy.max_length < 1:
            reader.complain((*place, "max_length"), "must be at least 1.")
