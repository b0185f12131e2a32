"""What a task is, how one is asked for, and how a type of task is declared."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import msgspec

from opsplane.errors import InvalidInput
from opsplane.resilience import Retry, seconds
from opsplane.tasks.states import Status

Isolation = Literal["async", "thread", "process", "remote"]
Emit = Literal["none", "ends", "all"]
EMITS: tuple[Emit, ...] = ("none", "ends", "all")
DEFAULT_QUEUE = "default"
DEFAULT_TENANT = "default"  # of those that are no tenant's members
HIGHEST_PRIORITY = 9
DEFAULT_PRIORITY = 4


class ResultFile(msgspec.Struct, frozen=True):
    """The file a task produced: its key in the object store, and how a download is called."""

    key: str
    file_name: str
    content_type: str = "application/octet-stream"
    rows: int | None = None


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be created. What is None is taken from its type; `priority` runs from 0 to 9, 9 first."""

    task_type: str
    params: Any = msgspec.field(default_factory=dict)
    entity_type: str | None = None
    tenant: str = DEFAULT_TENANT
    requested_by: str | None = None
    queue: str | None = None
    priority: int = DEFAULT_PRIORITY
    scheduled_at: datetime | None = None
    file_name: str | None = None
    file_size: int | None = None
    sha256: str | None = None
    unique_key: str | None = None
    idempotency_key: str | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    callback_url: str | None = None
    parent_id: str | None = None
    traceparent: str | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is now. Times are UTC; `id` is a UUIDv7, so ids sort by creation."""

    id: str
    task_type: str
    status: Status
    queue: str
    priority: int
    params: Any
    tenant: str = DEFAULT_TENANT
    entity_type: str | None = None
    requested_by: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    sha256: str | None = None
    input_key: str | None = None
    waits_for: str | None = None
    unique_key: str | None = None
    callback_url: str | None = None
    parent_id: str | None = None
    emit: Emit = "all"
    attempt: int = 0
    retry_count: int = 0
    max_retries: int = 0
    timeout_seconds: float | None = None
    claim_token: int | None = None
    worker: int | None = None
    cancel_requested_at: datetime | None = None
    total_records: int | None = None
    processed_records: int = 0
    failed_records: int = 0
    message: str | None = None
    result: dict[str, Any] | None = None
    result_file: ResultFile | None = None
    error_file: ResultFile | None = None
    error_kind: str | None = None
    error_message: str | None = None
    scheduled_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime

    @property
    def success_records(self) -> int:
        """Processed records that did not fail."""
        return max(0, self.processed_records - self.failed_records)

    @property
    def progress_percentage(self) -> float | None:
        """0 to 100; None while the total is not known."""
        if self.status is Status.COMPLETED:
            return 100.0
        if not self.total_records:
            return None
        return min(100.0, round(100.0 * self.processed_records / self.total_records, 1))

    def eta_seconds(self, now: datetime) -> float | None:
        """Seconds until the end at the rate so far; None while that cannot be told."""
        done, total = self.processed_records, self.total_records
        if self.status is not Status.PROCESSING or not total or not done or self.started_at is None:
            return None
        return round(max(0.0, (now - self.started_at).total_seconds() * (total - done) / done), 1)


Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
_NO_ERRORS: Mapping[type[BaseException], Retry] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """One type of task and how it is run; calling it calls the handler, as tests do.

    `retry` spaces and limits the retries; `errors` overrides it for classes of exceptions (`Retry(0)`: none).
    `durable` completions are committed one by one before the slot is free. `timeout` and `grace` are seconds;
    `grace` is how long a cancelled handler may take before it is stopped by force.
    """

    name: str
    handler: Handler
    entity: str | None = None
    isolation: Isolation = "async"
    retry: Retry = field(default_factory=Retry)
    errors: Mapping[type[BaseException], Retry] = field(default_factory=lambda: _NO_ERRORS)
    timeout: float = 1800.0
    grace: float = 5.0
    emit: Emit = "all"
    durable: bool = False
    service: str | None = None
    queue: str | None = None
    upload_timeout: float = 3600.0
    params: Any = dict[str, Any]

    async def __call__(self, *arguments: Any) -> Any:
        """Run the handler."""
        return await self.handler(*arguments)

    @property
    def remote(self) -> bool:
        """Whether its tasks are run by workers that call over HTTP, and by no other."""
        return self.isolation == "remote"

    @property
    def queue_name(self) -> str:
        """The queue its tasks wait in unless they name another."""
        return self.queue or self.service or DEFAULT_QUEUE

    def retry_for(self, error: BaseException) -> Retry:
        """The retries this error is worth."""
        return next((retry for kind, retry in self.errors.items() if isinstance(error, kind)), self.retry)

    def parse_params(self, params: Any) -> Any:
        """`params` as the handler's own type; raises `InvalidInput` with the violation."""
        try:
            if isinstance(params, bytes | str):
                return msgspec.json.decode(params, type=self.params)
            return msgspec.convert(msgspec.to_builtins(params), self.params)
        except msgspec.ValidationError as error:
            raise self._refused(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._refused(error) from error

    def encode_params(self, params: Any) -> str:
        """`params` as the JSON that is kept, when they fit; raises `InvalidInput` with the violation."""
        return self.encode_parsed(self.parse_params(params))

    def encode_parsed(self, params: Any) -> str:
        """The same for parameters that fit already; a NUL, which the database does not store, is refused."""
        text = msgspec.json.encode(params).decode()
        place = _nul_in(msgspec.to_builtins(params, str_keys=True)) if "\\u0000" in text else None
        if place is None:
            return text
        violation = {
            "pointer": f"/params{place}",
            "keyword": "pattern",
            "message": "contains a NUL character",
        }
        raise InvalidInput(
            f"The parameters of {self.name} contain a NUL character at {place or '/'}.",
            violations=[violation],
        )

    def _refused(self, error: Exception) -> InvalidInput:
        text, _, place = str(error).partition(" - at `$")
        pointer = "/params" + place.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        violation = {"pointer": pointer, "keyword": "type", "message": text}
        return InvalidInput(f"The parameters do not fit {self.name}: {error}", violations=[violation])


def task(
    name: str,
    *,
    entity: str | None = None,
    isolation: Isolation = "async",
    retry: Retry | None = None,
    errors: Mapping[type[BaseException], Retry] | None = None,
    timeout: str | float = "30m",
    grace: str | float = "5s",
    emit: Emit = "all",
    durable: bool = False,
    service: str | None = None,
    queue: str | None = None,
) -> Callable[[Handler], TaskType]:
    """Declare a handler `async def h(ctx: TaskContext, params: P)` as the task type `name`.

    `P` (a msgspec Struct or a dict, from the annotation) is what parameters are checked against when a task is
    created. The handler returns a `ResultFile`, a mapping kept as the result, or None.
    """

    def declare(handler: Handler) -> TaskType:
        return TaskType(
            name=name,
            handler=handler,
            entity=entity,
            isolation=isolation,
            retry=retry or Retry(),
            errors=errors or _NO_ERRORS,
            timeout=seconds(timeout),
            grace=seconds(grace),
            emit=emit,
            durable=durable,
            service=service,
            queue=queue,
            params=_params_type(handler),
        )

    return declare


def remote_task(
    name: str,
    *,
    params: Any = dict[str, Any],
    entity: str | None = None,
    retry: Retry | None = None,
    timeout: str | float = "30m",
    emit: Emit = "all",
    service: str | None = None,
    queue: str | None = None,
) -> TaskType:
    """The task type `name`, whose handler lives elsewhere, in any language: remote workers claim its tasks over HTTP.

    `params` (a msgspec Struct or a dict) is what parameters are checked against when a task is created.
    """
    return TaskType(
        name=name,
        handler=_elsewhere,
        entity=entity,
        isolation="remote",
        retry=retry or Retry(),
        timeout=seconds(timeout),
        emit=emit,
        service=service,
        queue=queue,
        params=params,
    )


async def _elsewhere(*_: Any) -> Any:
    raise RuntimeError("The handler of this task type lives in a remote worker and cannot be called here.")


def _nul_in(value: Any) -> str | None:
    """The JSON pointer of a text with a NUL, or of an object that has one in a key."""
    left = [("", value)]
    while left:
        place, one = left.pop()
        if isinstance(one, str) and "\0" in one:
            return place
        if isinstance(one, dict):
            if any("\0" in key for key in one):
                return place
            left += [(f"{place}/{key}", inner) for key, inner in one.items()]
        elif isinstance(one, list):
            left += [(f"{place}/{number}", inner) for number, inner in enumerate(one)]
    return None


def _params_type(handler: Handler) -> Any:
    parameters = list(inspect.signature(handler).parameters.values())
    if len(parameters) != 2:
        raise TypeError(
            f"{handler.__qualname__} must take two parameters: the context and the task's parameters."
        )
    hint = parameters[1].annotation
    if isinstance(hint, str):
        hint = eval(hint, getattr(inspect.unwrap(handler), "__globals__", {}))  # noqa: S307  the module's own annotation
    return dict[str, Any] if hint in (inspect.Parameter.empty, Any, Mapping) else hint
