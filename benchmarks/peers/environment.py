"""Peers run in environments of their own, installed by the benchmark from PyPI at pinned versions."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".peers"

REQUIREMENTS = {
    "pgqueuer": ["pgqueuer[asyncpg]==1.6.0", "uvloop"],
    "procrastinate": ["procrastinate==3.10.0", "psycopg[binary,pool]"],
    "celery": ["celery[redis]==5.7.0"],
    "dbos": ["dbos==3.4.0"],
    "dramatiq": ["dramatiq[redis]==2.2.1"],
    "taskiq": ["taskiq==0.13.0", "taskiq-redis==1.2.4", "uvloop"],
    "arq": ["arq==0.28.0"],
    "faststream": ["faststream[redis]==0.7.8", "uvloop"],
    "redis": ["redis[hiredis]==8.1.0", "uvloop"],
}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, created on first use."""
    directory = ENVIRONMENTS / peer
    python = directory / "bin" / "python"
    stamp = directory / ".installed"
    wanted = "\n".join(REQUIREMENTS[peer])
    if not stamp.is_file() or stamp.read_text() != wanted:
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[peer]],
            check=True,
        )
        stamp.write_text(wanted)
    return python


def run_peer(peer: str, *arguments: str, script: str | None = None, timeout: float = 300) -> dict[str, Any]:
    """The JSON object a peer's script prints last; its errors go to ours."""
    path = HERE / f"{script or peer}_peer.py"
    finished = subprocess.run(
        [python_of(peer), path, *arguments],
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        timeout=timeout,
        check=True,
        cwd=HERE,
    )
    return json.loads(finished.stdout.strip().splitlines()[-1])
