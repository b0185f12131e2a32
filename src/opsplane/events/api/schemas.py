"""The registry of schemas over HTTP. (Annotations are read at run time.)"""

from typing import Any

import msgspec
from litestar import Response, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.events.actions import schemas as acts
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.schemas import asyncapi, store
from opsplane.events.schemas.assessment import assess
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.document import Scope
from opsplane.events.schemas.formats import Formats
from opsplane.web import Caller


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schema to be registered or checked; `version` only where a certain number is wanted."""

    schema: dict[str, Any]
    version: int | None = None
    scope: Scope | None = None
    formats: Formats | None = None


class WantedMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The compatibility mode a subject is to have."""

    mode: Mode


def schema_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of the registry."""
    return [*_looking(backbone), *_versions(backbone), *_compatibility(backbone)]


def _looking(backbone: Backbone) -> list[ControllerRouterHandler]:
    @get("/subjects", operation_id="listSchemaSubjects")
    async def list_subjects() -> dict[str, Any]:
        """Every subject with its mode, its active and its newest version."""
        return {"data": await store.subjects(backbone.pool)}

    @get("/asyncapi", operation_id="getAsyncApi")
    async def get_asyncapi() -> dict[str, Any]:
        """The AsyncAPI 3.0 document of all topics."""
        return asyncapi.document(await store.usable(backbone.pool), backbone.topology)

    return [list_subjects, get_asyncapi]


def _versions(backbone: Backbone) -> list[ControllerRouterHandler]:
    @get("/subjects/{subject:str}/versions", operation_id="listSchemaVersions")
    async def list_versions(subject: FromPath[str]) -> dict[str, Any]:
        """Every version of a subject, the oldest first."""
        return {"data": await store.some_versions(backbone.pool, subject)}

    @post("/subjects/{subject:str}/versions", operation_id="registerSchema")
    async def register(
        subject: FromPath[str],
        data: JSONBody[Candidate],
        identity: Caller,
        reason: FromQuery[str | None] = None,
    ) -> Response[dict[str, Any]]:
        """Register a schema as draft: 201, or 200 with the version that has meant the same all along.

        409 names each change that breaks somebody under the subject's mode, and the consumers it breaks.
        """
        wanted = acts.RegisterSchema(subject=subject, **msgspec.structs.asdict(data))
        done = await act(backbone, acts.REGISTER, wanted, identity, reason)
        return Response({"data": done}, status_code=200 if done.known else 201)

    @get("/subjects/{subject:str}/versions/{version:str}", operation_id="getSchemaVersion")
    async def get_version(subject: FromPath[str], version: FromPath[str]) -> dict[str, Any]:
        """One version; `latest` is the newest active one."""
        return {"data": await store.version(backbone.pool, subject, version)}

    @post(
        "/subjects/{subject:str}/versions/{version:int}/promote",
        status_code=200,
        operation_id="promoteSchema",
    )
    async def promote(
        subject: FromPath[str],
        version: FromPath[int],
        identity: Caller,
        force: FromQuery[bool] = False,
        reason: FromQuery[str | None] = None,
    ) -> dict[str, Any]:
        """Make a draft decide everywhere, within about a second; `force` even though it breaks somebody."""
        wanted = acts.PromoteSchema(subject=subject, version=version, force=force)
        return {"data": await act(backbone, acts.PROMOTE, wanted, identity, reason)}

    @post(
        "/subjects/{subject:str}/versions/{version:int}/deprecate",
        status_code=200,
        operation_id="deprecateSchema",
    )
    async def deprecate(
        subject: FromPath[str], version: FromPath[int], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Let an active version judge only the events that name it."""
        wanted = acts.DeprecateSchema(subject=subject, version=version)
        return {"data": await act(backbone, acts.DEPRECATE, wanted, identity, reason)}

    return [list_versions, register, get_version, promote, deprecate]


def _compatibility(backbone: Backbone) -> list[ControllerRouterHandler]:
    @get("/subjects/{subject:str}/compatibility", operation_id="getSchemaMode")
    async def get_mode(subject: FromPath[str]) -> dict[str, Any]:
        """Which changes to a subject's schema are allowed."""
        return {"data": {"mode": store.mode_of(await store.some_versions(backbone.pool, subject)).value}}

    @put("/subjects/{subject:str}/compatibility", operation_id="setSchemaMode")
    async def set_mode(
        subject: FromPath[str],
        data: JSONBody[WantedMode],
        identity: Caller,
        reason: FromQuery[str | None] = None,
    ) -> dict[str, Any]:
        """Decide which changes to a subject's schema are allowed from now on."""
        wanted = acts.SetMode(subject=subject, mode=data.mode)
        return {"data": {"mode": await act(backbone, acts.MODE, wanted, identity, reason)}}

    @post("/subjects/{subject:str}/compatibility", status_code=200, operation_id="checkSchema")
    async def check(
        subject: FromPath[str], data: JSONBody[Candidate], mode: FromQuery[Mode | None] = None
    ) -> dict[str, Any]:
        """What a candidate would break, and whom, without registering it; `mode` instead of the subject's own."""
        wanted = acts.RegisterSchema(subject=subject, **msgspec.structs.asdict(data))
        found = await store.versions(backbone.pool, subject)
        return {"data": assess(found, wanted.candidate(), backbone.topology, mode)}

    return [get_mode, set_mode, check]
