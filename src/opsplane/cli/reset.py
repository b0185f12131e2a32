from __future__ import annotations

import sys
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane import config, embedded
from opsplane.cli.progress import here, state_option
from opsplane.errors import Conflict, NotFound

app = cyclopts.App(name="reset", help="Delete an installation with all its data.")


@app.default
def reset(
    *,
    state: Annotated[
        str | None, Parameter(help="State directory (or OPSPLANE_STATE; default .opsplane).")
    ] = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
) -> int:
    """Delete the state directory: databases, streams, files, keys and passwords; asks for its name first."""
    directory = config.state_directory(state)
    if embedded.examine(directory) is None:
        raise NotFound(f"There is no installation in {here(directory)}; nothing was deleted.")
    pid = embedded.supervisor_pid(directory)
    if pid is not None:
        raise Conflict(
            f"The installation in {here(directory)} runs (supervisor pid {pid}); nothing was deleted.",
            remedy=f"Stop it first: opsplane down{state_option(directory)}",
        )
    if not yes and not _confirmed(directory.name):
        raise Conflict("Not confirmed; nothing was deleted.", remedy="Type the name, or give --yes.")
    with embedded.held(directory):
        embedded.remove(directory)
    print(f"✓ deleted {here(directory)}")
    return 0


def _confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"This deletes all data. Type {name} to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == name
