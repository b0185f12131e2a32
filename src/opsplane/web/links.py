"""Links of an OpenAPI document (3.1, "Link Object"): which calls go on with what a call made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Call = tuple[str, str, Json]
_PARAMETER = re.compile(r"\{(\w+)\}")


def add_links(calls: list[Call], schemas: Json) -> None:
    """Link the calls, each with its path and method, that belong together.

    A call that creates (201 or 202, with an `id`) leads to those that take this id, one that puts something under a
    name to the others on this name.
    """
    for path, method, operation in calls:
        _link(path, method, operation, calls, schemas)


def _link(path: str, method: str, operation: Json, calls: list[Call], schemas: Json) -> None:
    for status, answer in operation["responses"].items():
        given = _properties(answer, schemas) if status < "300" else {}
        base, values = "", {}
        if status in ("201", "202") and "id" in given:
            base = _item(path, calls)
            values = dict.fromkeys(_PARAMETER.findall(base), "$response.body#/id")
        elif method == "put" and given:
            base = path
            values = {name: f"$request.path.{name}" for name in _PARAMETER.findall(path)}
        links = {
            name: {"operationId": name, "parameters": values} for name in _calls_on(base, operation, calls)
        }
        if values and links:
            answer["links"] = links


def _item(path: str, calls: list[Call]) -> str:
    """The address of one thing of the nearest collection at or above `path`; "" where there is none."""
    collection = path.partition("/{")[0]
    while collection:
        for other, _, _ in calls:
            if _PARAMETER.fullmatch(other.removeprefix(f"{collection}/")):
                return other
        collection = collection.rpartition("/")[0]
    return ""


def _calls_on(base: str, operation: Json, calls: list[Call]) -> Iterator[str]:
    """The other calls on the same thing, which need to know nothing more than its name."""
    for path, _, other in calls:
        rest = path.removeprefix(base)
        if path.startswith(base) and rest[:1] in ("", "/") and "{" not in rest and other is not operation:
            yield other["operationId"]


def _properties(response: Json, schemas: Json) -> Json:
    """The members of a JSON answer, those of its first form where it has several."""
    for media in response.get("content", {}).values():
        schema = media.get("schema", {})
        schema = schema.get("oneOf", [schema])[0]
        return dict(schemas.get(schema.get("$ref", "").rpartition("/")[2], schema).get("properties", {}))
    return {}
