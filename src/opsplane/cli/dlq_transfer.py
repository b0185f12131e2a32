"""Dead letters to a file of JSON lines, and back."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from opsplane.cli.dlq import ANY, DEFAULTS, DryRun, Reason, States, Unmasked, Which, wanted_states
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session


async def export(
    *,
    which: Which = ANY,
    states: States = "open",
    unmasked: Unmasked = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Dead letters as lines of JSON on standard output, their bytes exact; those with personal data masked or --unmasked."""
    from opsplane.cli.acting import act, backbone
    from opsplane.events import deadletters
    from opsplane.events.actions import READ_PERSONAL, ReadPersonal

    count = masked = 0
    async with session(common) as opened:
        context = await backbone(opened)
        selection, wanted = which.selection(), wanted_states(states)
        if unmasked:
            asked = ReadPersonal(selection=selection, states=wanted, because=reason or "")
            lines = await act(opened, READ_PERSONAL, context, asked, reason)
        else:
            lines = deadletters.export(context.pool, selection, states=wanted, personal=context.personal)
        async for line in lines:
            sys.stdout.buffer.write(line)
            count += 1
            masked += b'"masked":true' in line
    sys.stdout.buffer.flush()
    note(f"✓ exported {count}")
    if masked:
        note(
            f"! {masked} have personal data, which is masked; to import these elsewhere, export with --unmasked."
        )


async def import_letters(
    file: Annotated[Path, Parameter(name="FILE", help="What `dlq export` wrote.")],
    *,
    dry_run: DryRun = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Record exported dead letters, those that are not here yet; when a line is bad, none."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.errors import InvalidInput
    from opsplane.events.actions import IMPORT, ImportLetters

    if not file.is_file():
        raise InvalidInput(f"There is no file {file}.")
    wanted = ImportLetters(lines=_lines(file), source=str(file))
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            await foresee(IMPORT, context, wanted)
            return
        emit(await act(opened, IMPORT, context, wanted, reason), common.output)


async def _lines(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        for line in opened:
            yield line
