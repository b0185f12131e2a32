from __future__ import annotations

import codecs
from collections import Counter

from opsplane.errors import InvalidInput
from opsplane.files.formats.records import Dialect, scan

SAMPLE = 1024 * 1024
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class UnknownEncoding(InvalidInput):
    """The file's text encoding is none that can be read."""


def sniff(sample: bytes, encoding: str | None, delimiter: str | None) -> Dialect:
    """The dialect of a csv file from its first bytes; what is declared is not guessed.

    Encoding: by its byte order mark, else UTF-8 if it is that, else Windows-1252. Delimiter: the one that
    gives most first records the same number of fields, more than one.
    """
    encoding = _known(encoding) if encoding else _encoding(sample)
    text = sample.decode(encoding, "ignore").removeprefix("\ufeff")
    newline = "\r" if "\n" not in text and "\r" in text else "\n"
    text = text.replace("\r", "\n") if newline == "\r" else text
    if delimiter is not None and (len(delimiter.encode()) != 1 or delimiter in '"\r\n'):
        raise InvalidInput(f"{delimiter!r} cannot be a delimiter: it must be one plain character.")
    return Dialect(delimiter or _delimiter(text), encoding, newline)


def _known(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        b"".decode(name)
    except LookupError as error:
        raise UnknownEncoding(
            f"There is no text encoding {encoding!r}.", remedy="For example: utf-8, utf-16, windows-1252."
        ) from error
    return "utf-8" if name in ("utf-8", "utf-8-sig", "ascii") else name


def _encoding(sample: bytes) -> str:
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter(text: str) -> str:
    best, most = ",", 0.0
    for candidate in _DELIMITERS:
        widths = _widths(text, candidate)
        if not widths:
            continue
        width, count = Counter(widths).most_common(1)[0]
        score = count / len(widths) if width > 1 else 0.0
        if score > most:
            best, most = candidate, score
    return best


def _widths(text: str, delimiter: str) -> list[int]:
    widths: list[int] = []
    position = 0
    while position < len(text) and len(widths) < 20:
        found = scan(text, position, delimiter, min(len(text), position + 64 * 1024))
        if found.fields is None:
            line_end = text.find("\n", position)
            position = len(text) if line_end < 0 else line_end + 1
            continue
        if found.end < len(text) or len(widths) == 0:
            widths.append(len(found.fields))
        position = found.end
    return widths
