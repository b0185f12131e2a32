"""Fingerprint: sixteen hex digits that are equal for errors of one cause and differ for errors of different ones.

- Violations of a schema: the event type, and every place (without numbers of list items) with the keyword it violates;
  where in the code they were found says nothing.
- Errors of a handler: their class, and the innermost places in the *service's* code, with the failing line's text (not
  its number, which the next release changes). Frames of opsplane and of libraries are left out, so that the same bug
  is one cause whether a batch, a single event or a recovered one met it.
- An error raised `from` another, or a group of errors: what was at the bottom of it.
- Where no code of the service took part (a timeout, a poisonous event): the topic.
"""

from __future__ import annotations

import hashlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

import opsplane
from opsplane.errors import InvalidInput

_FRAMES = 3
_OPSPLANE = f"{Path(opsplane.__file__).parent}/"
_SERVICES_OF_OPSPLANE = f"{_OPSPLANE}commerce/"
_LIBRARIES = tuple(
    {f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_NUMBERS = re.compile(r"/\d+(?=/|$)")
_INNER = re.compile(r"<\w+>")  # a comprehension has a frame of its own in some versions of Python


def fingerprint(
    reason: str, error: BaseException, topic: str, handler: Callable[..., Any] | None = None
) -> str:
    """The fingerprint of an error that an event of `topic` met, in `handler` or on its way there."""
    return _digest([reason, *_facts(error, topic, _home(handler.__module__) if handler else None)])


def general(pointer: str) -> str:
    """A place in an event without the numbers of list items: `/items/3/sku` is `/items/*/sku`."""
    return _NUMBERS.sub("/*", pointer)


def _facts(error: BaseException, topic: str, home: str | None) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        yield from sorted({_digest(_facts(one, topic, home)) for one in error.exceptions})
        return
    if isinstance(error, InvalidInput) and error.violations:
        yield topic
        yield from _violated(error.violations)
        return
    yield type(error).__name__
    if isinstance(error, psycopg.Error):
        yield from filter(None, (error.sqlstate, error.diag.table_name, error.diag.constraint_name))
    places = _places(error, home)
    yield from places
    if error.__cause__ is not None:
        yield from _facts(error.__cause__, topic, home)
    elif not places:
        yield topic


def _violated(violations: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({f"{one.get('keyword')} {general(str(one.get('pointer')))}" for one in violations})


def _places(error: BaseException, home: str | None) -> list[str]:
    """The innermost places in the service's code, and the text of the last one's line."""
    found = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in found if _is_the_services(frame.filename, home)]
    places = [
        f"{frame.filename.rsplit('/', 2)[-1]}:{frame.name}"
        for frame in frames
        if not _INNER.fullmatch(frame.name)
    ]
    places = list(dict.fromkeys(reversed(places)))[
        :_FRAMES
    ]  # a recursion, or one error raised again, goes round
    return [*places, frames[-1].line or ""] if frames else []


def _is_the_services(filename: str, home: str | None) -> bool:
    if filename.startswith(_OPSPLANE):
        return filename.startswith(_SERVICES_OF_OPSPLANE)
    if home is not None and filename.startswith(home):
        return True
    return not filename.startswith((*_LIBRARIES, "<"))


@cache
def _home(module: str) -> str | None:
    """The directory of the package a handler is in: a service may be installed among the libraries."""
    package = sys.modules.get(module.partition(".")[0])
    file = getattr(package, "__file__", None)
    return f"{Path(file).parent}/" if file and Path(file).name == "__init__.py" else file


def _digest(facts: Iterable[str]) -> str:
    return hashlib.sha256("|".join(facts).encode()).hexdigest()[:16]
