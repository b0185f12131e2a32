"""Why a `gateway.yaml` cannot be used: every reason, each with its place."""

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

    def told(self, file: str) -> str:
        """The reason as one line that editors can jump to."""
        hint = f" Did you mean `{self.nearest}`?" if self.nearest else ""
        return f"{file}:{self.line}:{self.column}: {self.key or 'file'}: {self.message}{hint}"


class GatewayRejected(InvalidInput):
    """The gateway's file cannot be used; nothing was changed. `violations` lists every reason."""

    def __init__(self, file: str, violations: Sequence[Violation]) -> None:
        ordered = sorted(set(violations))
        super().__init__(
            "\n".join(violation.told(file) for violation in ordered),
            violations=[
                {
                    "file": file,
                    "line": one.line,
                    "column": one.column,
                    "key": one.key,
                    "pointer": "/" + one.key.replace("[", ".").replace("]", "").replace(".", "/"),
                    "keyword": "gateway",
                    "message": one.message,
                    "nearest": one.nearest,
                }
                for one in ordered
            ],
            file=file,
        )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if any is like it at all."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None
