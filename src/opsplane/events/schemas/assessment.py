"""What a candidate schema would break, and whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from opsplane.errors import Conflict
from opsplane.events.schemas import compatibility
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.document import SCOPE, Schema, failing_examples
from opsplane.events.schemas.store import Version, mode_of
from opsplane.events.topology import Topology

_BREAKS = {"backward": "readers", "forward": "consumers"}


class Breakage(msgspec.Struct, frozen=True, rename="camel"):
    """One change that breaks somebody: against which version, at which place of the event, what changed.

    `breaks` is `readers` when who knows the new schema cannot read what was published under the old one, and
    `consumers` when those who know only the old one cannot read what is published under the new one. What is not
    `certain` could only not be shown to be harmless.
    """

    version: int
    pointer: str
    keyword: str
    change: str
    breaks: str
    certain: bool = True


class Assessment(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a candidate may become the subject's schema: against which versions it was held, what breaks, whom.

    `consumers` are the declared groups that read the subject; `warnings` name the candidate's examples that fail.
    """

    subject: str
    mode: str
    compatible: bool
    against: list[int]
    changes: list[Breakage]
    consumers: list[str]
    formats: str
    scope: str
    warnings: list[str]

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.compatible:
            held = f"versions {', '.join(map(str, self.against))}" if self.against else "nothing before it"
            return f"The schema of {self.subject} is compatible ({self.mode}) with {held}."
        first = self.changes[0]
        others = f" and {len(self.changes) - 1} more" if len(self.changes) > 1 else ""
        return (
            f"The schema of {self.subject} is not compatible ({self.mode}) with version {first.version}: "
            f"{first.pointer or '/'} {first.change}{others}; it breaks {self._whom(first)}."
        )

    def _whom(self, first: Breakage) -> str:
        groups = ", ".join(self.consumers)
        if first.breaks == "consumers":
            return groups or "consumers that are not declared here"
        return f"{groups or 'consumers'}, as soon as they know it, on events published before"


class IncompatibleSchema(Conflict):
    """The candidate breaks somebody under the subject's mode; `violations` has every change, `consumers` the groups."""


def assess(
    found: Sequence[Version], candidate: Schema, topology: Topology, mode: Mode | None = None
) -> Assessment:
    """The candidate held against the versions of its subject that events may have been published under.

    Those are the active and deprecated ones: the newest active of them, or all for a transitive mode.
    """
    mode = mode or mode_of(list(found))
    older = [one for one in found if one.state != "draft"]
    if mode is Mode.NONE:
        older = []
    elif not mode.transitive:
        older = [max(older, key=lambda one: (one.state == "active", one.version))] if older else []
    changes = _breakages(older, candidate, mode)
    return Assessment(
        candidate.type, mode.value, not changes, [one.version for one in older], changes,
        topology.consumers_of(candidate.type), candidate.formats, candidate.scope, failing_examples(candidate),
    )  # fmt: skip


def refuse(assessed: Assessment) -> IncompatibleSchema:
    """The error that says which change breaks whom."""
    found: list[dict[str, Any]] = [msgspec.to_builtins(change) for change in assessed.changes]
    return IncompatibleSchema(
        assessed.summary,
        violations=[change | {"consumers": assessed.consumers} for change in found],
        consumers=assessed.consumers,
        mode=assessed.mode,
        remedy="Make the change in a compatible way, publish a new event type beside it, or allow it: "
        f"opsplane schema mode {assessed.subject} NONE",
    )


def _breakages(older: Sequence[Version], candidate: Schema, mode: Mode) -> list[Breakage]:
    scopes = [
        Breakage(
            one.version,
            "",
            SCOPE,
            f"It describes the {candidate.scope}, no longer the {one.scope}.",
            "readers",
        )
        for one in older
        if one.scope != candidate.scope
    ]
    held = [one for one in older if one.scope == candidate.scope]
    numbers = {f"version {one.version}": one.version for one in held}
    history = [
        compatibility.Version(name, one.schema, formats=one.formats == "assert")
        for name, one in zip(numbers, held, strict=True)
    ]
    name = (
        f"version {candidate.version}"
        if candidate.version > max(numbers.values(), default=0)
        else "the new schema"
    )
    new = compatibility.Version(name, candidate.document, formats=candidate.formats == "assert")
    verdict = compatibility.compare_history(history, new, mode)
    return scopes + [
        Breakage(
            numbers[change.against], change.pointer, change.keyword, change.message,
            _BREAKS[change.direction], change.certain,
        )
        for change in verdict.changes
    ]  # fmt: skip
