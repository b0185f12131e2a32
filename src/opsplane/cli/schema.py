"""`opsplane schema`: the registry of event schemas."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.events.backbone import Backbone
    from opsplane.events.schemas import Schema

app = cyclopts.App(name="schema", help="Show, compare, register and promote the schemas of events.")
for _name, _help in (
    (
        "check",
        "What a schema would break, and whom, without registering it; exit code 3 when it breaks somebody.",
    ),
    (
        "register",
        "Register a schema as draft; it is refused when it breaks somebody under the subject's mode.",
    ),
    ("promote", "Make a draft decide: the whole platform judges by it within about a second."),
    ("deprecate", "Let an active version judge only the events that name it."),
    ("mode", "Show or choose which changes to a subject's schema are allowed."),
):
    app.command(f"opsplane.cli.schema_changes:{_name}", name=_name, help=_help)

DEFAULTS = Common()
INCOMPATIBLE = 3
SubjectOption = Annotated[str, Parameter(help="The event type, for example catalog.product.created.")]


@app.command(name="ls")
async def list_subjects(*, common: Common = DEFAULTS) -> None:
    """Every subject: its mode, the version that decides, the newest, how many drafts wait."""
    from opsplane.events.schemas import store

    async with session(common) as opened:
        rows = await store.subjects(await opened.pool("operations"))
    columns = ("subject", "mode", "active", "newest", "drafts", "versions")
    emit(rows, common.output, columns=columns)


@app.command
async def show(
    subject: SubjectOption,
    version: Annotated[
        str | None, Parameter(help="A version or `latest`; all are listed without one.")
    ] = None,
    *,
    common: Common = DEFAULTS,
) -> None:
    """The versions of a subject, or one of them in full."""
    from opsplane.events.schemas import store

    async with session(common) as opened:
        pool = await opened.pool("operations")
        if version is None:
            found = await store.some_versions(pool, subject)
            columns = (
                "version",
                "state",
                "scope",
                "formats",
                "mode",
                "registeredBy",
                "registeredAt",
                "promotedBy",
            )
            emit(found, common.output, columns=columns)
            return
        one = await store.version(pool, subject, version)
    if common.output == "table":
        note(f"{subject} version {one.version}: {one.state}, formats {one.formats}, scope {one.scope}")
        emit(one.schema, "json")
    else:
        emit(one, common.output)


@app.command
async def diff(
    subject: SubjectOption,
    old: Annotated[str, Parameter(help="A version, `latest`, or FILE.")] = "latest",
    new: Annotated[str, Parameter(help="A version, `latest`, FILE, or `file`: the service's own.")] = "file",
    *,
    common: Common = DEFAULTS,
) -> int:
    """What differs between two versions of a schema, line by line; exit code 3 when something does."""
    import difflib

    async with session(common) as opened:
        before = _lines(await _document(opened, subject, old, old))
        after = _lines(await _document(opened, subject, new, old))
    changed = list(difflib.unified_diff(before, after, f"{subject} {old}", f"{subject} {new}", lineterm=""))
    if common.output == "table":
        print("\n".join(changed) if changed else "They are the same.")
    else:
        emit({"subject": subject, "old": old, "new": new, "diff": changed}, common.output)
    return INCOMPATIBLE if changed else 0


@app.command(name="types")
async def print_types(
    subjects: Annotated[tuple[str, ...], Parameter(help="Subjects; all when none is named.")] = (),
    /,
    *,
    version: Annotated[int | None, Parameter(help="A certain version of the one subject.")] = None,
    common: Common = DEFAULTS,
) -> None:
    """A Python module of msgspec classes for the data of events, from their active schemas."""
    from opsplane.events.schemas import store
    from opsplane.events.schemas.typed import module

    async with session(common) as opened:
        pool = await opened.pool("operations")
        names = subjects or tuple(row["subject"] for row in await store.subjects(pool))
        found = [(await store.version(pool, name, version or store.LATEST)).compiled() for name in names]
    print(module(found), end="")


@app.command(name="asyncapi")
async def print_asyncapi(*, common: Common = DEFAULTS) -> None:
    """The AsyncAPI 3.0 document of all topics: who publishes what, who consumes it, with which schema."""
    from opsplane.events.schemas import asyncapi, store

    async with session(common) as opened:
        context = await with_topology(opened)
        found = asyncapi.document(await store.usable(context.pool), context.topology)
    emit(found, "yaml" if common.output == "yaml" else "json")


async def with_topology(opened: Session) -> Backbone:
    """What the actions work with, and who consumes what."""
    from dataclasses import replace

    from opsplane.cli.acting import backbone
    from opsplane.service import collect_services, topology

    return replace(await backbone(opened), topology=topology(collect_services().values()))


async def _document(opened: Session, subject: str, which: str, other: str) -> Any:
    from opsplane.events.schemas import store

    if which == "file":
        return _own(subject, other).document
    if which == store.LATEST or which.isdigit():
        return (await store.version(await opened.pool("operations"), subject, which)).schema
    return read_schema(which)


def _own(subject: str, other: str) -> Schema:
    """The service's own file: of the version it is compared with, else the newest."""
    from opsplane.errors import NotFound
    from opsplane.service import collect_services, event_schemas

    files = [one for one in event_schemas(collect_services().values()).declared if one.type == subject]
    if not files:
        raise NotFound(f"No service has a file schemas/{subject}/<version>.json.")
    same = [one for one in files if str(one.version) == other]
    return max(same or files, key=lambda one: one.version)


def _lines(document: Any) -> list[str]:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False).splitlines()


def read_schema(file: str) -> Any:
    """The JSON of the file, or of standard input for `-`. Raises `InvalidInput`."""
    import msgspec

    from opsplane.errors import InvalidInput

    path = Path(file.removeprefix("@"))
    if file != "-" and not path.is_file():
        raise InvalidInput(f"There is no file {path}.")
    text = sys.stdin.buffer.read() if file == "-" else path.read_bytes()
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{file} is not JSON: {error}.", remedy="Give a file with a JSON Schema."
        ) from error
