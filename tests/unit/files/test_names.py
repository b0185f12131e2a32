"""Users' file names made harmless."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsplane.files import clean_file_name, content_disposition


@pytest.mark.parametrize(
    ("given_name", "clean"),
    [
        ("Größe 茶.csv", "Größe 茶.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/abs/olute.csv", "olute.csv"),
        ("C:\\data\\a.csv", "a.csv"),
        ("a\0b\r\n\x1b.csv", "ab.csv"),
        ("a\u202egnp.csv", "agnp.csv"),
        ("..", "file"),
        ("", "file"),
        (" . ", "file"),
        ("con", "_con"),
        ("NUL.csv", "_NUL.csv"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("console.csv", "console.csv"),
        ('a"b;c<d>.csv', "a_b_c_d_.csv"),
        ("A\u030a.csv", "Å.csv"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_clean(given_name: str, clean: str) -> None:
    assert clean_file_name(given_name) == clean


@given(st.text(max_size=400))
def test_any_name_becomes_one_plain_name_and_stays_it(name: str) -> None:
    clean = clean_file_name(name)
    assert clean
    assert len(clean.encode()) <= 200
    assert clean not in (".", "..")
    assert not re.search(r'[\x00-\x1f\x7f<>:"/\\|?*;]', clean)
    assert clean_file_name(clean) == clean


@given(st.text(max_size=100))
def test_the_header_is_one_line_of_ascii(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert re.fullmatch(r'attachment; filename="[^"\\%]+"(; filename\*=UTF-8\'\'[A-Za-z0-9._~%-]+)?', header)
