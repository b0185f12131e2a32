"""What handlers of tasks take from a request. (Annotations are read at run time.)"""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, PathParameter

from opsplane.tasks.api.desk import TaskDesk

Desk = NamedDependency[TaskDesk]
Id = FromPath[str]
Name = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Reason = FromQuery[str | None]
