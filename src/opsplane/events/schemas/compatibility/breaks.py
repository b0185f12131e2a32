"""One way in which one version refuses what the other allows."""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """At which place of the event (`*` is any item, any other property), by which keyword, in words.

    One that is not `certain` could only not be shown to be harmless.
    """

    pointer: str
    keyword: str
    message: str
    certain: bool = True
