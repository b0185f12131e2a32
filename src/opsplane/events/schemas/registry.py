"""Changing the registry: registering a version, promoting it, deprecating it, choosing what may change.

A version goes `draft` → `active` → `deprecated` and never back; to return to an older schema, deprecate the newer
(the newest active version counts), or register the older one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from psycopg.types.json import Json

from opsplane.database import Connection, Pool, sql
from opsplane.errors import Conflict, InvalidInput
from opsplane.events.backbone import ROOM
from opsplane.events.schemas import store
from opsplane.events.schemas.assessment import Assessment, assess, refuse
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.document import Schema, State
from opsplane.events.schemas.store import Version, pick
from opsplane.events.topology import Topology

TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "draft": ("active",),
    "active": ("deprecated",),
    "deprecated": (),
}
_DO: Mapping[str, str] = {"active": "promote_schema", "deprecated": "deprecate_schema"}
MOST_CHARACTERS = 255
NOBODY = Topology()


class Registered(msgspec.Struct, frozen=True, rename="camel"):
    """A version as it was registered, with what was found out about it; `known` when it had been there before."""

    version: Version
    assessment: Assessment
    known: bool = False


async def register(
    pool: Pool,
    candidate: Schema,
    by: str,
    topology: Topology = NOBODY,
    *,
    numbered: bool = False,
) -> Registered:
    """A new draft of the candidate's subject, or the version that has meant the same all along.

    The version is the next one; the candidate's own when `numbered`. Raises `IncompatibleSchema` naming the change
    and whom it breaks, `Conflict` for a number that is taken by another schema.
    """
    require_subject(candidate.type)
    async with pool.transaction() as tx:
        await tx.execute(sql(ROOM, "lock_schemas"))
        found = await store.versions(tx, candidate.type)
        known = _same(found, candidate, numbered)
        if known is not None:
            before = [one for one in found if one.version < known.version]
            return Registered(known, assess(before, known.compiled(), topology), known=True)
        if not numbered:
            number = max((one.version for one in found), default=0) + 1
            candidate = replace(candidate, version=number)
        elif any(one.version == candidate.version for one in found):
            raise Conflict(
                f"Version {candidate.version} of {candidate.type} is registered with another schema.",
                remedy="A registered version never changes. Leave the version out to get the next one.",
            )
        assessed = assess(found, candidate, topology)
        if not assessed.compatible:
            raise refuse(assessed)
        await insert(tx, candidate, by, "draft")
        return Registered(pick(await store.versions(tx, candidate.type), candidate.version), assessed)


async def promote(
    pool: Pool,
    subject: str,
    version: int | str,
    by: str,
    topology: Topology = NOBODY,
    *,
    force: bool = False,
) -> Version:
    """The version, active from now on. Raises `NotFound`, `Conflict` when it is no draft, and `IncompatibleSchema`
    when it breaks somebody, unless `force` says that this is known.
    """
    async with pool.transaction() as tx:
        await tx.execute(sql(ROOM, "lock_schemas"))
        found = await _some(tx, subject)
        chosen = pick(found, version)
        _require_transition(chosen, "active")
        assessed = assess(found, chosen.compiled(), topology)
        if not assessed.compatible and not force:
            raise refuse(assessed)
        return await _moved(tx, chosen, "active", by)


async def deprecate(pool: Pool, subject: str, version: int | str, by: str) -> Version:
    """The version, from now on for events only that name it. Raises `NotFound`, `Conflict` when it is not active."""
    async with pool.transaction() as tx:
        await tx.execute(sql(ROOM, "lock_schemas"))
        chosen = pick(await _some(tx, subject), version)
        _require_transition(chosen, "deprecated")
        return await _moved(tx, chosen, "deprecated", by)


async def set_mode(pool: Pool, subject: str, mode: Mode, by: str) -> Mode:
    """Decide which changes to the subject's schema are allowed; raises `NotFound`."""
    await store.some_versions(pool, subject)
    await pool.execute(sql(ROOM, "set_schema_mode"), {"subject": subject, "mode": mode.value, "by": by})
    return mode


async def insert(tx: Connection, candidate: Schema, by: str, state: State) -> None:
    """Write the version down."""
    await tx.execute(sql(ROOM, "insert_schema_subject"), [candidate.type])
    facts = {
        "subject": candidate.type, "version": candidate.version, "document": Json(candidate.document),
        "digest": candidate.digest, "state": state, "scope": candidate.scope, "formats": candidate.formats,
        "by": by,
    }  # fmt: skip
    await tx.execute(sql(ROOM, "insert_schema_version"), facts)


def require_subject(subject: str) -> None:
    """Return when it can be the name of an event type; raise `InvalidInput`."""
    if (
        not subject
        or len(subject) > MOST_CHARACTERS
        or not subject.isprintable()
        or {"/", " "} & set(subject)
    ):
        raise InvalidInput(
            f"{subject[:80]!r} is no event type.", remedy="An event type looks like catalog.product.created."
        )


def _same(found: Sequence[Version], candidate: Schema, numbered: bool) -> Version | None:
    """The version that means what the candidate means; a deprecated one may be registered again."""
    for one in reversed(found):
        wanted = one.version == candidate.version if numbered else one.state != "deprecated"
        if wanted and one.compiled().digest == candidate.digest:
            return one
    return None


async def _some(tx: Connection, subject: str) -> list[Version]:
    return store.some(subject, await store.versions(tx, subject))


async def _moved(tx: Connection, chosen: Version, state: State, by: str) -> Version:
    facts = {"subject": chosen.subject, "version": chosen.version, "by": by}
    await tx.execute(sql(ROOM, _DO[state]), facts)
    return pick(await store.versions(tx, chosen.subject), chosen.version)


def _require_transition(chosen: Version, state: State) -> None:
    if state not in TRANSITIONS[chosen.state]:
        following = " or ".join(TRANSITIONS[chosen.state]) or "nothing else"
        raise Conflict(
            f"Version {chosen.version} of {chosen.subject} is {chosen.state}; it can become {following}.",
            remedy=f"See: opsplane schema show {chosen.subject}",
        )
