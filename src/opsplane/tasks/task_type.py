"""A type of task: its handler, what its parameters are, how it is run; and how one is declared."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import msgspec

from opsplane.errors import InvalidInput
from opsplane.resilience import Retry, seconds
from opsplane.tasks.task import DEFAULT_QUEUE, Emit

Isolation = Literal["async", "thread", "process", "remote"]
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
