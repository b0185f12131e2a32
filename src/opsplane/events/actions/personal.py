"""Reading personal data in dead letters: for those who may, and written down."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.action import Action, Preview
from opsplane.errors import InvalidInput
from opsplane.events import deadletters
from opsplane.events.backbone import Backbone
from opsplane.events.deadletters import Selection
from opsplane.events.personal import ROLE


class ReadPersonal(msgspec.Struct, frozen=True, kw_only=True):
    """See dead letters with the personal data in them: one in full, or the selected ones in an export."""

    because: str
    letter: int | None = None
    selection: Selection | None = None
    states: tuple[str, ...] = ()


async def _preview(_: Backbone, __: ReadPersonal) -> Preview:
    return Preview("Would show personal data, and note in the audit log that it did.", 1)


async def _read(backbone: Backbone, wanted: ReadPersonal) -> Any:
    if not wanted.because.strip():
        raise InvalidInput("Reading personal data needs a reason.", remedy='Give one: --reason "…"')
    if wanted.letter is not None:
        return await deadletters.show(backbone.pool, wanted.letter)
    assert wanted.selection is not None
    return deadletters.export(backbone.pool, wanted.selection, states=wanted.states)


READ_PERSONAL = Action(
    "dlq.read_personal", ROLE, "See personal data in dead letters.", ReadPersonal, _preview, _read
)
