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
from opsplane.events.actions.positions import (
    FORGET,
    RESET,
    SEEK,
    TRIM,
    ForgetGroup,
    ResetGroup,
    SeekGroup,
    TrimTopics,
)
from opsplane.events.actions.topics import REBUILD, RebuildTopics

__all__ = [
    "CANCEL",
    "DISCARD",
    "EDIT",
    "FORGET",
    "IMPORT",
    "PAUSE",
    "READ_PERSONAL",
    "REBUILD",
    "RESET",
    "RESUME",
    "RETRY",
    "SEEK",
    "TRIM",
    "CancelReplay",
    "DiscardLetters",
    "EditLetter",
    "ForgetGroup",
    "GroupName",
    "ImportLetters",
    "ReadPersonal",
    "RebuildTopics",
    "ResetGroup",
    "RetryLetters",
    "SeekGroup",
    "TrimTopics",
]
