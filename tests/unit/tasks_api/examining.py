"""An API examined by schemathesis against the document it serves, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)  # fmt: skip  (not ensure_resource_availability: a new task has no file and no callback yet, which is 404)


class Examined(msgspec.Struct, frozen=True):
    """How many calls were made, and each kind of thing that was wrong, with the operations where it was."""

    calls: int
    wrong: list[tuple[str, list[str]]]
    errors: list[str]
    text: str

    def of(self, kind: str) -> list[str]:
        """The operations where this was wrong."""
        return [operation for found, operations in self.wrong if found == kind for operation in operations]


async def examine(
    url: str,
    authorization: str,
    directory: Path,
    *,
    examples: int,
    phases: str = "coverage,fuzzing",
    given: dict[str, list[Any]] | None = None,
    seed: int | None = None,
    seconds: int = 60,
    budget: int | None = None,
    only: Sequence[str] = (),
) -> Examined:
    """What schemathesis found in all operations, or `only` in these. Event streams are left out, as they do not end.

    With a `budget` of seconds it goes on with new cases until that is spent; without, it is over when it is.
    """
    report = directory / "report.json"
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(_config(directory)), "run",
        f"{url}/schema/openapi.json", "--url", url, "-H", f"Authorization: {authorization}", "--phases", phases,
        "--max-examples", str(examples), "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color",
        "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off", "--no-shrink",
        "--request-timeout", "20", "--report", "json", "--report-json-path", str(report),
        *(["--seed", str(seed)] if seed is not None else []),
        *(["--max-time", str(budget)] if budget is not None else []),
        *[part for name in only for part in ("--include-operation-id", name)],
        *[part for name in await _streams(url) for part in ("--exclude-operation-id", name) if not only],
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "SCHEMATHESIS_HOOKS": "well_meant",
            "WELL_MEANT": json.dumps(given or {}),
        },
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert report.exists(), text
    found = json.loads(report.read_text())
    wrong = [(failure["type"], failure["operations"]) for failure in found["failures"]]
    errors = [error["title"] for error in found["errors"]]
    return Examined(found["test_cases"]["generated"], wrong, errors, text)


def _config(directory: Path) -> Path:
    path = directory / "schemathesis.toml"
    path.write_text("")
    return path


async def _streams(url: str) -> list[str]:
    """The operations that answer with an event stream."""
    async with httpx.AsyncClient() as client:
        document = (await client.get(f"{url}/schema/openapi.json")).json()
    return [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
        if any("text/event-stream" in answer.get("content", {}) for answer in operation["responses"].values())
    ]
