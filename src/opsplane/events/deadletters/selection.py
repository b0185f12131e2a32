"""Which dead letters are meant: the same conditions for lists, replays, discards and exports, by command line and API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from opsplane.errors import InvalidInput
from opsplane.events.chain.fingerprint import general
from opsplane.events.deadletters import words
from opsplane.resilience import seconds


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Conditions that all must hold.

    `topic` may contain `*`, `reason` is the class of the error, `text` are words (or their beginnings) of message,
    error, subject or event, `pointer` the place of a violation, `since` and `until` bound the last failure.
    """

    ids: tuple[int, ...] = ()
    event_id: str | None = None
    event_type: str | None = None
    subject: str | None = None
    topic: str | None = None
    group: str | None = None
    groups: tuple[str, ...] | None = None
    reason: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    text: str | None = None
    pointer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False

    def within(self, groups: Sequence[str] | None) -> Selection:
        """The same among the dead letters of some groups only; None is no restriction."""
        if groups is None:
            return self
        allowed = groups if self.groups is None else [one for one in self.groups if one in groups]
        return msgspec.structs.replace(self, groups=tuple(allowed))

    def parameters(self) -> dict[str, Any]:
        """The parameters of the statements that select dead letters."""
        return {"chosen": Jsonb(self._chosen())}

    def require_some(self) -> None:
        """Return unless nothing is selected; raises `InvalidInput`, so that nothing happens to all by accident."""
        if not self.everything and not self._chosen().keys() - {"groups"}:
            raise InvalidInput(
                "No dead letters are named.",
                remedy="Name ids, a topic, a group, a fingerprint, or all of them.",
            )

    def _chosen(self) -> dict[str, str]:
        plain = ("event_id", "event_type", "subject", "group", "reason", "error", "fingerprint")
        found = {name: getattr(self, name) for name in plain}
        found["pointer"] = None if self.pointer is None else general(self.pointer)
        found["words"] = None if self.text is None else words.query(self.text)
        found["ids"] = _array(map(str, self.ids)) if self.ids else None
        found["groups"] = None if self.groups is None else _array(map(_quoted, self.groups))
        found["since"] = None if self.since is None else zoned(self.since).isoformat()
        found["until"] = None if self.until is None else zoned(self.until).isoformat()
        if self.topic is not None:
            wild = "*" in self.topic
            found["topic_like" if wild else "topic"] = _like(self.topic) if wild else self.topic
        return {name: _storable(value) for name, value in found.items() if value is not None}


def moment(text: str, now: datetime) -> datetime:
    """The time that `2h` (ago), `2026-01-31` or `2026-01-31T10:00+01:00` means; raises `InvalidInput`."""
    try:
        return zoned(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=seconds(text))
    except (InvalidInput, OverflowError) as error:
        raise InvalidInput(
            f"{text[:60]!r} is no time.", remedy="Write it like 2h, 7d, 2026-01-31 or 2026-01-31T10:00+01:00."
        ) from error


def zoned(at: datetime) -> datetime:
    """A time with its zone; UTC where none was given."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _like(pattern: str) -> str:
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, "\\" + special)
    return pattern.replace("*", "%")


def _array(items: Any) -> str:
    return "{" + ",".join(items) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _storable(text: str) -> str:
    """The text as PostgreSQL may hold it: nothing it stores has a NUL, so one in a question matches nothing."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
