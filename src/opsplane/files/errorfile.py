from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence

from opsplane.files.formats.records import scan
from opsplane.files.sink import RefusedRow

COLUMNS = ("error_line", "error_column", "error_code", "error_message", "error_record")
_BLOCK_ROWS = 2000
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


async def error_rows(
    rows: AsyncIterator[RefusedRow], header: Sequence[str], delimiter: str
) -> AsyncIterator[bytes]:
    """A csv file of refused rows: the original columns, then line, column, code and message.

    Several reasons of a row are joined by ` | `. A record that could not be divided into its columns is in
    `error_record` as it was. Cells a spreadsheet would take for a formula begin with an apostrophe, which an
    import takes off again: the corrected file can be imported as it is.
    """
    block = io.StringIO(newline="")
    writer = csv.writer(block, lineterminator="\n")
    writer.writerow([*(_guarded(name) for name in header), *COLUMNS])
    count = 0
    async for row in rows:
        writer.writerow(_cells(row, len(header), delimiter))
        count += 1
        if count % _BLOCK_ROWS == 0:
            yield block.getvalue().encode()
            block.seek(0)
            block.truncate()
    yield block.getvalue().encode()


def _cells(row: RefusedRow, width: int, delimiter: str) -> list[str]:
    found = scan(row.record, 0, delimiter, len(row.record))
    whole = found.fields is not None and len(found.fields) == width and found.end == len(row.record)
    fields = [field or "" for field in found.fields] if whole and found.fields else [""] * width
    reasons = [
        " | ".join(getattr(reason, name) for reason in row.reasons) for name in ("column", "code", "message")
    ]
    return [
        *(_guarded(field) for field in fields),
        str(row.line),
        *(_guarded(text) for text in reasons),
        "" if whole else _guarded(row.record),
    ]


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
