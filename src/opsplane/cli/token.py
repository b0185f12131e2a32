from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.session import Common, session

app = cyclopts.App(name="token", help="Issue bearer tokens.")

DEFAULTS = Common()
LONGEST = 30 * 24 * 3600


@app.command
async def issue(
    *,
    role: Annotated[tuple[str, ...], Parameter(help="A role the token carries; may be given again.")] = (),
    sub: Annotated[
        str | None, Parameter(help="Whom the token is about; default: your account's name.")
    ] = None,
    tenant: Annotated[str | None, Parameter(help="Of which tenant they are a member.")] = None,
    lifetime: Annotated[str, Parameter(help="How long it is valid: 30m, 1h, 7d; at most 30d.")] = "1h",
    common: Common = DEFAULTS,
) -> None:
    """Print a bearer token signed with the installation's own key, alone on standard output."""
    from opsplane.errors import InvalidInput
    from opsplane.resilience import seconds

    length = int(seconds(lifetime))
    if not 1 <= length <= LONGEST:
        raise InvalidInput(f"{lifetime} is not between 1s and 30d.", remedy="Try --lifetime 1h")
    async with session(common) as opened:
        print(opened.token(*role, sub=sub, lifetime=length, tenant=tenant))
