from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import note
from opsplane.cli.session import Common, session
from opsplane.errors import NotFound

app = cyclopts.App(name="callback", help="Show and rotate the secrets that sign tasks' callbacks.")

DEFAULTS = Common()


@app.command
async def secret(*, common: Common = DEFAULTS) -> None:
    """Print the secrets callbacks are signed with, the newest first, alone on standard output: receivers need one of them."""
    async with session(common) as opened:
        print("\n".join(_read(opened.settings.callback_secrets)))


@app.command
async def rotate(
    *,
    finish: Annotated[
        bool, Parameter(negative="", help="Forget the old secret, once every receiver has the new one.")
    ] = False,
    common: Common = DEFAULTS,
) -> None:
    """Sign with a new secret beside the old one, or with --finish with the new one alone; holds at once."""
    from opsplane.embedded.keys import new_callback_secret, write_callback_secrets

    async with session(common) as opened:
        path = opened.settings.callback_secrets
    known = _read(path) if finish or path.is_file() else []
    kept = known[:1] if finish else [new_callback_secret(), *known[:1]]
    write_callback_secrets(path, kept)
    note(f"✓ callbacks are signed with {len(kept)} secret{'s' if len(kept) > 1 else ''}")
    if len(kept) > 1:
        note(
            "  Give receivers the new one (opsplane callback secret), then: opsplane callback rotate --finish"
        )


def _read(path: Path) -> list[str]:
    if not path.is_file():
        raise NotFound(f"There is no secret in {path}.", remedy="Make one with: opsplane callback rotate")
    return path.read_text(encoding="ascii").split()
