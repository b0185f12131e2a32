from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from opsplane.cli.bulk import find_entity, finished, require_column, started
from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.cli.session import Session
    from opsplane.files import Entity

app = cyclopts.App(name="import", help="Import files into the services' entities.")

DEFAULTS = Common()
REPORT = (
    "outcome",
    "totalRows",
    "appliedRows",
    "changedRows",
    "failedRows",
    "reasons",
    "seconds",
    "rowsPerSecond",
)
POLICIES = {"skip": "skip", "abort": "abort", "validate-only": "validateOnly"}


@app.command
async def start(
    entity: Annotated[str, Parameter(help="What the rows are, for example product.")],
    file: Annotated[Path, Parameter(help="A csv file, plain or gzip; its first line names the columns.")],
    *,
    mapping: Annotated[
        tuple[str, ...],
        Parameter(name="--map", help='"File column=column", once each; "File column=" leaves it out.'),
    ] = (),
    policy: Annotated[
        Literal["skip", "abort", "validate-only"],
        Parameter(help="Bad rows: apply none of the file, apply the good ones, or only look."),
    ] = "abort",
    delimiter: Annotated[str | None, Parameter(help="Default: guessed.", allow_leading_hyphen=True)] = None,
    encoding: Annotated[str | None, Parameter(help="Default: guessed.")] = None,
    wait: Annotated[bool, Parameter(negative="", help="Follow it to its end and show the report.")] = False,
    errors: Annotated[
        Path | None, Parameter(help="With --wait: where the refused rows are written, with the reasons.")
    ] = None,
    common: Common = DEFAULTS,
) -> int:
    """Upload a file and import its rows: merged by their key, in the background, restartable."""
    from opsplane.cli.transfer import readable

    found, path = find_entity(entity, importing=True), readable(file)
    params = {
        "mapping": _mapping(found, mapping), "policy": POLICIES[policy],
        "delimiter": delimiter, "encoding": encoding,
    }  # fmt: skip
    async with session(common) as opened:
        task = await _create(opened, found, path, params)
        if not wait:
            started(task, common.output)
            return 0
        return await _report(opened, await finished(opened, task), errors, common)


@app.command(name="retry-failed")
async def retry_failed(
    task_id: Annotated[str, Parameter(name="TASK", help="The import that refused rows, with --policy skip.")],
    file: Annotated[Path, Parameter(help="Its error file, corrected; the columns error_… may stay.")],
    *,
    wait: Annotated[bool, Parameter(negative="", help="Follow it to its end and show the report.")] = False,
    errors: Annotated[
        Path | None, Parameter(help="With --wait: where rows that are refused again are written.")
    ] = None,
    common: Common = DEFAULTS,
) -> int:
    """Import the rows that an import refused, corrected: a new task with its parameters."""
    from opsplane.cli.transfer import readable

    path = readable(file)
    async with session(common) as opened:
        task = await _uploaded(opened, path, f"/tasks/{task_id}/retry-failed-rows", {})
        if not wait:
            started(task, common.output)
            return 0
        return await _report(opened, await finished(opened, task), errors, common)


def _mapping(entity: Entity, given: Sequence[str]) -> dict[str, str]:
    from opsplane.errors import InvalidInput

    found: dict[str, str] = {}
    for text in given:
        name, separator, column = text.rpartition("=")
        if not separator or not name:
            raise InvalidInput(f"--map {text!r} is not of the form File column=column.")
        if column:
            require_column(entity, column, (one.name for one in entity.importable))
        found[name] = column
    return found


async def _create(opened: Session, entity: Entity, path: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """The task with its file uploaded; a task whose upload fails is cancelled."""
    return await _uploaded(opened, path, "/tasks", {"taskType": f"{entity.name}.import", "params": params})


async def _uploaded(opened: Session, path: Path, place: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The task that a call creates for the file, with the file there."""
    from opsplane.cli.transfer import digest, size_of, upload

    told = {**body, "fileName": path.name, "fileSize": size_of(path), "sha256": digest(path)}
    task: dict[str, Any] = await call(opened, "POST", place, json=told)
    try:
        await upload(path, task)
    except BaseException:
        await call(opened, "POST", f"/tasks/{task['id']}/cancel", params={"reason": "the upload failed"})
        raise
    return dict(await call(opened, "POST", f"/tasks/{task['id']}/uploaded"))


async def _report(opened: Session, task: dict[str, Any], errors: Path | None, common: Common) -> int:
    from opsplane.cli.task import ended
    from opsplane.cli.transfer import download

    code = ended(task)
    if task["errorFile"] is not None:
        if errors is not None:
            note(f"  refused rows: {await download(opened, task['id'], 'errors', errors, force=True)}")
        else:
            note(f"  refused rows: opsplane task result {task['id']} --file errors")
        if code == 0:
            note(f"  corrected: opsplane import retry-failed {task['id']} FILE")
    if common.output != "table":
        emit(task, common.output)
        return code
    report = task["result"] or {}
    if report:
        emit(report, columns=[name for name in REPORT if name in report])
    for one in report.get("examples", []):
        reasons = "; ".join(f"{reason['column']} {reason['message']}" for reason in one["reasons"])
        note(f"  line {one['line']}: {reasons}")
    return code
