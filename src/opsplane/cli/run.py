from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane import config

app = cyclopts.App(name="run", help="Run roles in this process.")


@app.default
def run(
    *roles: Annotated[str, Parameter(help="gateway, operations, events, worker, or a service.")],
    state: Annotated[
        str | None, Parameter(help="State directory (or OPSPLANE_STATE; default .opsplane).")
    ] = None,
) -> None:
    """Serve the roles until SIGTERM or SIGINT; `up` runs this, and so does each Kubernetes deployment."""
    from opsplane.app import running

    running.run(roles, config.state_directory(state))
