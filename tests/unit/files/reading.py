from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from opsplane.files import Limits
from opsplane.files.formats.csv import CsvReader
from opsplane.files.formats.lines import Refused
from opsplane.files.formats.stream import inspect


class Read(NamedTuple):
    """All of a file: its header, its records' fields with their lines, and what was refused."""

    header: list[str]
    rows: list[tuple[str | None, ...]]
    lines: list[int]
    refused: list[Refused]
    chunks: int


@contextmanager
def opened(path: Path, data: bytes, limits: Limits, **options: Any) -> Iterator[CsvReader]:
    """A reader of a file with this content."""
    path.write_bytes(data)
    reader = CsvReader(path, inspect(path, limits), limits, **options)
    try:
        yield reader
    finally:
        reader.close()


def read(path: Path, data: bytes, limits: Limits | None = None, **options: Any) -> Read:
    """What the chunks of a file hold, one after the other."""
    frames: list[pl.DataFrame] = []
    refused: list[Refused] = []
    with opened(path, data, limits or Limits(), **options) as reader:
        position, line = reader.position, reader.line
        while chunk := reader.chunk(position, line):
            assert chunk.position > position, "a chunk takes something"
            position, line = chunk.position, chunk.line
            frames.append(chunk.frame)
            refused += chunk.refused
        header = list(reader.header)
    rows = [row for frame in frames for row in frame.select(pl.col("^c[0-9]+$")).iter_rows()]
    lines = [number for frame in frames for number in frame["line"].to_list()]
    return Read(header, rows, lines, refused, len(frames))
