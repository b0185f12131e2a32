"""Typed Python classes for the data of events: a module of msgspec Structs, written from schemas.

The classes type what a handler reads; what is allowed is the schema's matter, so bounds and patterns do not appear.
Where JSON Schema says more than types can (a union of two objects, say), the field is `Any`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opsplane.events.schemas.document import Schema

_FORMATS = {
    "date-time": "datetime.datetime", "date": "datetime.date", "uuid": "uuid.UUID",
}  # fmt: skip
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_TEXTS = ("str", "datetime.datetime", "datetime.date", "uuid.UUID")
_HEADER = '''"""Data of events, written by `opsplane schema types`: change the schema, not this file."""

from __future__ import annotations
'''
_RESERVED = frozenset({"Any", "Literal", "msgspec", "datetime", "uuid", "None", "True", "False"})


def module(schemas: Iterable[Schema]) -> str:
    """The text of the module: for each schema the class of its data (the event's own fields for scope `event`)."""
    names = _class_names(list(schemas))
    classes = [line for one, name in names for line in _Classes(one, name).lines()]
    body = "\n".join(classes)
    imports = [f"import {name}" for name in ("datetime", "uuid") if f"{name}." in body]
    typing = [name for name in ("Any", "Literal") if re.search(rf"\b{name}\b", body)]
    if typing:
        imports.append(f"from typing import {', '.join(typing)}")
    text = "\n".join([_HEADER, *imports, *([""] if imports else []), "import msgspec", body])
    return text.rstrip("\n") + "\n"


class _Classes:
    """The classes of one schema, each named after its place."""

    def __init__(self, schema: Schema, name: str) -> None:
        self._schema = schema
        self._name = name
        self._classes: dict[str, list[str]] = {}
        self._named: dict[int, str] = {}
        self._open: set[int] = set()
        self._defined: set[str] = {name}

    def lines(self) -> list[str]:
        """The text of all classes, the outermost last, or an alias when the data is no object."""
        document = self._schema.document
        annotation = self._annotation(document, self._name)
        found = [line for lines in self._classes.values() for line in lines]
        if annotation != self._name:
            found += ["", f"{self._name} = {annotation}"]
        return found

    def _annotation(self, part: Any, name: str, depth: int = 0) -> str:
        """The annotation of a subschema whose class, should it need one, is called `name`."""
        if not isinstance(part, dict) or depth > 100:
            return "Any"
        if id(part) in self._named:
            return self._named[id(part)]
        if id(part) in self._open:  # it contains itself without an object in between
            return "Any"
        self._open.add(id(part))
        try:
            return self._written(part, name, depth)
        finally:
            self._open.discard(id(part))

    def _written(self, part: dict[str, Any], name: str, depth: int) -> str:
        if "$ref" in part:
            return self._reference(str(part["$ref"]), depth)
        if "const" in part or "enum" in part:
            return _literal([part["const"]] if "const" in part else part["enum"])
        for keyword_ in ("oneOf", "anyOf"):
            if isinstance(part.get(keyword_), list) and "properties" not in part:
                found = [
                    self._annotation(one, f"{name}{number}", depth + 1)
                    for number, one in enumerate(part[keyword_], 1)
                ]
                return self._union(found)
        if isinstance(part.get("allOf"), list):
            part = _merged(part, self._resolve)
        kinds = part.get("type", "object" if "properties" in part else None)
        if kinds is None:
            return "Any"
        listed = kinds if isinstance(kinds, list) else [kinds]
        return self._union([self._typed(kind, part, name, depth) for kind in listed])

    def _typed(self, kind: str, part: dict[str, Any], name: str, depth: int) -> str:
        if kind == "object":
            return self._object(part, name, depth)
        if kind == "array":
            items = part.get("items")
            inner = (
                self._annotation(items, _singular(name), depth + 1)
                if isinstance(items, dict) and "prefixItems" not in part
                else "Any"
            )
            return f"list[{inner}]"
        if kind == "string" and self._schema.formats == "assert":
            return _FORMATS.get(str(part.get("format")), "str")
        return _SCALARS.get(kind, "Any")

    def _object(self, part: dict[str, Any], name: str, depth: int) -> str:
        properties = part.get("properties")
        if not isinstance(properties, dict) or not properties:
            others = part.get("additionalProperties")
            inner = self._annotation(others, name + "Value", depth + 1) if isinstance(others, dict) else "Any"
            return f"dict[str, {inner}]"
        name = self._free(name, depth)
        self._named[id(part)] = name
        required = part.get("required", [])
        lines = ["", "", f"class {name}(msgspec.Struct, frozen=True, kw_only=True):"]
        lines += _docstring(
            part.get("description"), f"The data of {self._schema.type}." if depth == 0 else ""
        )
        fields = _field_names(properties)
        for key, field in fields.items():
            annotation = self._annotation(properties[key], name + _pascal(key), depth + 1)
            lines.append(_field(key, field, annotation, needed=key in required))
        self._classes[name] = lines
        return name

    def _reference(self, reference: str, depth: int) -> str:
        part = self._resolve(reference)
        if part is None:
            return "Any"
        if part is self._schema.document:
            return self._named.get(id(part), "Any")
        return self._annotation(part, self._name + _pascal(reference.rsplit("/", 1)[-1]), depth + 1)

    def _resolve(self, reference: str) -> Any:
        """What a reference within the document points at; None for any other."""
        if not reference.startswith("#"):
            return None
        place: Any = self._schema.document
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdigit() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, dict) and name in place:
                place = place[name]
            else:
                return None
        return place

    def _free(self, name: str, depth: int) -> str:
        if depth == 0:
            return name
        number, free = 2, name
        while free in self._defined:
            free, number = f"{name}{number}", number + 1
        self._defined.add(free)
        return free

    def _union(self, parts: Sequence[str]) -> str:
        """The union, or `Any` where msgspec could not tell its members apart."""
        found = list(dict.fromkeys(part for one in parts for part in _members(one)))
        if "Any" in found:
            return "Any"
        objects = [one for one in found if one.startswith("dict[") or one in self._classes]
        objects += [one for one in found if one in self._defined and one not in objects]
        texts = [one for one in found if one in _TEXTS or one.startswith(('Literal["', "Literal['"))]
        numbers = [one for one in found if one == "int" or _is_number_literal(one)]
        lists = [one for one in found if one.startswith("list[")]
        if any(len(kind) > 1 for kind in (objects, texts, numbers, lists)):
            return "Any"
        if {"int", "float"} <= set(found):
            found.remove("int")
        return " | ".join(sorted(found, key=lambda one: one == "None"))


def _members(annotation: str) -> list[str]:
    """The members of a union that was written before."""
    if "[" in annotation.partition(" | ")[0] and not annotation.endswith(" | None"):
        return [annotation]
    return (
        [annotation.removesuffix(" | None"), "None"]
        if annotation.endswith(" | None")
        else annotation.split(" | ")
    )


def _is_number_literal(annotation: str) -> bool:
    return re.match(r"Literal\[-?\d", annotation) is not None


def _literal(values: Sequence[Any]) -> str:
    """A `Literal` of texts and whole numbers, with None beside it; otherwise what msgspec can check."""
    texts = [_quoted(one) for one in values if isinstance(one, str)]
    numbers = [repr(one) for one in values if isinstance(one, int) and not isinstance(one, bool)]
    nothing = any(one is None for one in values)
    if len(texts) + len(numbers) + sum(one is None for one in values) == len(values) and texts + numbers:
        return f"Literal[{', '.join(dict.fromkeys(texts + numbers))}]" + (" | None" if nothing else "")
    kinds = {type(one) for one in values}
    if kinds == {bool}:
        return "bool"
    return "None" if kinds == {type(None)} else "Any"


def _merged(part: Mapping[str, Any], resolve: Any) -> dict[str, Any]:
    """An object with the properties of all its `allOf`."""
    found = {name: value for name, value in part.items() if name != "allOf"}
    for one in part["allOf"]:
        other = resolve(str(one["$ref"])) if isinstance(one, dict) and "$ref" in one else one
        if not isinstance(other, dict):
            continue
        if isinstance(other.get("allOf"), list):
            other = _merged(other, resolve)
        found["properties"] = {**found.get("properties", {}), **other.get("properties", {})}
        found["required"] = [*found.get("required", []), *other.get("required", [])]
        for name in ("type", "format", "enum", "const", "items", "description"):
            if name in other:
                found.setdefault(name, other[name])
    if not found["properties"]:
        del found["properties"]
    return found


def _class_names(schemas: list[Schema]) -> list[tuple[Schema, str]]:
    """A class name for each: the last two parts of its type, all of them where that is taken."""
    short = [_pascal(".".join(one.type.split(".")[-2:])) for one in schemas]
    found: list[tuple[Schema, str]] = []
    for one, name in zip(schemas, short, strict=True):
        chosen = name if short.count(name) == 1 else _pascal(one.type)
        taken = {other for _, other in found}
        found.append((one, chosen if chosen not in taken else f"{chosen}V{one.version}"))
    return found


def _field_names(properties: Mapping[str, Any]) -> dict[str, str]:
    """A Python name for each property."""
    found: dict[str, str] = {}
    for key in properties:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
        name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "field"
        if name[0].isdigit():
            name = f"field_{name}"
        if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in {"msgspec", "datetime", "uuid"}:
            name += "_"
        number, free = 2, name
        while free in found.values():
            free, number = f"{name}_{number}", number + 1
        found[key] = free
    return found


def _field(key: str, name: str, annotation: str, *, needed: bool) -> str:
    options = [] if key == name else [f"name={_quoted(key)}"]
    if not needed:
        if annotation != "Any":
            annotation += " | msgspec.UnsetType"
        options.insert(0, "default=msgspec.UNSET")
    if not options:
        return f"    {name}: {annotation}"
    if options == ["default=msgspec.UNSET"]:
        return f"    {name}: {annotation} = msgspec.UNSET"
    return f"    {name}: {annotation} = msgspec.field({', '.join(options)})"


def _docstring(text: Any, otherwise: str) -> list[str]:
    told = " ".join(str(text or otherwise).split()).replace("\\", "\\\\").replace('"', '\\"')
    return [f'    """{told}"""', ""] if told else []


def _quoted(text: str) -> str:
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)


def _pascal(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    words = re.sub(r"\W+|_", " ", spaced, flags=re.ASCII).split()
    name = "".join(word[:1].upper() + word[1:] for word in words) or "Value"
    if name in _RESERVED or keyword.iskeyword(name) or name[0].isdigit():
        name = f"Value{name}"
    return name


def _singular(name: str) -> str:
    """The name of one of several."""
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith(("ses", "ss")) or not name.endswith("s"):
        return name + "Item" if not name.endswith("ses") else name[:-2]
    return name[:-1]
