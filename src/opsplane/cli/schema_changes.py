"""Changes to the registry of event schemas: what they would break, and making them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.schema import DEFAULTS, INCOMPATIBLE, SubjectOption, read_schema, with_topology
from opsplane.cli.session import Common, session

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

    wanted = RegisterSchema(subject=subject, schema=read_schema(file), scope=scope, formats=formats)
    async with session(common) as opened:
        context = await with_topology(opened)
        found = await store.versions(context.pool, subject)
        assessed = assess(found, wanted.candidate(), context.topology, Mode(mode) if mode else None)
    if common.output == "table":
        _tell(assessed)
        emit(assessed.changes, "table") if assessed.changes else None
    else:
        emit(assessed, common.output)
    return 0 if assessed.compatible else INCOMPATIBLE


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
        subject=subject, schema=read_schema(file), version=version, scope=scope, formats=formats
    )
    async with session(common) as opened:
        context = await with_topology(opened)
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


async def _act(action: Any, wanted: Any, dry_run: bool, reason: str | None, common: Common) -> Any:
    from opsplane.cli.acting import act, foresee

    async with session(common) as opened:
        context = await with_topology(opened)
        if dry_run:
            emit(await foresee(action, context, wanted), common.output)
            return None
        done = await act(opened, action, context, wanted, reason)
    if common.output != "table":
        emit(done, common.output)
    return done


def _tell(assessed: Any) -> None:
    note(("✓ " if assessed.compatible else "✗ ") + assessed.summary)
    for warning in assessed.warnings:
        note(f"! its own example does not fit: {warning}")
