"""`opsplane schema`: the registry of event schemas."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.events.backbone import Backbone
    from opsplane.events.schemas import Schema

app = cyclopts.App(name="schema", help="Show, compare, register and promote the schemas of events.")

DEFAULTS = Common()
INCOMPATIBLE = 3
SubjectOption = Annotated[str, Parameter(help="The event type, for example catalog.product.created.")]
VersionOption = Annotated[int, Parameter(help="The version.")]
FileOption = Annotated[
    str, Parameter(help="FILE with the schema, or - for standard input.", allow_leading_hyphen=True)
]
ScopeOption = Annotated[
    Literal["data", "event"] | None, Parameter(help="Whether it describes the data or the whole event.")
]
FormatsOption = Annotated[
    Literal["assert", "annotate"] | None, Parameter(help="Whether formats are checked or only told.")
]
ReasonOption = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]
DryOption = Annotated[bool, Parameter(negative="", help="Only say what would happen.")]
ModeName = Literal[
    "NONE", "BACKWARD", "FORWARD", "FULL", "BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE", "FULL_TRANSITIVE"
]


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


@app.command
async def check(
    subject: SubjectOption,
    file: FileOption,
    *,
    mode: Annotated[ModeName | None, Parameter(help="Another mode than the subject's.")] = None,
    scope: ScopeOption = None,
    formats: FormatsOption = None,
    common: Common = DEFAULTS,
) -> int:
    """What a schema would break, and whom, without registering it; exit code 3 when it breaks somebody."""
    from opsplane.events.actions.schemas import RegisterSchema
    from opsplane.events.schemas import store
    from opsplane.events.schemas.assessment import assess
    from opsplane.events.schemas.compatibility import Mode

    wanted = RegisterSchema(subject=subject, schema=_read(file), scope=scope, formats=formats)
    async with session(common) as opened:
        context = await _backbone(opened)
        found = await store.versions(context.pool, subject)
        assessed = assess(found, wanted.candidate(), context.topology, Mode(mode) if mode else None)
    if common.output == "table":
        _tell(assessed)
        emit(assessed.changes, "table") if assessed.changes else None
    else:
        emit(assessed, common.output)
    return 0 if assessed.compatible else INCOMPATIBLE


@app.command
async def register(
    subject: SubjectOption,
    file: FileOption,
    *,
    version: Annotated[int | None, Parameter(help="A certain number instead of the next.")] = None,
    scope: ScopeOption = None,
    formats: FormatsOption = None,
    dry_run: DryOption = False,
    reason: ReasonOption = None,
    common: Common = DEFAULTS,
) -> None:
    """Register a schema as draft; it is refused when it breaks somebody under the subject's mode."""
    from opsplane.cli.acting import act, foresee
    from opsplane.events.actions.schemas import REGISTER, RegisterSchema

    wanted = RegisterSchema(
        subject=subject, schema=_read(file), version=version, scope=scope, formats=formats
    )
    async with session(common) as opened:
        context = await _backbone(opened)
        if dry_run:
            emit(await foresee(REGISTER, context, wanted), common.output)
            return
        done = await act(opened, REGISTER, context, wanted, reason)
    _tell(done.assessment)
    found = done.version
    note(
        f"✓ {subject} has this schema as version {found.version} ({found.state}) already."
        if done.known
        else f"✓ version {found.version} is a draft. It decides with: opsplane schema promote {subject} {found.version}"
    )
    if common.output != "table":
        emit(done, common.output)


@app.command
async def promote(
    subject: SubjectOption,
    version: VersionOption,
    *,
    force: Annotated[bool, Parameter(negative="", help="Even though it breaks somebody.")] = False,
    dry_run: DryOption = False,
    reason: ReasonOption = None,
    common: Common = DEFAULTS,
) -> None:
    """Make a draft decide: the whole platform judges by it within about a second."""
    from opsplane.events.actions.schemas import PROMOTE, PromoteSchema

    wanted = PromoteSchema(subject=subject, version=version, force=force)
    done = await _act(PROMOTE, wanted, dry_run, reason, common)
    if done is not None:
        note(f"✓ {subject} is judged by version {version}.")


@app.command
async def deprecate(
    subject: SubjectOption,
    version: VersionOption,
    *,
    dry_run: DryOption = False,
    reason: ReasonOption = None,
    common: Common = DEFAULTS,
) -> None:
    """Let an active version judge only the events that name it."""
    from opsplane.events.actions.schemas import DEPRECATE, DeprecateSchema

    wanted = DeprecateSchema(subject=subject, version=version)
    done = await _act(DEPRECATE, wanted, dry_run, reason, common)
    if done is not None:
        note(f"✓ version {version} of {subject} is deprecated.")


@app.command
async def mode(
    subject: SubjectOption,
    wanted: Annotated[ModeName | None, Parameter(help="The mode; shown when left out.")] = None,
    *,
    dry_run: DryOption = False,
    reason: ReasonOption = None,
    common: Common = DEFAULTS,
) -> None:
    """Show or choose which changes to a subject's schema are allowed."""
    from opsplane.events.actions.schemas import MODE, SetMode
    from opsplane.events.schemas import store
    from opsplane.events.schemas.compatibility import Mode

    if wanted is None:
        async with session(common) as opened:
            found = await store.some_versions(await opened.pool("operations"), subject)
        emit({"subject": subject, "mode": store.mode_of(found).value}, common.output)
        return
    done = await _act(MODE, SetMode(subject=subject, mode=Mode(wanted)), dry_run, reason, common)
    if done is not None:
        note(f"✓ {subject} may change as {wanted} allows.")


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
        context = await _backbone(opened)
        found = asyncapi.document(await store.usable(context.pool), context.topology)
    emit(found, "yaml" if common.output == "yaml" else "json")


async def _act(action: Any, wanted: Any, dry_run: bool, reason: str | None, common: Common) -> Any:
    from opsplane.cli.acting import act, foresee

    async with session(common) as opened:
        context = await _backbone(opened)
        if dry_run:
            emit(await foresee(action, context, wanted), common.output)
            return None
        done = await act(opened, action, context, wanted, reason)
    if common.output != "table":
        emit(done, common.output)
    return done


async def _backbone(opened: Session) -> Backbone:
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
    return _read(which)


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


def _tell(assessed: Any) -> None:
    note(("✓ " if assessed.compatible else "✗ ") + assessed.summary)
    for warning in assessed.warnings:
        note(f"! its own example does not fit: {warning}")


def _read(file: str) -> Any:
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
