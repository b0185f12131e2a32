"""SQL statements live in `.sql` files, one each, named by verb."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import LiteralString


@cache
def sql(package: str, name: str) -> LiteralString:
    """The statement in `sql/<name>.sql` of a package; raises `FileNotFoundError` when there is none.

    The text comes from the package, never from input, which is what `LiteralString` promises to psycopg.
    """
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
