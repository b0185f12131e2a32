"""The OpenAPI document as it is served: how errors are answered, and which calls belong together."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import SecurityRequirement

from opsplane.web.links import Call, Json, add_links
from opsplane.web.problems import HEADERS, PROBLEM_TYPE, TITLES, Problem

PUBLIC: list[SecurityRequirement] = [
    {}
]  # `security=` of a handler that needs no token; an empty list is lost
METHODS = ("get", "head", "put", "post", "patch", "delete")
SAFE = ("get", "head")


class Document(JsonRenderPlugin):
    """Serves the document at `/openapi.json`, completed."""

    def __init__(self) -> None:
        super().__init__()
        self._rendered: tuple[Json, bytes] | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: Json) -> bytes:
        """The completed document as JSON."""
        if self._rendered is None or self._rendered[0] is not openapi_schema:
            self._rendered = openapi_schema, self.render_json(request, complete(openapi_schema))
        return self._rendered[1]


def complete(document: Json) -> Json:
    """The document with the errors of every operation, its parameters as they can be sent, and its links."""
    document = deepcopy(document)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_problem_schema())
    calls = list(_calls(document))
    for path, method, operation in calls:
        _empty_bodies(operation)
        _answer_errors(path, method, operation)
        for parameter in operation.get("parameters", []):
            parameter["schema"] = _sendable(parameter["schema"])
    used = {status for _, _, operation in calls for status in operation["responses"] if status >= "400"}
    components["responses"] = {_name(int(status)): _response(int(status)) for status in sorted(used)}
    add_links(calls, components["schemas"])
    return document


def _calls(document: Json) -> Iterator[Call]:
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _problem_schema() -> Json:
    _, schemas = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    return schemas


def _empty_bodies(operation: Json) -> None:
    """An answer without a body has no content, not one of null."""
    for response in operation["responses"].values():
        if all(media.get("schema") == {"type": "null"} for media in response.get("content", {}).values()):
            response.pop("content", None)


def _answer_errors(path: str, method: str, operation: Json) -> None:
    """Every error a call may be answered with; those only its handler knows are its own `responses`."""
    declared = {int(status) for status in operation["responses"] if status >= "400"}
    for status in sorted(declared | set(_statuses(path, method, operation))):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}


def _statuses(path: str, method: str, operation: Json) -> Iterator[int]:
    yield from (400, 503)
    if operation.get("security") != PUBLIC:
        yield from (401, 403)
    if "{" in path:
        yield 404
    if method not in SAFE:
        yield 409
    if "requestBody" in operation:
        yield 413


def _name(status: int) -> str:
    return "".join(word.capitalize() for word in TITLES[status].split())


def _response(status: int) -> Json:
    headers = {name: {"schema": {"type": "string"}, "required": True} for name in HEADERS.get(status, {})}
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": TITLES[status], "headers": headers, "content": content}


def _sendable(schema: Json) -> Json:
    """The schema without null: a parameter that is not given is left out."""
    kinds = [kind for kind in schema.get("oneOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**{key: value for key, value in schema.items() if key != "oneOf"}, **kinds[0]}
    return schema
