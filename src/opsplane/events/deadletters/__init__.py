"""Dead letters: read in, shown, replayed, discarded; the table is the truth, the streams show it."""

from __future__ import annotations

from opsplane.events.deadletters.keeper import DeadLetterKeeper
from opsplane.events.deadletters.replayer import Replayer
from opsplane.events.deadletters.selection import Selection, moment
from opsplane.events.deadletters.store import OPEN, STATES, Replay, groups, page, replay, replays, show, stats
from opsplane.events.deadletters.transfer import export

__all__ = [
    "OPEN",
    "STATES",
    "DeadLetterKeeper",
    "Replay",
    "Replayer",
    "Selection",
    "export",
    "groups",
    "moment",
    "page",
    "replay",
    "replays",
    "show",
    "stats",
]
