"""From YAML text to frozen values, remembering where each stood and listing every error at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from opsplane.documents.rejection import DocumentRejected, Violation, nearest
from opsplane.documents.values import Duration, Rate
from opsplane.errors import InvalidInput
from opsplane.resilience import seconds

T = TypeVar("T", bound=msgspec.Struct)
Path = tuple[str | int, ...]
_ABSENT = object()
_KINDS = {str: "a text", int: "a whole number", bool: "true or false"}


class Reader:
    """Reads one document; afterwards `violations` and the place of every value are known.

    `rejected` is raised for what is no YAML at all; `hidden` are fields of the document that no file may set; a file
    may be `empty` when the document has a default for everything.
    """

    def __init__(
        self,
        rejected: type[DocumentRejected] = DocumentRejected,
        *,
        hidden: Collection[str] = (),
        empty: bool = False,
    ) -> None:
        self._rejected = rejected
        self._empty = empty
        self._hidden = frozenset(hidden)
        self.violations: list[Violation] = []
        self.marks: dict[Path, tuple[int, int]] = {}
        self._wrong: set[Path] = set()
        self._places: dict[int, Path] = {}

    def read(self, text: str, file: str, kind: type[T]) -> T | None:
        """The document as `kind`, as far as it can be read: what is wrong is left out and complained of.

        None when too much is missing to go on; raises `rejected` for broken YAML.
        """
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise self._rejected(file, [_syntax(error)]) from error
        if node is None and self._empty:
            return kind()
        if node is None:
            raise self._rejected(file, [Violation(1, 1, "", "The file is empty.")])
        value = self._struct(node, kind, ())
        return None if value is _ABSENT else typing.cast("T", value)

    def place(self, value: msgspec.Struct) -> Path:
        """Where a value of the document stood."""
        return self._places[id(value)]

    def flawed(self, path: Path) -> bool:
        """Whether something at or below `path` was complained of."""
        return any(one[: len(path)] == path for one in self._wrong)

    def complain(self, path: Path, message: str, near: str | None = None) -> None:
        """Note that the value at `path` is wrong; the nearest value above it that has a place lends its own."""
        self._wrong.add(path)
        place = path
        while place and place not in self.marks:
            place = place[:-1]
        line, column = self.marks.get(place, (1, 1))
        self.violations.append(Violation(line, column, spelled(path), message, near))

    def _value(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        self.marks.setdefault(path, _mark(node))
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._value(node, next(one for one in arguments if one is not types.NoneType), path)
        if origin is tuple:
            return self._list(node, arguments[0], path)
        if origin is dict:
            return self._table(node, arguments[1], path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Rate:
            return self._struct(node, kind, path)
        return self._scalar(node, kind, path)

    def _struct(self, node: yaml.Node, kind: type[msgspec.Struct], path: Path) -> Any:
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        hidden = self._hidden if not path else frozenset()
        given: dict[str, Any] = {}
        for key, child in self._entries(node, path):
            if key not in fields or key in hidden:
                known = sorted(set(fields) - hidden)
                self.complain(
                    (*path, key), f"unknown key; known are {', '.join(known)}.", nearest(key, known)
                )
                continue
            value = self._value(child, fields[key].type, (*path, key))
            if value is not _ABSENT:
                given[key] = value
        missing = [name for name, field in fields.items() if field.required and name not in given]
        for name in missing:
            if isinstance(node, yaml.MappingNode) and not self.flawed((*path, name)):
                self.complain(path, f"`{name}` is missing.")
        if missing:
            return _ABSENT
        value = kind(**given)
        self._places[id(value)] = path
        return value

    def _entries(self, node: yaml.Node, path: Path) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.complain(path, "must be a mapping of keys to values.")
            return []
        entries: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name in entries or not name:
                self.marks[*path, name] = _mark(key)
                self.complain((*path, name), "is there twice." if name else "must be a plain key.")
                continue
            entries[name] = value
            self.marks[*path, name] = _mark(key)
        return list(entries.items())

    def _list(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.complain(path, "must be a list.")
            return _ABSENT
        values = [self._value(child, kind, (*path, index)) for index, child in enumerate(node.value)]
        return tuple(value for value in values if value is not _ABSENT)

    def _table(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        values = {key: self._value(child, kind, (*path, key)) for key, child in self._entries(node, path)}
        return {key: value for key, value in values.items() if value is not _ABSENT}

    def _scalar(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.complain(path, "must be a single value.")
            return _ABSENT
        value = yaml.SafeLoader("").construct_object(node)
        try:
            return _converted(value, kind)
        except ValueError as error:
            known = [str(one) for one in typing.get_args(kind)] if typing.get_origin(kind) is Literal else []
            self.complain(path, str(error), nearest(str(value), known))
            return _ABSENT


def spelled(path: Path) -> str:
    """The path of a value as people write it: `routes[3].service`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _converted(value: Any, kind: Any) -> Any:
    if kind is Duration:
        return _duration(value)
    if kind is Rate:
        return _rate(value)
    if typing.get_origin(kind) is Literal:
        if value not in typing.get_args(kind):
            raise ValueError(f"{value!r} is none of {', '.join(map(str, typing.get_args(kind)))}.")
        return value
    if type(value) is not kind:
        raise ValueError(f"{value!r} is not {_KINDS[kind]}.")
    if kind is int and value < 0:
        raise ValueError(f"{value} must not be negative.")
    return value


def _duration(value: Any) -> Duration:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a duration; write it like 250ms, 30s, 5m or 2h.")  # noqa: TRY004  one error for all
    try:
        found = seconds(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    if not 0.001 <= found <= 86400 * 365:
        raise ValueError(f"{value!r} must be at least 1ms and at most a year.")
    return Duration(found)


def _rate(value: Any) -> Rate:
    count, separator, window = str(value).partition("/")
    if not separator or not count.strip().isdecimal() or int(count) == 0 or int(count) > 2**31:
        raise ValueError(f"{value!r} is not a rate; write it like 600/1m.")
    return Rate(
        int(count), _duration(window.strip() if window.strip()[:1].isdigit() else f"1{window.strip()}")
    )


def _mark(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax(error: yaml.YAMLError) -> Violation:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    told = f"not YAML: {problem}{f' ({context})' if context else ''}."
    return Violation(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, "", told)
