"""What is asked of two versions: does the taker accept everything the giver allows, and where not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import msgspec


class Version(msgspec.Struct, frozen=True):
    """One version of a schema; with `formats` its formats are asserted, else they are annotations."""

    name: str
    document: Any
    formats: bool = True


class Break(NamedTuple):
    """At which place of the event (`*` is any item, any other property), by which keyword, in words.

    One that is not `certain` could only not be shown to be harmless.
    """

    pointer: str
    keyword: str
    message: str
    certain: bool = True


class Question(Protocol):
    """The question as the parts of the comparison ask it of subschemas; `giver` and `taker` are names of versions."""

    giver: str
    taker: str

    def between(self, given: Any, taken: Any, pointer: str) -> Iterator[Break]:
        """The breaks between two subschemas at a place of the event."""
        ...

    def holds(self, given: Any, taken: Any) -> bool:
        """Whether the taker's subschema accepts everything the giver's allows."""
        ...

    def is_empty(self, given: Any) -> bool:
        """Whether the giver's subschema allows nothing at all, as far as that is easily seen."""
        ...
