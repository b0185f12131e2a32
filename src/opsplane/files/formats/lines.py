from __future__ import annotations

from typing import NamedTuple

import polars as pl

from opsplane.files.formats.records import quoted, scan
from opsplane.files.limits import Limits

_TRIES = 8  # text read in vain behind unclosed quotes, as a multiple of the chunk


class Refused(NamedTuple):
    """A record that cannot be used, with its first line, and why."""

    line: int
    record: str
    code: str
    message: str


class Split(NamedTuple):
    """The text of a chunk divided into records.

    `records` has `line` and `record`; `text` the same records for the parser, in plain csv with commas
    where `normal`. `used` bytes and `lines` lines of the chunk were taken.
    """

    records: pl.DataFrame
    text: bytes
    normal: bool
    refused: list[Refused]
    used: int
    lines: int


class _Expected(NamedTuple):
    width: int
    delimiter: str
    limits: Limits
    at_end: bool
    undecodable: set[int]


def split(data: bytes, line: int, width: int, delimiter: str, limits: Limits, *, at_end: bool) -> Split:
    """The records of `data`, which begins with the first line of a record and ends with the end of a line.

    A record whose quotes are not closed where they should be, or that goes over several lines and does not
    come out with `width` fields, is spoiled: it is refused, and the next line begins a new record.
    """
    text, undecodable = _decoded(data)
    lines = _lines(text)
    simple = _simple(lines, data, width, delimiter, limits)
    if not undecodable and simple.all():
        return Split(_numbered(lines, line), data, False, [], len(data), lines.len())
    for index in undecodable:
        simple[index] = False
    slow = _Slow(text, lines, simple, _Expected(width, delimiter, limits, at_end, undecodable))
    slow.run()
    return slow.result(line, data)


def _decoded(data: bytes) -> tuple[str, set[int]]:
    """The text, and which of its lines had bytes that are no UTF-8."""
    try:
        return data.decode(), set()
    except UnicodeDecodeError:
        bad = {index for index, line in enumerate(data.split(b"\n")) if not _decodable(line)}
        return data.decode(errors="replace"), bad


def _decodable(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(text: str) -> pl.Series:
    body = text.removesuffix("\n")
    lines = pl.Series("record", [body]).str.split("\n").explode()
    return lines.str.strip_suffix("\r") if "\r" in body else lines


def _numbered(lines: pl.Series, line: int) -> pl.DataFrame:
    return pl.select(line=pl.int_range(line, line + lines.len(), dtype=pl.Int64)).with_columns(record=lines)


def _simple(lines: pl.Series, data: bytes, width: int, delimiter: str, limits: Limits) -> pl.Series:
    """Which lines are well-formed records of the right width and size, by themselves."""
    mark = rf"\x{ord(delimiter):02x}"
    bare = lines
    good = lines.str.len_bytes().is_between(1, limits.record_bytes)
    if b'"' in data:
        field = rf'(?:"(?:[^"]|"")*"|[^"{mark}]*)'
        good &= lines.str.contains(f"^{field}(?:{mark}{field})*$")
        bare = lines.str.replace_all(r'"(?:[^"]|"")*"', "")
    good &= bare.str.count_matches(delimiter, literal=True) == width - 1
    if b"\0" in data:
        good &= ~lines.str.contains("\0", literal=True)
    return good


class _Slow:
    """The lines that are no records by themselves, one after the other; the others stay as they are."""

    def __init__(self, text: str, lines: pl.Series, simple: pl.Series, expected: _Expected) -> None:
        self.text, self.lines, self.simple = text, lines, simple
        self.width, self.delimiter, self.limits, self.at_end, undecodable = expected
        self.undecodable = undecodable
        self.offsets = _offsets(text)
        self.records = lines.to_list()
        self.clean: dict[int, str] = {}
        self.dropped: set[int] = set()
        self.refused: list[tuple[int, str, str, str]] = []
        self.kept = lines.len()
        self.budget = _TRIES * max(len(text), 1)

    def run(self) -> None:
        """Decide every line that is not simple."""
        after = 0
        for index in (~self.simple).arg_true().to_list():
            if index >= after:
                after = self._decide(index)
                if after < 0:
                    self.kept = index
                    return

    def _decide(self, index: int) -> int:
        """The line after the record that begins on line `index`; -1 when its end is not in this chunk."""
        record = self.records[index]
        if not record.strip():
            self.dropped.add(index)
            return index + 1
        start = self.offsets[index]
        reach = self.limits.record_bytes if self.budget > 0 else len(record)
        stop = min(len(self.text), start + max(reach, len(record)))
        found = scan(self.text, start, self.delimiter, stop)
        if found.fields is None:
            if found.end < 0 and not self.at_end and index > 0:
                return -1
            self.budget -= stop - start
            return self._refuse(index, "unclosed_quote", "A quote is not closed where its field ends.")
        whole = self.text[start : found.end].removesuffix("\n").removesuffix("\r")
        lines = whole.count("\n") + 1
        return self._judge(index, lines, whole, found.fields, found.end - start)

    def _judge(self, index: int, lines: int, whole: str, fields: list[str | None], length: int) -> int:
        if len(fields) != self.width:
            if lines > 1:
                self.budget -= length
                return self._refuse(index, "unclosed_quote", "A quote is not closed where its field ends.")
            message = f"The record has {len(fields)} fields; the header has {self.width}."
            return self._refuse(index, "field_count", message)
        if len(whole.encode()) > self.limits.record_bytes:
            message = f"The record has more than {self.limits.record_bytes} bytes."
            self._refuse(index, "record_too_long", message)
        elif not self.undecodable.isdisjoint(range(index, index + lines)):
            self._refuse(index, "encoding", "The record has bytes that are no text in the file's encoding.")
        elif "\0" in whole:
            self._refuse(
                index, "control_character", "The record has a NUL character, which no text may have."
            )
        else:
            self.records[index], self.clean[index] = whole, quoted(fields)
        self.dropped.update(range(index + 1, index + lines))
        return index + lines

    def _refuse(self, index: int, code: str, message: str) -> int:
        self.dropped.add(index)
        self.refused.append((index, self.records[index], code, message))
        return index + 1

    def result(self, line: int, data: bytes) -> Split:
        """What was decided."""
        refused = [
            Refused(line + index, record, code, message) for index, record, code, message in self.refused
        ]
        frame = _numbered(pl.Series("record", self.records, dtype=pl.String), line)[: self.kept]
        plain = frame["record"]
        normal = bool(self.clean)
        if normal:
            plain = self._normalised(plain)
        keep = pl.Series([index not in self.dropped for index in range(self.kept)], dtype=pl.Boolean)
        text = "\n".join(plain.filter(keep).to_list())
        used = len(data) if self.kept == self.lines.len() else _bytes_of_lines(data, self.kept)
        return Split(frame.filter(keep), text.encode(), normal, refused, used, self.kept)

    def _normalised(self, records: pl.Series) -> pl.Series:
        """Every record in plain csv: where the file has another delimiter, all are written anew."""
        if self.delimiter == ",":
            return pl.Series(
                [self.clean.get(index, record) for index, record in enumerate(records)], dtype=pl.String
            )
        written = [
            self.clean[index]
            if index in self.clean
            else quoted(scan(record, 0, self.delimiter, len(record)).fields or [])
            for index, record in enumerate(records)
        ]
        return pl.Series(written, dtype=pl.String)


def _offsets(text: str) -> list[int]:
    offsets, position = [0], text.find("\n")
    while position >= 0:
        offsets.append(position + 1)
        position = text.find("\n", position + 1)
    return offsets


def _bytes_of_lines(data: bytes, count: int) -> int:
    position = 0
    for _ in range(count):
        position = data.index(b"\n", position) + 1
    return position
