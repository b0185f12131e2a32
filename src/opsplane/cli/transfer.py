"""Files to and from the object store by presigned URLs, with progress, verified."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

from opsplane.cli.bar import Bar
from opsplane.cli.operations import call, raise_refused
from opsplane.errors import Conflict, InvalidInput, OpsplaneError

if TYPE_CHECKING:
    from opsplane.cli.session import Session

BLOCK = 1024 * 1024
PATIENCE = httpx.Timeout(60.0, connect=10.0)


class Truncated(OpsplaneError):
    """The file arrived with another size than announced; nothing was kept."""


def readable(path: Path) -> Path:
    """The path, of a file that can be read; raises `InvalidInput`."""
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", remedy="Check its name and the current directory.")
    if not os.access(path, os.R_OK):
        raise InvalidInput(f"The file {path} may not be read by you.")
    return path


def digest(path: Path) -> str:
    """The file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """The file's size in bytes."""
    return path.stat().st_size


async def upload(path: Path, task: Mapping[str, Any]) -> None:
    """Put the file where the new task waits for it; raises what the store refuses."""
    size = size_of(path)
    headers = {**(task["uploadHeaders"] or {}), "Content-Length": str(size)}
    with Bar(f"upload {path.name}", size, in_bytes=True) as bar:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.put(task["uploadUrl"], content=_blocks(path, bar), headers=headers)
    raise_refused(answer.status_code, answer.content)


async def download(opened: Session, task_id: str, which: str, to: Path | None, *, force: bool) -> Path | None:
    """Where one of the task's files was written: `to`, or its own name in the current directory.

    `-` is standard output, which gives None. An existing file is kept unless `force`.
    """
    link = await call(opened, "GET", f"/tasks/{task_id}/download", params={"file": which})
    if to is not None and str(to) == "-":
        await _fetch(link, sys.stdout.buffer)
        sys.stdout.flush()
        return None
    target = to or Path(Path(link["fileName"]).name)
    target = target / Path(link["fileName"]).name if target.is_dir() else target
    vacant(target, force=force)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            await _fetch(link, file)
        part.replace(target)
    except FileNotFoundError as error:
        raise InvalidInput(f"There is no directory {target.parent}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def vacant(target: Path, *, force: bool) -> None:
    """Return when a file may be written there; raise `Conflict` when there is one that is to be kept."""
    if target.is_file() and not force and str(target) != "-":
        raise Conflict(f"{target} exists.", remedy="Give --force to replace it, or another --to FILE.")


async def _fetch(link: Mapping[str, Any], file: BinaryIO) -> None:
    received = 0
    with Bar(f"download {link['fileName']}", link["size"], in_bytes=True) as bar:
        async with httpx.AsyncClient(timeout=PATIENCE) as client, client.stream("GET", link["url"]) as answer:
            if answer.status_code != 200:
                raise_refused(answer.status_code, await answer.aread())
            async for block in answer.aiter_bytes(BLOCK):
                await asyncio.to_thread(file.write, block)
                received += len(block)
                bar.advance(len(block))
    if received != link["size"]:
        raise Truncated(
            f"{link['fileName']} arrived with {received} bytes of {link['size']}.", remedy="Try again."
        )


async def _blocks(path: Path, bar: Bar) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block
            bar.advance(len(block))
