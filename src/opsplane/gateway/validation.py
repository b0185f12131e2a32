"""Envoy's own word on a snapshot, before anything of it is published."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import msgspec

from opsplane.errors import InvalidInput
from opsplane.gateway.snapshot import Snapshot
from opsplane.gateway.twin import static_twin

DEADLINE = 30.0


class SnapshotRejected(InvalidInput):
    """Envoy refuses the configuration; nothing of it was published."""


async def validate(snapshot: Snapshot, envoy: Path) -> None:
    """Return when the binary `envoy` accepts the static twin of `snapshot`, else raise `SnapshotRejected`."""
    twin = msgspec.json.encode(static_twin(snapshot))
    with tempfile.NamedTemporaryFile(prefix="opsplane-twin-", suffix=".json") as file:
        await asyncio.to_thread(_fill, Path(file.name), twin)
        process = await asyncio.create_subprocess_exec(
            str(envoy), "--mode", "validate", "-c", file.name, "--log-level", "error",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(DEADLINE):
                told, _ = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise SnapshotRejected(
                f"Envoy did not validate the configuration within {DEADLINE:g} s."
            ) from error
    if process.returncode != 0:
        raise SnapshotRejected(
            f"Envoy refuses the configuration: {_reason(told.decode(errors='replace'), file.name)}",
            remedy="Correct gateway.yaml; what was live stays live.",
        )


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _reason(output: str, file: str) -> str:
    """The message without where in Envoy's source it arose."""
    line = next((line for line in output.splitlines() if "error initializing" in line), output.strip()[-500:])
    return line.rpartition(f"'{file}': ")[2] or line
