from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from opsplane.database import DatabaseUnavailable, Pool
from opsplane.files.store import OutOfSpace

_GONE = (None, "57P01", "57P02", "57P03")  # libpq's own; shut down, crashed, starting
_GOES_ON = "The import goes on after the last rows it committed; none is applied twice."


@contextmanager
def outage_told(pool: Pool, entity: str) -> Iterator[None]:
    """Work on the database, whose full disk raises `OutOfSpace` and whose end raises `DatabaseUnavailable`."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise OutOfSpace(
            f"The disk of the database {pool.where} is full: it took no more rows of {entity}.",
            remedy=f"Free space on it. {_GOES_ON}",
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if error.sqlstate not in _GONE:
            raise
        raise DatabaseUnavailable(
            f"The database {pool.where} went away while it was given rows of {entity}.",
            remedy=f"See whether it runs, and whether its disk is full: opsplane doctor. {_GOES_ON}",
        ) from error
