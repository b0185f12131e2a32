"""An event's whole story: who wrote it, where it stands, what became of it in each group, what it caused."""

from __future__ import annotations

from opsplane.events.story.moments import Found, GroupState, Moment, Story
from opsplane.events.story.telling import find, tell
from opsplane.events.story.witnesses import TaskWitness, Witnesses

__all__ = ["Found", "GroupState", "Moment", "Story", "TaskWitness", "Witnesses", "find", "tell"]
