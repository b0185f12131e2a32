from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote

MAX_NAME_BYTES = 200
_FORBIDDEN = frozenset('<>:"/\\|?*;')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
)


def clean_file_name(name: str, fallback: str = "file") -> str:
    """A user's file name made harmless: no path, no control or reserved characters, 200 bytes at most.

    Names of Windows devices get an underscore in front; the ending is kept when the name is shortened.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(_safe(character) for character in unicodedata.normalize("NFC", last))
    kept = kept.strip(" .") or fallback
    if kept.split(".", 1)[0].strip().lower() in _DEVICES:
        kept = f"_{kept}"
    return _shortened(kept)


def content_disposition(name: str) -> str:
    """The header that makes a browser save the body as `name` (RFC 6266, with RFC 5987 for other scripts)."""
    clean = clean_file_name(name)
    plain = clean.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    header = f'attachment; filename="{plain}"'
    if plain != clean:
        header += f"; filename*=UTF-8''{quote(clean, safe='')}"
    return header


def _safe(character: str) -> str:
    if character in _FORBIDDEN:
        return "_"
    return "" if unicodedata.category(character)[0] == "C" else character


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix.encode()) <= 20 else ""
    stem = name.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem.rstrip(" .") + suffix
