"""Which dead letters are meant."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.errors import InvalidInput


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions that all must hold; `topic` may contain `*`, `reason` is the class of the error."""

    ids: tuple[int, ...] = ()
    event_id: str | None = None
    topic: str | None = None
    group: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    text: str | None = None
    everything: bool = False

    def parameters(self) -> dict[str, Any]:
        """The parameters of the statements that select dead letters."""
        return {
            "ids": list(self.ids) or None,
            "event_id": self.event_id,
            "topic": None if self.topic is None else _like(self.topic),
            "group": self.group,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            "text": self.text,
        }

    def require_some(self) -> None:
        """Return unless nothing is selected; raises `InvalidInput`, so that nothing happens to all by accident."""
        if not self.everything and all(value is None for value in self.parameters().values()):
            raise InvalidInput(
                "No dead letters are named.",
                remedy="Name ids, a topic, a group, a fingerprint, or all of them.",
            )


def _like(pattern: str) -> str:
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, "\\" + special)
    return pattern.replace("*", "%")
