"""Every opsplane command written in the documentation is one the command line understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from opsplane.cli.main import build

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_INLINE = re.compile(r"`(opsplane [^`]+)`", re.DOTALL)
_BLOCK = re.compile(r"^(?:\$ |TOKEN=\$\()?(opsplane [^#|)\n]*)", re.MULTILINE)
_NO_COMMAND = re.compile(r"[…{}<>|*\[\]]|\.\.\.|[A-Z]{3,}")  # placeholders and lists of nouns


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```.*?```", text, re.DOTALL)
    found = [one for block in blocks for one in _BLOCK.findall(block)]
    found += _INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [" ".join(one.split()) for one in found if not _NO_COMMAND.search(one)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_page_can_be_parsed(page: Path) -> None:
    app = build()
    for command in commands(page.read_text(encoding="utf-8")):
        arguments = shlex.split(command)[1:]
        if arguments and not arguments[0].startswith("-"):
            app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_a_wrong_command_is_found() -> None:
    found = commands("see `opsplane dlq retri 5` and\n```\nopsplane stauts  # health\n```\n")
    assert found == ["opsplane stauts", "opsplane dlq retri 5"]
    for command in found:
        with pytest.raises(Exception, match=r"retri|stauts"):
            build().parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
