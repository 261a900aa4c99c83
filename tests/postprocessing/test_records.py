"""From bytes to complaints."""

from __future__ import annotations

import json
import os
import re
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing import records, sentences
from postprocessing.models import company_called
from postprocessing.records import Fault, Parsed, Record
from tests.postprocessing.complaints import complaint

NAME = "00000001_data_20251010_011520.json"
COMPANY = company_called("afinia")


def parsed(content: Any, name: str = NAME) -> Parsed:
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return records.parse(content, name, COMPANY)


def one(**values: Any) -> Record:
    found = parsed(complaint(1, **values))
    assert found.faults == []
    return found.records[0]


def reason(content: Any) -> str:
    found = parsed(content)
    assert found.records == []
    ((_record, reason),) = found.faults
    return reason


# --- Shapes and encodings -----------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", records.WRAPPERS)
def test_all_shapes_hold_the_same(wrapper: str) -> None:
    said = complaint(1)
    shapes = [said, [said], {wrapper: [said]}, {wrapper: said}, {wrapper: [said], "nic": "all"}]
    assert [parsed(shape).records for shape in shapes] == [parsed(said).records] * len(shapes)


def test_an_object_under_another_key_does_not_make_a_wrapper_of_a_complaint() -> None:
    (found,) = parsed(complaint(1, data={"a": 1})).records
    assert found.extra == {"data": {"a": 1}}


def test_several_lists_of_one_file_are_all_read() -> None:
    found = parsed({"data": [complaint(1)], "pqrs": [complaint(2)]})
    assert [record.place for record in found.records] == [1, 2]


def test_a_mark_of_utf_8_is_no_text() -> None:
    content = json.dumps(complaint(1)).encode()
    assert parsed(b"\xef\xbb\xbf" + content) == parsed(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", sentences.EMPTY),
        (b"\xef\xbb\xbf \n", sentences.EMPTY),
        (json.dumps(complaint(1)).encode("utf-16"), sentences.UTF_16),
        (json.dumps(complaint(1)).encode("utf-16-be"), sentences.UTF_16),
        ('{"nic": "é"}'.encode("latin-1"), "0xe9 at 9"),
        (b'{"nic": "1"', "line 1"),
        (b'{"nic": NaN}', "NaN"),
        (b'{"nic": -Infinity}', "-Infinity"),
        (b'{"nic": "1", "nic": "2"}', "“nic”"),
        (b'{"nic": "1", "a": {"b": 1, "b": 2}}', "“b”"),
        (b"[" * 100_000, sentences.TOO_DEEP),
        (b'{"a":' * 100_000, sentences.TOO_DEEP),
        (b'{"nic": ' + b"9" * 5000 + b"}", sentences.NUMBER_TOO_LONG),
        (b'{"nic": "a\0b"}', "control character"),
        (b'"text"', sentences.NO_OBJECT),
        (b"7", sentences.NO_OBJECT),
        (b"[" + b"{}," * 250_000 + b"{}]", "parts"),
        (b"[" + b'{"nic":1},' * 10_000 + b"{}]", "records"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_the_reason(content: bytes, told: str) -> None:
    assert told in reason(content)
    assert parsed(content).faults[0].record == 0


# --- Records ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ("text", sentences.NO_OBJECT),
        ({}, sentences.NOTHING_OF_COMPLAINT),
        ({"error": "x"}, sentences.NOTHING_OF_COMPLAINT),
        (complaint(1, comentarios="a\0b"), "comentarios"),
        (complaint(1, comentarios="\ud800"), "comentarios"),
        (complaint(1, otra="\udfff"), "otra"),
        (complaint(1, otra=[{"a": "\0"}]), "otra"),
        (complaint(1, **{"o\0": 1}), r"o\u0000"),
        (complaint(1, numero_radicado="9" * 101), "100 characters"),
        (complaint(1, numero_reclamo_sgc="9" * 101), "100 characters"),
        (complaint(1, **{"e\u0301": 1, "\u00e9": 2}), "“é”"),
    ],
)
def test_a_refused_record_does_not_stop_the_others(record: Any, told: str) -> None:
    found = parsed([complaint(7), record, complaint(8)])
    assert [one.place for one in found.records] == [1, 3]
    ((place, why),) = found.faults
    assert place == 2
    assert told in why
    why.encode()
    assert "\0" not in why


@pytest.mark.parametrize("name", ["lectura", "otra"])
@pytest.mark.parametrize(
    ("text", "told"), [("1e999", "too large"), ("[" * 60 + "]" * 60, "too deeply")]
)
def test_what_no_database_keeps_is_refused(name: str, text: str, told: str) -> None:
    content = json.dumps(complaint(1) | {name: "?"}).replace('"?"', text).encode()
    assert (
        reason(content)
        == f"{name} "
        + {
            "too large": "holds a number that is too large",
            "too deeply": "is nested too deeply",
        }[told]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (12, "12"),
        (12345678901234567890, "12345678901234567890"),
        (1.5, "1.5"),
        ([1, "é"], '[1,"é"]'),
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ("cafe\u0301", "caf\u00e9"),
        ("\u20ac\u0301", "\u20ac\u0301"),
        ("a\x1fb", "a\x1fb"),
    ],
)
def test_every_value_of_a_known_field_becomes_a_text(value: Any, text: str) -> None:
    assert one(comentarios=value).text("comentarios") == text


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_no_radicado_is_none(blank: Any) -> None:
    record = one(numero_radicado=blank)
    assert record.numero_radicado is None
    assert record.identity.strip() == record.hash_registro


def test_missing_keys_are_empty_and_others_are_kept() -> None:
    (record,) = parsed({"nic": "7", "otra": {"a": [1]}}).records
    assert record.text("nic") == "7"
    assert set(record.values) == {"7", ""}
    assert record.extra == {"otra": {"a": [1]}}


# --- Dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["2025/10/09 20:05", "2025/10/09 20:05:00", "2025-10-09 20:05", " 2025-10-09 20:05:00 "],
)
def test_dates_are_the_companys(text: str) -> None:
    assert one(fecha=text).fecha == datetime(2025, 10, 10, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("09/10/2025 20:05", "2025/10-09 20:05", "2025/10/09", "2025/13/09 20:05", "ayer"),
        *("2025-10-09T20:05", "9999/12/31 23:59", "0000/01/01 00:00", "२०२५/१०/०९ २०:०५"),
    ],
)
def test_any_other_date_is_null_with_a_warning(text: str) -> None:
    found = parsed(complaint(1, fecha=text))
    assert found.records[0].fecha is None
    ((place, told),) = found.warnings
    assert place == 1
    assert told == sentences.NO_DATE % {"field": "fecha", "text": text}


def test_no_date_is_null_without_a_warning() -> None:
    found = parsed(complaint(1, fecha=""))
    assert found.records[0].fecha is None
    assert found.warnings == []


@pytest.mark.parametrize(
    ("text", "name", "moment"),
    [
        ("2025-10-09T20:05:01.5", NAME, datetime(2025, 10, 10, 1, 5, 1, 500_000, UTC)),
        ("2025-10-09T20:05:01Z", NAME, datetime(2025, 10, 9, 20, 5, 1, tzinfo=UTC)),
        ("2025/10/09 20:05", NAME, datetime(2025, 10, 10, 1, 5, tzinfo=UTC)),
        ("", NAME, datetime(2025, 10, 10, 6, 15, 20, tzinfo=UTC)),
        ("", "7_data_20251310_011520.json", datetime(2020, 1, 1, tzinfo=UTC)),
        ("", "7.json", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_when_it_was_extracted(text: str, name: str, moment: datetime) -> None:
    content = json.dumps(complaint(1, extraction_timestamp=text)).encode()
    found = records.parse(content, name, COMPANY, 1_577_836_800 * 10**9)
    assert found.records[0].extracted_at == moment
    assert found.warnings == []


# --- Hashes -------------------------------------------------------------------------------------


def test_the_documented_hash() -> None:
    values = {
        "numero_radicado": "RE1",
        "fecha": "2025/10/09 20:05",
        "tipo_pqr": "Reclamo",
        "nic": "7",
        "documento_identidad": "CC 1",
    }
    plain = "RE1|2025-10-09T20:05:00|Reclamo|7|CC 1"
    assert one(**values).hash_registro == sha256(plain.encode()).hexdigest()
    undated = one(**{**values, "fecha": "x", "numero_radicado": None})
    assert undated.hash_registro == sha256(b"||Reclamo|7|CC 1").hexdigest()


@pytest.mark.parametrize("name", [*records.TEXTS, "numero_radicado", "fecha", "otra"])
def test_the_content_is_all_that_the_company_says(name: str) -> None:
    changed = one(**{name: "2024/01/01 00:00"})
    is_same = changed.content_hash == one().content_hash
    assert is_same == (name in records.OF_EXTRACTION)


def test_one_date_written_in_two_ways_is_the_same_content() -> None:
    ways = ["2025/10/09 20:05", "2025-10-09 20:05:00"]
    assert len({one(fecha=way).content_hash for way in ways}) == 1


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
odd = st.one_of(texts, st.sampled_from(["\x1f", "\x1e", "\x1eu", "a\x1f", "", "[]"]))


@settings(deadline=None)
@given(st.lists(odd, min_size=2, max_size=4), st.lists(odd, min_size=2, max_size=4))
def test_no_two_contents_are_put_together_to_the_same(a: list[str], b: list[str]) -> None:
    assert (records._in_a_row(a) == records._in_a_row(b)) == (a == b)


jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from([*records.KEYS, "otra", "data", "é"]), jsons))
def test_any_json_is_taken_or_refused(found: dict[str, Any]) -> None:
    told = parsed(found)
    for record in told.records:
        texts = "".join(record.values)
        assert all(unicodedata.is_normalized("NFC", text) for text in record.values)
        texts.encode()
        json.dumps(record.extra, allow_nan=False, ensure_ascii=False).encode()
    assert all(isinstance(fault, Fault) and fault.reason for fault in told.faults)


@settings(deadline=None)
@given(st.binary(max_size=50))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    told = records.parse(content, NAME, COMPANY)
    assert told.records or told.faults or content.strip() in (b"[]", b'{"data":[]}')


# --- Memory -------------------------------------------------------------------------------------

MIB = 2**20
WORST = {
    "keys": b"{" + b",".join(b'"%d":1' % number for number in range(199_990)) + b"}",
    "objects": b"[" + b",".join([b'{"n":1}'] * 9_999) + b"]",
    "lists": b'{"nic":[' + b"[]," * 99_900 + b"[]]}",
    "text": b'{"nic":"' + b"x" * (4 * MIB - 20) + b'"}',
    "wide text": b'{"nic":"' + "\U0001f600".encode() * (MIB - 20) + b'"}',
    "records": b"[" + b",".join([b'{"nic":"%s"}' % (b"x" * 400)] * 9_999) + b"]",
}


@pytest.mark.parametrize("kind", WORST)
def test_the_largest_files_take_little_memory_and_time(kind: str) -> None:
    content = WORST[kind]
    assert len(content) <= 4 * MIB
    grown, seconds = _alone(lambda: records.parse(content, NAME, COMPANY))
    assert grown < 64 * MIB
    assert seconds < 5  # in a second; but here many tests run at once


def _alone(work: Callable[[], Any]) -> tuple[int, float]:
    """By how many bytes a process of its own grows at its peak, and its seconds."""
    told, telling = os.pipe()
    child = os.fork()
    if not child:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before, began = _peak(), time.process_time()
            work()
            os.write(telling, f"{_peak() - before} {time.process_time() - began}".encode())
        finally:
            os._exit(0)
    os.close(telling)
    os.waitpid(child, 0)
    with os.fdopen(told) as answer:
        grown, seconds = answer.read().split()
    return int(grown), float(seconds)


def _peak() -> int:
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024
