"""Edits of an event: what changes where, applied to a copy and told as a difference."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsplane.errors import InvalidInput

_ABSENT = object()


def edited(
    event: Any, *, data: Any = _ABSENT, put: Mapping[str, Any] | None = None, cut: Sequence[str] = ()
) -> Any:
    """The event with its payload replaced by `data`, then values put at and cut from places (JSON pointers) in it.

    Raises `InvalidInput` for a place that does not exist.
    """
    changed = copy.deepcopy(event)
    if data is not _ABSENT:
        changed["data"] = data
    for pointer, value in (put or {}).items():
        _put(changed, pointer, value)
    for pointer in cut:
        _cut(changed, pointer)
    return changed


def encoded(event: Any) -> bytes:
    """The event's new bytes."""
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can say
        return json.dumps(event, separators=(",", ":")).encode()


def difference(before: Any, after: Any, place: str = "") -> list[dict[str, Any]]:
    """What changed, by its place in the event: `before`, `after`, one of them missing where there was nothing."""
    return list(_different(before, after, place))


def _different(before: Any, after: Any, place: str) -> Iterator[dict[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in (*before, *(name for name in after if name not in before)):
            inner = f"{place}/{_escaped(name)}"
            yield from _different(before.get(name, _ABSENT), after.get(name, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else _ABSENT
            new = after[index] if index < len(after) else _ABSENT
            yield from _different(old, new, f"{place}/{index}")
    elif type(before) is not type(after) or before != after:
        told = {"place": place, "before": before, "after": after}
        yield {name: value for name, value in told.items() if value is not _ABSENT}


def _put(event: Any, pointer: str, value: Any) -> None:
    if pointer == "":
        event["data"] = value
        return
    holder, last = _reach(event, pointer)
    if isinstance(holder, dict):
        holder[last] = value
    elif isinstance(holder, list) and (last == "-" or (last.isdecimal() and int(last) == len(holder))):
        holder.append(value)
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        holder[int(last)] = value
    else:
        raise _nothing_there(pointer)


def _cut(event: Any, pointer: str) -> None:
    holder, last = _reach(event, pointer)
    if isinstance(holder, dict) and last in holder:
        del holder[last]
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        del holder[int(last)]
    else:
        raise _nothing_there(pointer)


def _reach(event: Any, pointer: str) -> tuple[Any, str]:
    """What holds the place, and the place's name in it; pointers begin at the payload."""
    if not pointer.startswith("/"):
        raise InvalidInput(
            f"{pointer!r} is no place in an event.", remedy="Write it like /price or /items/0/sku."
        )
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]
    holder = event.get("data") if isinstance(event, dict) else None
    for part in path:
        if isinstance(holder, dict) and part in holder:
            holder = holder[part]
        elif isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
            holder = holder[int(part)]
        else:
            raise _nothing_there(pointer)
    return holder, last


def _nothing_there(pointer: str) -> InvalidInput:
    return InvalidInput(f"The event's data has no place {pointer}.", remedy="See it with: opsplane dlq show")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
