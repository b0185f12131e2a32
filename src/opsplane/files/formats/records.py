from __future__ import annotations

from typing import NamedTuple


class Dialect(NamedTuple):
    """How a csv file is written; quotes are `"`, doubled inside a quoted field (RFC 4180)."""

    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\n"


class Scan(NamedTuple):
    """What was read from one place of a text: the fields, and the offset after the record.

    A field that is empty without quotes is None. `fields` is None when the record is spoiled; `end` is -1
    then when the text ended inside a quoted field.
    """

    fields: list[str | None] | None
    end: int


def scan(text: str, start: int, delimiter: str, stop: int) -> Scan:
    """One record from `start`, quoted line breaks included, read no further than `stop`.

    A quote inside an unquoted field is a character like any other. A quoted field must be followed by a
    delimiter or the end of the line; otherwise, or when `stop` comes first, the record is spoiled.
    """
    fields: list[str | None] = []
    position = start
    while True:
        if text.startswith('"', position):
            field, after = _quoted(text, position + 1, stop)
            if field is None:
                return Scan(None, after)
            fields.append(field)
        else:
            field, after = _plain(text, position, delimiter)
            fields.append(field or None)
        if text.startswith(delimiter, after):
            position = after + 1
        elif after >= len(text) or text[after] == "\n":
            return Scan(fields, min(after + 1, len(text)))
        elif text.startswith("\r\n", after) or (text[after] == "\r" and after + 1 == len(text)):
            return Scan(fields, min(after + 2, len(text)))
        else:
            return Scan(None, after)


def _quoted(text: str, start: int, stop: int) -> tuple[str | None, int]:
    position = start
    while True:
        quote = text.find('"', position, stop)
        if quote < 0:
            return None, -1 if stop >= len(text) else stop
        if text.startswith('"', quote + 1):
            position = quote + 2
        else:
            return text[start:quote].replace('""', '"'), quote + 1


def _plain(text: str, start: int, delimiter: str) -> tuple[str, int]:
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    cut = text.find(delimiter, start, end)
    if cut >= 0:
        return text[start:cut], cut
    return (
        (text[start : end - 1], end - 1)
        if text[end - 1 : end] == "\r" and end > start
        else (text[start:end], end)
    )


def quoted(fields: list[str | None]) -> str:
    """The fields as one record of plain csv: in quotes, those that are None empty without."""
    return ",".join("" if field is None else '"' + field.replace('"', '""') + '"' for field in fields)
