from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from opsplane.errors import InvalidInput
from opsplane.files.formats.lines import Refused, Split, split
from opsplane.files.formats.records import Dialect, scan
from opsplane.files.formats.sniff import SAMPLE, sniff
from opsplane.files.formats.stream import Facts, TextStream
from opsplane.files.limits import LimitExceeded, Limits

__all__ = ["Chunk", "CsvReader", "HeaderUnreadable", "Refused"]


class HeaderUnreadable(InvalidInput):
    """The first record of the file does not name its columns."""


class Chunk(NamedTuple):
    """Whole records of a file: their fields as text in `frame` (with `line` and `record`), and what was spoiled.

    `position` and `line` are those of what follows.
    """

    frame: pl.DataFrame
    refused: list[Refused]
    position: int
    line: int

    @property
    def rows(self) -> int:
        """How many records there were, the spoiled ones included."""
        return self.frame.height + len(self.refused)


class CsvReader:
    """A csv file as chunks of about `limits.chunk_bytes`, each read from a position of its own.

    What a chunk holds depends only on the file, the limits and where it starts, so that an import can go
    on exactly where another process stopped. Methods block: call them in a thread.
    """

    def __init__(
        self,
        path: Path,
        facts: Facts,
        limits: Limits,
        encoding: str | None = None,
        delimiter: str | None = None,
    ) -> None:
        with TextStream(path, compressed=facts.compressed, encoding="utf-8") as raw:
            sample = raw.read(SAMPLE)
        self.dialect: Dialect = sniff(sample, encoding, delimiter)
        self._limits = limits
        self._stream = TextStream(
            path, compressed=facts.compressed, encoding=self.dialect.encoding, newline=self.dialect.newline
        )
        try:
            self.header, self.position, self.line = self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.__exit__()

    def chunk(self, position: int, line: int) -> Chunk | None:
        """The records from `position`, which is on line `line`; None at the end of the file."""
        self._stream.seek(position)
        data = self._stream.read(self._limits.chunk_bytes)
        if not data:
            return None
        at_end = len(data) < self._limits.chunk_bytes
        if not at_end and b"\n" not in data:
            return self._endless(data, position, line)
        whole = data if at_end else data[: data.rindex(b"\n") + 1]
        part = split(whole, line, len(self.header), self.dialect.delimiter, self._limits, at_end=at_end)
        self._stream.unread(data[part.used :])
        return Chunk(self._fields(part), part.refused, position + part.used, line + part.lines)

    def _fields(self, part: Split) -> pl.DataFrame:
        names = [f"c{index}" for index in range(len(self.header))]
        rows = part.records.height
        if rows == 0:
            return part.records.with_columns(*(pl.lit(None, pl.String).alias(name) for name in names))
        parsed = _parse(part.text, names, "," if part.normal else self.dialect.delimiter)
        if parsed is None or parsed.height != rows:
            parsed = _parse_slowly(part.records["record"], names, self.dialect.delimiter)
        return pl.concat([part.records, parsed], how="horizontal")

    def _endless(self, data: bytes, position: int, line: int) -> Chunk:
        """A line longer than a chunk: refused, and skipped without keeping it."""
        start, used = data[:1000], len(data)
        while block := self._stream.read(SAMPLE):
            end = block.find(b"\n") + 1
            used += end or len(block)
            if end:
                self._stream.unread(block[end:])
                break
        refused = Refused(
            line,
            start.decode(errors="replace"),
            "record_too_long",
            f"The record has more than {self._limits.record_bytes} bytes.",
        )
        names = {f"c{index}": pl.String for index in range(len(self.header))}
        empty = pl.DataFrame(schema={"line": pl.Int64, "record": pl.String, **names})
        return Chunk(empty, [refused], position + used, line + 1)

    def _read_header(self) -> tuple[list[str], int, int]:
        sample = self._stream.read(self._limits.record_bytes)
        text = sample.decode(errors="replace")
        found = scan(text, 1 if text.startswith("\ufeff") else 0, self.dialect.delimiter, len(text))
        if found.fields is None or not any(found.fields):
            raise HeaderUnreadable(
                "The first line does not name the columns.",
                remedy="Begin the file with a line of column names.",
            )
        if len(found.fields) > self._limits.columns:
            raise LimitExceeded(
                f"The file has {len(found.fields)} columns; {self._limits.columns} are allowed.",
                limit="columns",
            )
        head = text[: found.end]
        names = [(field or "").strip() for field in found.fields]
        return names, len(head.encode()), 2 + head.rstrip("\r\n").count("\n")


def _parse(text: bytes, names: list[str], delimiter: str) -> pl.DataFrame | None:
    schema: dict[str, Any] = dict.fromkeys(names, pl.String)
    try:
        return pl.read_csv(io.BytesIO(text), has_header=False, separator=delimiter, schema=schema)
    except pl.exceptions.PolarsError:
        return None


def _parse_slowly(records: pl.Series, names: list[str], delimiter: str) -> pl.DataFrame:
    """The fields record by record, where the fast parser reads the text in another way than we do."""
    rows = [scan(record, 0, delimiter, len(record)).fields or [] for record in records]
    cells = [[row[index] if index < len(row) else None for row in rows] for index in range(len(names))]
    return pl.DataFrame(dict(zip(names, cells, strict=True)), schema=dict.fromkeys(names, pl.String))
