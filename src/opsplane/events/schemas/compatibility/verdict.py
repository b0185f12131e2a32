"""Verdicts: is a new version compatible, and if not, which changes break whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from opsplane.events.schemas.compatibility.inclusion import Inclusion
from opsplane.events.schemas.compatibility.mode import Mode
from opsplane.events.schemas.compatibility.question import Version

Direction = Literal["backward", "forward"]


class Change(msgspec.Struct, frozen=True):
    """One change that breaks: at which place of the event (`*` is any item or other property), which keyword, how.

    `direction` is `backward` when events of `against` are refused by the new version, `forward` when events of the
    new version are refused by readers that still have `against`. A change that is not `certain` could only not be
    shown to be harmless.
    """

    direction: Direction
    against: str
    pointer: str
    keyword: str
    message: str
    certain: bool = True


class Verdict(msgspec.Struct, frozen=True):
    """Whether the new version may follow, and every change that speaks against it."""

    mode: Mode
    compatible: bool
    changes: list[Change]


def compare(old: Version, new: Version, mode: Mode) -> Verdict:
    """The verdict on `new` after `old`."""
    return compare_history([old], new, mode)


def compare_history(history: Sequence[Version], new: Version, mode: Mode) -> Verdict:
    """The verdict on `new` after the versions of `history`, the oldest first; the first version of all fits any mode."""
    earlier = history if mode.transitive else history[-1:]
    changes = [change for old in earlier for change in _changes(old, new, mode)]
    return Verdict(mode, not changes, changes)


def _changes(old: Version, new: Version, mode: Mode) -> list[Change]:
    found = []
    if mode.backward:
        found += _refusals("backward", old, new, old.name)
    if mode.forward:
        found += _refusals("forward", new, old, old.name)
    return found


def _refusals(direction: Direction, giver: Version, taker: Version, against: str) -> list[Change]:
    broken = Inclusion(giver, taker).breaks()
    return [Change(direction, against, one.pointer, one.keyword, one.message, one.certain) for one in broken]
