"""Importing dead letters that were exported here or elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

import msgspec

from opsplane.action import Action, Preview
from opsplane.events.backbone import ROLE, Backbone
from opsplane.events.deadletters.transfer import Imported, load


class ImportLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Record the exported dead letters in `lines`, those that are not here yet."""

    lines: AsyncIterable[bytes]
    source: str

    def audited(self) -> dict[str, Any]:
        """What goes to the audit log."""
        return {"source": self.source}


async def _preview(backbone: Backbone, wanted: ImportLetters) -> Preview:
    async with backbone.pool.connection() as tx, tx.transaction(force_rollback=True):
        found = await load(tx, wanted.lines, backbone.personal)
    return Preview(
        f"Would be imported: {found.imported} dead letters; {found.known} are here already, "
        f"{found.settled} were settled where they come from.",
        found.imported,
    )


async def _import(backbone: Backbone, wanted: ImportLetters) -> Imported:
    async with backbone.pool.transaction() as tx:
        return await load(tx, wanted.lines, backbone.personal)


IMPORT = Action("dlq.import", ROLE, "Import dead letters.", ImportLetters, _preview, _import)
