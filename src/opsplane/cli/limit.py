from __future__ import annotations

from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session
from opsplane.errors import InvalidInput
from opsplane.resilience import seconds

app = cyclopts.App(name="limit", help="List, set and lift limits on how many tasks run or start.")

DEFAULTS = Common()
COLUMNS = ("kind", "name", "concurrency", "rate", "perSeconds", "taken", "held", "updatedBy")
Kind = Annotated[Literal["queue", "type", "tenant"], Parameter(help="What is limited.")]
Name = Annotated[str, Parameter(help="Its name; * as a tenant means each by itself.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]


@app.command(name="ls")
async def list_limits(*, common: Common = DEFAULTS) -> None:
    """Every limit, with what is taken of it and how many tasks wait behind it."""
    async with session(common) as opened:
        found = (await call(opened, "GET", "/limits"))["data"]
    emit(found, common.output, **({"columns": COLUMNS} if common.output == "table" else {}))


@app.command(name="set")
async def put(
    kind: Kind,
    name: Name,
    *,
    concurrency: Annotated[int | None, Parameter(help="How many run at once, across all workers.")] = None,
    rate: Annotated[str | None, Parameter(help="How many start in a time, such as 100/1m or 5/s.")] = None,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Set the limit of a queue, a type or a tenant, or change it to exactly this."""
    number, span = _rate(rate) if rate is not None else (None, None)
    body = {"concurrency": concurrency, "rate": number, "perSeconds": span}
    async with session(common) as opened:
        found = await call(opened, "PUT", f"/limits/{kind}/{name}", json=body, params={"reason": reason})
    note(
        f"✓ the {kind} {name} is limited; {found['held']} tasks wait. Lift it with: opsplane limit rm {kind} {name}"
    )
    if common.output != "table":
        emit(found, common.output)


@app.command(name="rm")
async def remove(kind: Kind, name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Lift a limit; what waits behind it is let go."""
    async with session(common) as opened:
        await call(opened, "DELETE", f"/limits/{kind}/{name}", params={"reason": reason})
    note(f"✓ the {kind} {name} has no limit")


def _rate(text: str) -> tuple[int, float]:
    number, slash, span = text.partition("/")
    span = f"1{span}" if span and not span[0].isdigit() else span
    try:
        if slash and int(number) > 0:
            return int(number), seconds(span)
    except ValueError:
        pass
    raise InvalidInput(f"--rate is {text!r}: say how many in which time, such as 100/1m or 5/s.")
