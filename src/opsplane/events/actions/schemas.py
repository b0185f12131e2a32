"""What operators do to the registry of schemas."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.action import Action, Preview
from opsplane.events.backbone import ROLE, Backbone
from opsplane.events.schemas import projection, registry, store
from opsplane.events.schemas.assessment import assess
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.document import Schema, Scope, schema
from opsplane.events.schemas.formats import Formats
from opsplane.events.schemas.registry import Registered
from opsplane.events.schemas.store import Version


class RegisterSchema(msgspec.Struct, frozen=True, kw_only=True):
    """Register a schema as draft of its subject: the next version, or the one named."""

    subject: str
    schema: Any
    version: int | None = None
    scope: Scope | None = None
    formats: Formats | None = None

    def candidate(self) -> Schema:
        """The schema, compiled; raises `InvalidSchema`."""
        registry.require_subject(self.subject)
        return schema(
            self.subject,
            self.version or 1,
            self.schema,
            state="draft",
            scope=self.scope,
            formats=self.formats,
        )


class PromoteSchema(msgspec.Struct, frozen=True, kw_only=True):
    """Make a draft decide; with `force` even though it breaks somebody."""

    subject: str
    version: int
    force: bool = False


class DeprecateSchema(msgspec.Struct, frozen=True, kw_only=True):
    """Let an active version judge only the events that name it."""

    subject: str
    version: int


class SetMode(msgspec.Struct, frozen=True, kw_only=True):
    """Decide which changes to a subject's schema are allowed."""

    subject: str
    mode: Mode


async def _preview_register(backbone: Backbone, wanted: RegisterSchema) -> Preview:
    candidate = wanted.candidate()
    assessed = assess(await store.versions(backbone.pool, wanted.subject), candidate, backbone.topology)
    return Preview(
        assessed.summary, len(assessed.changes), [msgspec.to_builtins(one) for one in assessed.changes]
    )


async def _register(backbone: Backbone, wanted: RegisterSchema) -> Registered:
    return await registry.register(
        backbone.pool,
        wanted.candidate(),
        backbone.actor,
        backbone.topology,
        numbered=wanted.version is not None,
    )


async def _preview_promote(backbone: Backbone, wanted: PromoteSchema) -> Preview:
    found = await store.some_versions(backbone.pool, wanted.subject)
    candidate = store.pick(found, wanted.version).compiled()
    assessed = assess(found, candidate, backbone.topology)
    verb = f"Would decide about {wanted.subject}: version {wanted.version}."
    return Preview(f"{verb} {assessed.summary}", 1, [msgspec.to_builtins(one) for one in assessed.changes])


async def _promote(backbone: Backbone, wanted: PromoteSchema) -> Version:
    done = await registry.promote(
        backbone.pool, wanted.subject, wanted.version, backbone.actor, backbone.topology, force=wanted.force
    )
    await projection.project(backbone.pool, backbone.broker)
    return done


async def _preview_deprecate(backbone: Backbone, wanted: DeprecateSchema) -> Preview:
    found = await store.some_versions(backbone.pool, wanted.subject)
    store.pick(found, wanted.version)
    left = [one.version for one in found if one.state == "active" and one.version != wanted.version]
    then = f"version {max(left)} decides then" if left else "nothing of the type can be published then"
    return Preview(f"Would judge only events that name it: version {wanted.version}; {then}.", 1)


async def _deprecate(backbone: Backbone, wanted: DeprecateSchema) -> Version:
    done = await registry.deprecate(backbone.pool, wanted.subject, wanted.version, backbone.actor)
    await projection.project(backbone.pool, backbone.broker)
    return done


async def _preview_mode(backbone: Backbone, wanted: SetMode) -> Preview:
    found = await store.some_versions(backbone.pool, wanted.subject)
    return Preview(
        f"Would change the mode of {wanted.subject} from {found[0].mode} to {wanted.mode.value}.", 1
    )


async def _set_mode(backbone: Backbone, wanted: SetMode) -> Mode:
    return await registry.set_mode(backbone.pool, wanted.subject, wanted.mode, backbone.actor)


REGISTER = Action(
    "schema.register", ROLE, "Register a schema as draft.", RegisterSchema, _preview_register, _register
)
PROMOTE = Action(
    "schema.promote", ROLE, "Make a draft decide.", PromoteSchema, _preview_promote, _promote, dangerous=True
)
DEPRECATE = Action(
    "schema.deprecate",
    ROLE,
    "Let a version judge only the events that name it.",
    DeprecateSchema,
    _preview_deprecate,
    _deprecate,
    dangerous=True,
)
MODE = Action("schema.mode", ROLE, "Decide which changes are allowed.", SetMode, _preview_mode, _set_mode)
