"""What operators do to events, each written once for command line and API."""

from __future__ import annotations

from opsplane.events.actions.dead_letters import (
    CANCEL,
    DISCARD,
    RETRY,
    CancelReplay,
    DiscardLetters,
    RetryLetters,
)
from opsplane.events.actions.edits import EDIT, EditLetter
from opsplane.events.actions.groups import PAUSE, RESUME, GroupName
from opsplane.events.actions.imports import IMPORT, ImportLetters
from opsplane.events.actions.personal import READ_PERSONAL, ReadPersonal
from opsplane.events.actions.topics import REBUILD, RebuildTopics

__all__ = [
    "CANCEL",
    "DISCARD",
    "EDIT",
    "IMPORT",
    "PAUSE",
    "READ_PERSONAL",
    "REBUILD",
    "RESUME",
    "RETRY",
    "CancelReplay",
    "DiscardLetters",
    "EditLetter",
    "GroupName",
    "ImportLetters",
    "ReadPersonal",
    "RebuildTopics",
    "RetryLetters",
]
