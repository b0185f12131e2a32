"""Reading csv: dialects, records over several lines, spoiled records, chunks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.files.reading import opened, read

from opsplane.errors import InvalidInput
from opsplane.files import LimitExceeded, Limits
from opsplane.files.formats.csv import HeaderUnreadable
from opsplane.files.formats.records import quoted
from opsplane.files.formats.sniff import UnknownEncoding
from opsplane.files.formats.stream import Damaged

SPECTRUM = Path(__file__).parents[2] / "data" / "csv_spectrum"
CASES = sorted(path.stem for path in (SPECTRUM / "csvs").glob("*.csv"))
TABLE = [("1", "Größe", "a, b"), ("2", "茶", 'says "x"')]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.csv"


@pytest.mark.parametrize("case", CASES)
def test_the_csv_spectrum(file: Path, case: str) -> None:
    found = read(file, (SPECTRUM / "csvs" / f"{case}.csv").read_bytes())
    expected = json.loads((SPECTRUM / "json" / f"{case}.json").read_text(encoding="utf-8"))
    records = [dict(zip(found.header, (cell or "" for cell in row), strict=True)) for row in found.rows]
    if case == "location_coordinates":  # the data set's own slip: it expects another number, and no list
        expected = [{**expected, "Contact Phone Number": "2095257564"}]
    assert found.refused == []
    assert records == expected


def as_csv(delimiter: str = ",", newline: str = "\n") -> str:
    lines = [("id", "name", "text"), *TABLE]
    return newline.join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_line_ends_are_guessed(file: Path, delimiter: str, newline: str) -> None:
    found = read(file, as_csv(delimiter, newline).encode())
    assert (found.header, found.rows, found.refused) == (["id", "name", "text"], TABLE, [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_with_a_mark_and_utf8_are_guessed_others_declared(file: Path, encoding: str) -> None:
    declared = {"encoding": encoding} if encoding[-3:] in ("-le", "-be") else {}
    found = read(file, as_csv().encode(encoding), **declared)
    assert (found.header, found.rows, found.refused) == (["id", "name", "text"], TABLE, [])


def test_what_is_no_utf8_is_windows_1252(file: Path) -> None:
    assert read(file, "id;name\n1;Größe – €\n".encode("cp1252")).rows == [("1", "Größe – €")]


def test_what_is_declared_is_not_guessed(file: Path) -> None:
    assert read(file, b"a;b,c\n1;2,3\n", delimiter=",").header == ["a;b", "c"]
    with pytest.raises(UnknownEncoding, match="utf-99"):
        read(file, b"a\n1\n", encoding="utf-99")
    with pytest.raises(InvalidInput, match="delimiter"):
        read(file, b"a\n1\n", delimiter="ab")


def test_bytes_that_are_no_text_refuse_their_record(file: Path) -> None:
    found = read(file, b"id,name\n1,a\n2,\xff\xfe\n3,c\n", encoding="utf-8")
    assert found.rows == [("1", "a"), ("3", "c")]
    assert [(one.line, one.code) for one in found.refused] == [(3, "encoding")]


def test_gzip_is_unpacked_and_damage_is_told(file: Path) -> None:
    packed = gzip.compress(as_csv().encode())
    assert read(file, packed).rows == TABLE
    with pytest.raises(Damaged):
        read(file, packed[:-10])


@pytest.mark.parametrize(
    ("text", "rows", "refused"),
    [
        pytest.param('1,a\n2,"open\n3,c\n', [("1", "a"), ("3", "c")], [(3, "unclosed_quote")], id="open"),
        pytest.param('1,a\n2,"open\n', [("1", "a")], [(3, "unclosed_quote")], id="open at the end"),
        pytest.param('1,"a"x\n2,b\n', [("2", "b")], [(2, "unclosed_quote")], id="text after a quote"),
        pytest.param('1,5" disk\n2,b\n', [("1", '5" disk'), ("2", "b")], [], id="a quote within"),
        pytest.param('1,"a\nb"\n2,b\n', [("1", "a\nb"), ("2", "b")], [], id="two lines"),
        pytest.param("1,a,x\n2\n3,c\n", [("3", "c")], [(2, "field_count"), (3, "field_count")], id="width"),
        pytest.param("1,a\n\n \n2,b\n", [("1", "a"), ("2", "b")], [], id="empty lines"),
        pytest.param("1,a\0\n2,b\n", [("2", "b")], [(2, "control_character")], id="NUL"),
        pytest.param('1,\n2,""\n', [("1", None), ("2", "")], [], id="empty is not nothing"),
    ],
)  # fmt: skip
def test_a_spoiled_record_spoils_no_other(
    file: Path, text: str, rows: list[tuple[str | None, ...]], refused: list[tuple[int, str]]
) -> None:
    found = read(file, f"id,name\n{text}".encode())
    assert found.rows == rows
    assert [(one.line, one.code) for one in found.refused] == refused


def test_a_record_that_is_too_long_is_refused_alone(file: Path) -> None:
    limits = Limits(record_bytes=100, chunk_bytes=1000)
    for size in (200, 5000):
        data = b"id,name\n1,a\n2," + b"x" * size + b"\n3,c\n"
        found = read(file, data, limits)
        assert found.rows == [("1", "a"), ("3", "c")]
        assert [(one.line, one.code) for one in found.refused] == [(3, "record_too_long")]
    assert read(file, b"id,name\n1," + b"x" * 98 + b"\n", limits).refused == [], "the control"


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(bytes=10), "bytes"),
        (Limits(columns=1), "columns"),
        (Limits(rows=1), "rows"),
        (Limits(decompressed_bytes=10), "decompressed_bytes"),
    ],
)
def test_limits_refuse_the_file(file: Path, limits: Limits, limit: str) -> None:
    data = b"id,name\n1,a\n2,b\n"
    assert len(read(file, gzip.compress(data)).rows) == 2, "the control"
    with pytest.raises(LimitExceeded) as told:
        read(file, gzip.compress(data), limits)
    assert told.value.limit == limit


def test_a_bomb_is_refused(file: Path) -> None:
    bomb = gzip.compress(b"id,name\n" + b"1,a\n" * 5_000_000)
    with pytest.raises(LimitExceeded) as told:
        read(file, bomb, Limits(ratio=50.0))
    assert told.value.limit == "ratio"


@pytest.mark.parametrize("data", [b"", b"\n", b",,\n1,2,3\n", b'"open\n1\n'])
def test_a_file_without_a_header_is_refused(file: Path, data: bytes) -> None:
    with pytest.raises(HeaderUnreadable):
        read(file, data)


cells = (
    st.text('ab",\n茶', max_size=8)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
    | st.none()
)
tables = st.lists(st.tuples(st.just("k"), cells, cells), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables, chunk=st.integers(60, 400), packed=st.booleans())
def test_chunks_divide_between_records_whatever_their_size(
    file: Path, rows: list[tuple[str | None, ...]], chunk: int, packed: bool
) -> None:
    data = ("a,b,c\n" + "".join(quoted(list(row)) + "\n" for row in rows)).encode()
    whole = read(file, data, delimiter=",")
    parts = read(file, gzip.compress(data) if packed else data, Limits(chunk_bytes=chunk), delimiter=",")
    assert whole.rows == rows
    assert (parts.rows, parts.lines, parts.refused) == (whole.rows, whole.lines, [])


def test_a_chunk_is_the_same_wherever_the_reader_was_before(file: Path) -> None:
    data = b"id,name\n" + b"".join(b'%d,"a\nb"\n' % number for number in range(500))
    limits = Limits(chunk_bytes=1000)
    with opened(file, data, limits) as reader:
        first = reader.chunk(reader.position, reader.line)
        assert first is not None
        second = reader.chunk(first.position, first.line)
    for packed in (data, gzip.compress(data)):
        with opened(file, packed, limits) as other:
            again = other.chunk(first.position, first.line)
        assert second is not None
        assert again is not None
        assert again.frame.equals(second.frame)
        assert again[2:] == second[2:]
