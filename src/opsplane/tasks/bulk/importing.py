"""`<entity>.import`: the uploaded file goes into the entity's table, row by row or all at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from opsplane.database import Connection
from opsplane.errors import InvalidInput
from opsplane.files import (
    Entity,
    ImportOptions,
    ImportReport,
    StoredObject,
    TableSink,
    WorkCancelled,
    run_import,
)
from opsplane.resilience import Retry
from opsplane.tasks.bulk.names import require_known
from opsplane.tasks.bulk.retrying import retry_told
from opsplane.tasks.context import TaskContext
from opsplane.tasks.errors import Reject
from opsplane.tasks.task import ResultFile
from opsplane.tasks.task_type import TaskType

CSV = "text/csv; charset=utf-8"
TIMEOUT = 6 * 3600.0

Imported = Callable[[Any, Connection, Sequence[Any]], Awaitable[None]]


class ImportParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How the file is read and what becomes of bad rows.

    `mapping` names the entity's column for a column of the file (`""`: leave it out). Policy `abort` applies every
    row or none, `skip` the good rows, `validateOnly` none. Without `delimiter` and `encoding` they are guessed.
    """

    mapping: dict[str, str] = {}
    policy: Literal["skip", "abort", "validateOnly"] = "abort"
    format: Literal["csv"] = "csv"
    delimiter: str | None = None
    encoding: str | None = None
    unguard: bool = True

    def options(self) -> ImportOptions:
        """The same for the pipeline."""
        return ImportOptions(
            mapping=self.mapping,
            policy="validate_only" if self.policy == "validateOnly" else self.policy,
            delimiter=self.delimiter,
            encoding=self.encoding,
            unguard=self.unguard,
        )


class RowsRefused(Reject):
    """Rows were refused and the policy is `abort`: nothing was applied; the error file has each of them."""


def import_type(entity: Entity, *, service: str, imported: Imported | None = None) -> TaskType:
    """The task type `<entity>.import` of a service.

    `imported(runtime, tx, keys)` is awaited in the transaction that merges a chunk of rows, with their keys.
    """
    return TaskType(
        name=f"{entity.name}.import",
        handler=partial(_import, entity, imported),
        entity=entity.name,
        service=service,
        params=_params(entity),
        isolation="process",
        timeout=TIMEOUT,
        errors={InvalidInput: Retry(0)},
    )


def _params(entity: Entity) -> type[msgspec.Struct]:
    known = [column.name for column in entity.importable]

    def check(params: ImportParams) -> None:
        require_known(entity.name, "mapping", filter(None, params.mapping.values()), known)

    return msgspec.defstruct(
        f"{entity.name.title()}ImportParams",
        [],
        bases=(ImportParams,),
        namespace={"__post_init__": check},
        module=__name__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        rename="camel",
    )


async def _import(
    entity: Entity, imported: Imported | None, context: TaskContext, params: ImportParams
) -> Mapping[str, Any]:
    if context.input_key is None:
        raise Reject(f"{entity.name}.import needs a file.", remedy="Create the task with fileName.")
    errors = StoredObject(context.objects, context.output_key("errors", "csv"))
    try:
        with retry_told(context.id):
            report = await run_import(
                StoredObject(context.objects, context.input_key),
                entity,
                _sink(entity, imported, context),
                params.options(),
                errors=errors,
                progress=context.progress,
                cancelled=lambda: context.cancelled,
            )
    except WorkCancelled:
        context.check()
        raise
    return _outcome(entity, report, context)


def _sink(entity: Entity, imported: Imported | None, context: TaskContext) -> TableSink:
    on_chunk = partial(imported, context.runtime) if imported is not None else None
    return TableSink(context.pool, entity, context.id, on_chunk=on_chunk)


def _outcome(entity: Entity, report: ImportReport, context: TaskContext) -> Mapping[str, Any]:
    """The report as the task's result. Raises `RowsRefused` where nothing was applied because of bad rows."""
    context.progress(done=report.total, total=report.total, failed=report.failed, message="done")
    if report.error_file is not None:
        stem = PurePosixPath(context.file_name or entity.name).stem
        context.error_file = ResultFile(report.error_file, f"{stem}.errors.csv", CSV, report.failed)
    result = _plain(report)
    if report.outcome == "aborted":
        first = report.examples[0] if report.examples else None
        reason = first.reasons[0] if first and first.reasons else None
        example = f" Line {first.line}: {reason.column} {reason.message}".rstrip() if first and reason else ""
        context.log("error", "import aborted", **result)
        raise RowsRefused(
            f"{report.failed} of {report.total} rows were refused; nothing was applied.{example}",
            remedy="Correct the rows in the error file and import again, or use the policy skip.",
        )
    context.log("info", f"import {report.outcome}", **result)
    return result


def _plain(report: ImportReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "totalRows": report.total,
        "appliedRows": report.applied,
        "failedRows": report.failed,
        "changedRows": report.changed,
        "reasons": dict(report.reasons),
        "examples": msgspec.to_builtins(report.examples),
        "sha256": report.sha256,
        "seconds": round(report.seconds, 3),
        "rowsPerSecond": round(report.rows_per_second),
    }
