from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opsplane.errors import Unavailable
from opsplane.files import OutOfSpace


@contextmanager
def retry_told(task_id: str) -> Iterator[None]:
    """Work whose errors, where they pass once something outside is repaired, name the command that goes on."""
    try:
        yield
    except (OutOfSpace, Unavailable) as error:
        error.remedy = f"{error.remedy or ''} Then: opsplane task retry {task_id}".lstrip()
        raise
