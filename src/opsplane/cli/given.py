"""JSON given on the command line: as it is, in a file, or on standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opsplane.errors import InvalidInput


def given_bytes(text: str) -> bytes:
    """What `@FILE` holds, what `-` (standard input) says, or the text itself."""
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    path = Path(text[1:])
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.")
    return path.read_bytes()


def given_json(text: str) -> Any:
    """The JSON value given; raises `InvalidInput`."""
    try:
        return json.loads(given_bytes(text), parse_constant=_refuse)
    except ValueError as error:
        raise InvalidInput(f"The data is not JSON: {error}.", remedy="Give JSON, @FILE or -.") from error


def given_places(pairs: Sequence[str]) -> dict[str, Any]:
    """`/place=value` pairs as a map; a value that is no JSON is a text."""
    found = {}
    for pair in pairs:
        place, separator, value = pair.partition("=")
        if not separator:
            raise InvalidInput(f"{pair[:60]!r} names no value.", remedy="Write it like /price=12.5.")
        try:
            found[place] = json.loads(value, parse_constant=_refuse)
        except ValueError:
            found[place] = value
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is a value of Python's, not of JSON's")
