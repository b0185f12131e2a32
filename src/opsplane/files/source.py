from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from opsplane.files.store import NoSuchObject, OutOfSpace, StoredObject


@asynccontextmanager
async def on_disk(source: Path | StoredObject) -> AsyncIterator[Path]:
    """The source as a file of this machine: itself where it is one, else a copy for the time of the block."""
    if isinstance(source, Path):
        yield source
        return
    path = source.store.local_path(source.key)
    if path is not None:
        if not await asyncio.to_thread(path.is_file):
            raise NoSuchObject(f"There is no object {source.key}.", key=source.key)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="opsplane-import-") as place:
        copy = Path(place) / "copy"
        await _fetch(source, copy)
        yield copy


async def _fetch(source: StoredObject, copy: Path) -> None:
    try:
        with await asyncio.to_thread(copy.open, "wb") as file:
            async for block in source.store.get(source.key):
                await asyncio.to_thread(file.write, block)
            await asyncio.to_thread(file.flush)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutOfSpace(
            f"There is no room on the disk for a copy of {source.key}; nothing was imported.",
            remedy=f"Free space in {tempfile.gettempdir()}.",
        ) from error
