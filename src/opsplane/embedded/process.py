from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from opsplane.embedded.child import Command


def _nothing() -> None:
    """Nothing to do."""


@dataclass(frozen=True)
class Process:
    """What the supervisor keeps running.

    `members` are the names that can be switched on and off (the roles of a process, an engine itself);
    `command` gets those that are on, `ready` is asked for each of them. `prepare` comes before each start, `provision` after the
    process is ready for the first time. All four may block: they run in threads, except `command`.
    `after` names the processes that have to be ready first, `remedy` is what to try when it fails.
    """

    name: str
    kind: Literal["engine", "role"]
    log: Path
    command: Callable[[tuple[str, ...]], Command]
    ready: Callable[[str], bool]
    prepare: Callable[[], None] = _nothing
    provision: Callable[[], None] = _nothing
    members: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    title: str = ""
    place: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    start_timeout: float = 60.0
    stop_timeout: float = 15.0
    remedy: str = ""

    @property
    def switches(self) -> tuple[str, ...]:
        """The names that switch it: its members, else its own name."""
        return self.members or (self.name,)
