"""What operators do to events, each written once for command line and API."""

from __future__ import annotations

from opsplane.events.actions.breakers import CLOSE as CLOSE_BREAKER
from opsplane.events.actions.breakers import OPEN as OPEN_BREAKER
from opsplane.events.actions.breakers import RESET as RESET_BREAKER
from opsplane.events.actions.breakers import BreakerNames
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
    "CLOSE_BREAKER",
    "DISCARD",
    "EDIT",
    "FORGET",
    "IMPORT",
    "OPEN_BREAKER",
    "PAUSE",
    "READ_PERSONAL",
    "REBUILD",
    "RESET",
    "RESET_BREAKER",
    "RESUME",
    "RETRY",
    "SEEK",
    "TRIM",
    "BreakerNames",
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
