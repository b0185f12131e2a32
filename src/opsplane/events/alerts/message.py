"""Messages as an incoming webhook of Slack takes them: `text` for notifications, `blocks` for the rest.

Others that understand `text` (Mattermost, Rocket.Chat, Google Chat) show that. Source: Slack's "Sending messages using
incoming webhooks" and its Block Kit reference (a section's text has at most 3,000 characters).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

RUNBOOK = "dead-letters.md"
MOST_CAUSES = 5
LONGEST = 200


class Links(msgspec.Struct, frozen=True):
    """Under which address the platform's API is reached, and the runbooks, if they are served anywhere."""

    api: str
    runbooks: str | None = None

    def cause(self, fingerprint: str) -> str:
        """The dead letters of one cause."""
        query = urlencode({"fingerprint": fingerprint})
        return f"{self.api}/api/v1/admin/dlq/failed-events?{query}"

    @property
    def runbook(self) -> str:
        """The runbook, as a link where it can be one."""
        if self.runbooks is None:
            return f"docs/runbooks/{RUNBOOK}"
        return f"<{self.runbooks.rstrip('/')}/{RUNBOOK}|runbook>"


def firing(
    topic: str, count: int, threshold: int, since: datetime, causes: Sequence[dict[str, Any]], links: Links
) -> dict[str, Any]:
    """That a topic has too many dead letters, with its most frequent causes."""
    text = f"{topic} has {count} open dead letters; more than {threshold} are too many."
    lines = [
        f":red_circle: *{_escaped(topic)}* has {count} open dead letters; more than {threshold} are too many."
    ]
    lines += [_cause(cause, links) for cause in causes[:MOST_CAUSES]]
    if len(causes) > MOST_CAUSES:
        lines.append(f"… and {len(causes) - MOST_CAUSES} more causes")
    command = f"opsplane dlq groups --topic {topic}"
    return _message(text, lines, f"since {since:%Y-%m-%d %H:%M} UTC · `{command}` · {links.runbook}")


def resolved(topic: str, threshold: int, since: datetime, links: Links) -> dict[str, Any]:
    """That a topic is well again."""
    text = f"{topic} is well again: at most {threshold} open dead letters."
    line = f":large_green_circle: *{_escaped(topic)}* is well again: at most {threshold} open dead letters."
    return _message(text, [line], f"was raised {since:%Y-%m-%d %H:%M} UTC · {links.runbook}")


def _cause(cause: dict[str, Any], links: Links) -> str:
    told = cause["message"]
    told = told if len(told) <= LONGEST else told[:LONGEST] + "…"
    what = " ".join(filter(None, (cause["reason"], cause["error"])))
    link = f"<{links.cause(cause['fingerprint'])}|{cause['fingerprint']}>"
    return f"• {cause['count']} × {_escaped(what)}: {_escaped(told)} ({link})"


def _message(text: str, lines: Sequence[str], context: str) -> dict[str, Any]:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:3000]}}
    below = {"type": "context", "elements": [{"type": "mrkdwn", "text": context}]}
    return {"text": _escaped(text), "blocks": [section, below]}


def _escaped(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
