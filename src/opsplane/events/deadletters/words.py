"""The words a dead letter is found by, cut alike from what is recorded and from what is asked.

A word is a run of letters and digits, folded (compatibility forms, case); the parts of a name like `SchemaRejected` are
words as well. Characters of scripts that separate no words stand each for themselves. What is asked for is found where
every word of it begins a word of the letter. The database's own parser never sees the text: what it makes of ids,
pointers and e-mail addresses depends on what stands beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from opsplane.errors import InvalidInput

_WORD = re.compile(r"[^\W_⺀-\U0003ffff]+|[⺀-\U0003ffff]")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
LONGEST = 60
MOST = 3000
MOST_ASKED = 20


def words(*texts: str | None) -> list[str]:
    """The words of some texts, each once; at most the first 3,000."""
    found: dict[str, None] = {}
    for word in _all(text for text in texts if text):
        found[word] = None
        if len(found) >= MOST:
            break
    return list(found)


def query(text: str) -> str:
    """A `tsquery` for dead letters that have all words of `text`; raises `InvalidInput` when it has none."""
    asked = list(dict.fromkeys(_folded(match[0]) for match in _WORD.finditer(_plain(text))))
    if not asked:
        raise InvalidInput(f"{text[:60]!r} has no word to look for.", remedy="Give letters or digits.")
    return " & ".join(f"'{word}':*" for word in asked[:MOST_ASKED])


def _all(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for match in _WORD.finditer(_plain(text)):
            yield _folded(match[0])
            parts = _PARTS.findall(match[0])
            if len(parts) > 1:
                yield from map(_folded, parts)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _folded(word: str) -> str:
    return word.casefold()[:LONGEST]
