"""Why a document cannot be used: every reason, each with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsplane.errors import InvalidInput


@dataclass(frozen=True, order=True)
class Violation:
    """One reason: where (line and column count from 1), which key, what is wrong, what was meant perhaps."""

    line: int
    column: int
    key: str
    message: str
    nearest: str | None = None

    @property
    def told(self) -> str:
        """What is wrong, and what was probably meant."""
        return f"{self.message} Did you mean `{self.nearest}`?" if self.nearest else self.message


class DocumentRejected(InvalidInput):
    """A document cannot be used; nothing was changed.

    `violations` lists every reason for people, `reasons` the same with line, column and nearest name apart. A room
    with a document of its own derives from this and says in `cure` how the document is checked.
    """

    cure = "Nothing was changed. Correct the file."

    def __init__(self, file: str, reasons: Sequence[Violation]) -> None:
        ordered = sorted(set(reasons))
        super().__init__(
            f"{file} cannot be used; it has {len(ordered)} error{'s' if len(ordered) > 1 else ''}.",
            violations=[
                {"place": f"{file}:{one.line}:{one.column}", "key": one.key or "(file)", "message": one.told}
                for one in ordered
            ],
            remedy=self.cure,
            reasons=ordered,
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if any is like it at all."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None
