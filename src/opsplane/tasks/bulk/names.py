from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def require_known(entity: str, field: str, names: Iterable[str], known: Collection[str]) -> None:
    """Return when every name is a known column; raise `ValueError`, which decoding turns into a violation."""
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(map(repr, unknown))
    raise ValueError(f"{field}: {entity} has no column {listed}.{hint} Its columns: {', '.join(known)}.")
