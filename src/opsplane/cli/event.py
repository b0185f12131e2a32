from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit
from opsplane.cli.session import Common, session

app = cyclopts.App(name="event", help="Publish events.")

DEFAULTS = Common()


@app.command
async def publish(
    topic: Annotated[str, Parameter(help="The topic, for example catalog.product.created.")],
    *,
    data: Annotated[str, Parameter(help="JSON, @FILE, or - for standard input.", allow_leading_hyphen=True)],
    subject: Annotated[
        str | None, Parameter(help="What the event is about; events of one subject keep order.")
    ] = None,
    force: Annotated[
        bool, Parameter(negative="", help="Put it on the stream unvalidated, even if it is no JSON.")
    ] = False,
    common: Common = DEFAULTS,
) -> None:
    """Validate an event and put it on its topic; lists every violation when it does not fit."""
    from opsplane.events.direct import publish as publish_now
    from opsplane.service import collect_services, event_schemas

    body = _body(data, force)
    async with session(common) as opened:
        schemas = event_schemas(collect_services().values())
        done = await publish_now(
            await opened.broker("admin"), schemas, topic, body,
            source=f"operator:{opened.actor.sub}", subject=subject, force=force,
        )  # fmt: skip
        emit(done, common.output)


def _body(data: str, force: bool) -> Any:
    import msgspec

    from opsplane.errors import InvalidInput

    if data == "-":
        text = sys.stdin.buffer.read()
    elif data.startswith("@"):
        path = Path(data[1:])
        if not path.is_file():
            raise InvalidInput(f"There is no file {path}.")
        text = path.read_bytes()
    else:
        text = data.encode()
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if force:
            return text
        raise InvalidInput(f"The data is not JSON: {error}.", remedy="Give JSON, @FILE or -.") from error
