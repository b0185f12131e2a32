"""Words of any script, alike for what is indexed and what is asked.

Text is folded (compatibility forms, case, accents of Latin, Greek and Cyrillic, vowel points of Hebrew and Arabic)
and cut into terms: words where the script separates them; pairs of neighbouring characters where it does not (Han,
Kana, Thai, Lao, Khmer, Myanmar), as in Apache Lucene's CJKBigramFilter; symbols such as emoji each for itself. The
database's own parser never sees the text, so that what can be found does not depend on its locale.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

_POINTS = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x0652), (0xFE00, 0xFE0F))
_UNSEPARATED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
_ESCAPED = re.compile(r"['\\]")
LONGEST_TERM = 60
MOST_TERMS = 2000
MOST_ASKED = 20


def terms(text: str) -> list[str]:
    """The terms of a text, in order."""
    folded = unicodedata.normalize("NFKC", _bare(unicodedata.normalize("NFKD", text)).casefold())
    return [term for kind, run in groupby(folded, _kind) for term in _cut(kind, "".join(run))]


def indexed(*weighted: tuple[str, str]) -> str:
    """A `tsvector` of texts and their weights (A to D), as a literal."""
    position, found = 0, []
    for text, weight in weighted:
        for term in terms(text)[:MOST_TERMS]:
            position += 1
            found.append(f"{_quoted(term)}:{position}{weight}")
    return " ".join(found)


def asked(text: str) -> str | None:
    """A `tsquery` for all terms of a text, the last one as the beginning of a word; None when it has no terms."""
    wanted = list(dict.fromkeys(terms(text)))[:MOST_ASKED]
    return _joined(wanted) if wanted else None


def _joined(wanted: list[str]) -> str:
    return " & ".join([*map(_quoted, wanted[:-1]), f"{_quoted(wanted[-1])}:*"])


def _quoted(term: str) -> str:
    return "'" + _ESCAPED.sub(lambda found: found[0] * 2, term) + "'"


def _bare(text: str) -> str:
    return "".join(one for one in text if not _within(ord(one), _POINTS))


def _cut(kind: str, run: str) -> Iterator[str]:
    if kind == "word":
        yield run[:LONGEST_TERM]
    elif kind == "symbol":
        yield from run
    elif kind == "unseparated":
        yield from (run[index : index + 2] for index in range(len(run)))


@lru_cache(maxsize=20_000)
def _kind(character: str) -> str:
    if _within(ord(character), _UNSEPARATED):
        return "unseparated"
    category = unicodedata.category(character)
    if category[0] in "LMN":
        return "word"
    return "symbol" if category in {"So", "Sk"} else "gap"


def _within(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)
