"""`<entity>.export`: the entity's rows as of one moment become the task's result file."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import msgspec

from opsplane.errors import InvalidInput
from opsplane.files import Entity, Selection, StoredObject, WorkCancelled, run_export
from opsplane.resilience import Retry
from opsplane.tasks.bulk.names import require_known
from opsplane.tasks.bulk.retrying import retry_told
from opsplane.tasks.context import TaskContext
from opsplane.tasks.task import ResultFile
from opsplane.tasks.task_type import TaskType

TIMEOUT = 6 * 3600.0


class ExportParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which rows and columns are written, and how.

    `filters` compares columns: `{"status": "CONFIRMED", "total": {"ge": 10}}`. With `guard`, text that a spreadsheet
    would take for a formula gets an apostrophe in front.
    """

    format: Literal["csv"] = "csv"
    columns: tuple[str, ...] = ()
    filters: dict[str, Any] = {}
    order_by: tuple[str, ...] = ()
    guard: bool = True

    def selection(self) -> Selection:
        """The same for the pipeline."""
        return Selection(columns=self.columns, filters=self.filters, order_by=self.order_by)


def export_type(entity: Entity, *, service: str) -> TaskType:
    """The task type `<entity>.export` of a service."""
    return TaskType(
        name=f"{entity.name}.export",
        handler=partial(_export, entity),
        entity=entity.name,
        service=service,
        params=_params(entity),
        isolation="process",
        timeout=TIMEOUT,
        errors={InvalidInput: Retry(0)},
    )


def _params(entity: Entity) -> type[msgspec.Struct]:
    known = [column.name for column in entity.columns]

    def check(params: ExportParams) -> None:
        require_known(entity.name, "columns", params.columns, known)
        require_known(entity.name, "filters", params.filters, known)
        require_known(entity.name, "orderBy", (name.removeprefix("-") for name in params.order_by), known)

    return msgspec.defstruct(
        f"{entity.name.title()}ExportParams",
        [],
        bases=(ExportParams,),
        namespace={"__post_init__": check},
        module=__name__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        rename="camel",
    )


async def _export(entity: Entity, context: TaskContext, params: ExportParams) -> ResultFile:
    key = context.output_key("result", params.format)
    try:
        with retry_told(context.id):
            report = await run_export(
                context.pool,
                entity,
                StoredObject(context.objects, key),
                params.selection(),
                guard=params.guard,
                progress=context.progress,
                cancelled=lambda: context.cancelled,
            )
    except WorkCancelled:
        context.check()
        raise
    context.progress(done=report.rows, total=report.rows, message="done")
    context.log("info", "export written", rows=report.rows, bytes=report.bytes, sha256=report.sha256)
    day = context.runtime.clock.now().strftime("%Y%m%d-%H%M%S")
    return ResultFile(key, f"{entity.name}-{day}.{params.format}", "text/csv; charset=utf-8", report.rows)
