"""Export and import of dead letters over HTTP. (Annotations are read at run time.)"""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, get, post
from litestar.params import FromQuery
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from opsplane.events import actions, deadletters
from opsplane.events.api.acting import act
from opsplane.events.api.selecting import Selected, States
from opsplane.events.backbone import Backbone
from opsplane.web import Caller

LINES = "application/x-ndjson"
LARGEST = 1024**3


def transfer_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes that move dead letters between installations."""

    @get("/export", operation_id="exportDeadLetters", media_type=LINES)
    async def export(
        selected: Selected,
        states: States,
        identity: Caller,
        unmasked: FromQuery[bool] = False,
        because: FromQuery[str | None] = None,
    ) -> Stream:
        """Dead letters as lines of JSON; those with personal data are masked, and no import takes them.

        With `unmasked` (role personal_data_reader, `because` says why) nothing is masked.
        """
        if unmasked:
            wanted = actions.ReadPersonal(selection=selected, states=states, because=because or "")
            lines = await act(backbone, actions.READ_PERSONAL, wanted, identity, because)
        else:
            lines = deadletters.export(backbone.pool, selected, states=states, personal=backbone.personal)
        return Stream(lines, media_type=LINES)

    @post("/import", status_code=200, operation_id="importDeadLetters", request_max_body_size=LARGEST)
    async def import_letters(
        request: Request[Any, Any, Any],
        identity: Caller,
        reason: FromQuery[str | None] = None,
        dry_run: FromQuery[bool] = False,
    ) -> dict[str, Any]:
        """Record exported dead letters, those that are not here yet: all lines or, when one is bad, none."""
        wanted = actions.ImportLetters(lines=_lines(request.stream()), source="API")
        if dry_run:
            preview = await actions.IMPORT.preview(backbone, wanted)
            return {"data": {"summary": preview.summary, "count": preview.count}}
        return {"data": await act(backbone, actions.IMPORT, wanted, identity, reason)}

    return [export, import_letters]


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest
