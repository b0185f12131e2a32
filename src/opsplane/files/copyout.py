from __future__ import annotations

import select

import psycopg
from psycopg import pq
from psycopg import sql as composed

from opsplane.database import DatabaseUnavailable, Pool
from opsplane.errors import InvalidInput, OpsplaneError
from opsplane.files.store import OutOfSpace

BLOCK = 1024 * 1024
_DISK_FULL = b"53100"


class ExportFailed(OpsplaneError):
    """PostgreSQL ended the export; nothing of it was stored."""


class FilterValueRejected(InvalidInput):
    """A filter's value does not fit its column's type."""


class CopyOut:
    """The rows of a query as csv text, from one snapshot. Methods block: call them in a thread.

    Rows come straight from libpq, one call each: the driver's own cursor costs several times as much a row.
    """

    def __init__(self, pool: Pool, query: composed.Composed) -> None:
        self.rows = 0
        self._where = pool.where
        self._ended = False
        try:
            self._connection = psycopg.connect(
                str.__str__(pool.dsn), autocommit=True, application_name="opsplane export"
            )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(
                f"The database {pool.where} takes no connection.", remedy="See: opsplane status"
            ) from error
        try:
            self._begin(query)
        except BaseException:
            self.close()
            raise

    def block(self) -> bytes:
        """About `BLOCK` bytes of whole rows; nothing at the end."""
        parts: list[bytes] = []
        size = 0
        raw = self._connection.pgconn
        while size < BLOCK and not self._ended:
            length, data = raw.get_copy_data(1)
            if length > 0:
                parts.append(bytes(data))
                size += length
            elif length == 0:
                select.select([raw.socket], [], [])
                raw.consume_input()
            else:
                self._finish(length)
        self.rows += len(parts)
        return b"".join(parts)

    def close(self) -> None:
        """End the snapshot, and the query where it still runs."""
        self._connection.close()

    def _begin(self, query: composed.Composed) -> None:
        execute = self._connection.execute
        execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        execute("SET LOCAL timezone = 'UTC'")
        execute("SET LOCAL datestyle = 'ISO'")
        try:
            plan = execute(composed.SQL("EXPLAIN (FORMAT JSON) ") + query).fetchone()
        except psycopg.DataError as error:
            detail = error.diag.message_primary
            raise FilterValueRejected(f"A filter's value does not fit its column: {detail}.") from error
        self.estimate = int(plan[0][0]["Plan"]["Plan Rows"]) if plan else 0
        copy = composed.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
        result = self._connection.pgconn.exec_(copy.as_bytes(self._connection))
        if result.status != pq.ExecStatus.COPY_OUT:
            raise ExportFailed(f"PostgreSQL refused the export: {_told(result)}")

    def _finish(self, length: int) -> None:
        raw = self._connection.pgconn
        result = raw.get_result()
        self._ended = True
        if length == -1 and result is not None and result.status == pq.ExecStatus.COMMAND_OK:
            return
        if result is not None and result.error_field(pq.DiagnosticField.SQLSTATE) == _DISK_FULL:
            raise OutOfSpace(
                f"The disk of the database {self._where} is full: the export ended after {self.rows} rows.",
                remedy="Free space on it.",
            )
        reason = _told(result) if result is not None else raw.error_message.decode(errors="replace").strip()
        raise ExportFailed(f"PostgreSQL ended the export after {self.rows} rows: {reason}", rows=self.rows)


def _told(result: pq.abc.PGresult) -> str:
    return result.error_message.decode(errors="replace").strip()
