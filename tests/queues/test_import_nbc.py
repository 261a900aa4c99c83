"""People from files: each line is created, there already, or refused with its reason."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator_site.models import Event
from queues import documents, importing
from queues.curp import with_digit
from queues.importing import Line, Malformed, Report, import_people
from queues.models import NbcRecord
from tests.factories import NbcRecordFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
OID = "65f0c0ffee0123456789abcd"


def curp(number: int) -> str:
    born = date(1950, 1, 1) + timedelta(number % 18_000)
    return with_digit(f"XIXX{born:%y%m%d}MNEXXX{number // 18_000}")


def taken(content: str | bytes, kind: str = "", **options: Any) -> tuple[Report, list[Line]]:
    file = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    lines: list[Line] = []
    report = import_people(file, "people", kind, told=lines.append, **options)
    assert not file.closed
    return report, lines


def lines_of(values: Iterable[Any]) -> str:
    return "\n".join(json.dumps(one) for one in values)


def outcomes(lines: list[Line]) -> list[tuple[int, str, str]]:
    return [(line.number, line.outcome, line.field) for line in lines]


# --- Formats ----------------------------------------------------------------------------------


def test_a_list_tells_its_elements_by_their_place() -> None:
    first, second = ({"curp": curp(n), "nombre": "Ana Inventada"} for n in (1, 2))
    text = f"\n[\n  {json.dumps(first)},\n\n  {json.dumps(second, indent=1)}\n]\n"
    report, lines = taken(text)
    assert [(line.number, line.unit) for line in lines] == [(1, "element"), (2, "element")]
    assert report.counts == {"created": 2}
    row = NbcRecord.objects.get(curp=curp(2))
    assert row.data == second
    assert (row.status, row.priority, row.attempts) == ("pending", 0, 0)


def test_a_list_on_one_line_is_refused_by_its_elements() -> None:
    people = [{"curp": curp(1)}, 5, {"curp": "X"}, {"curp": curp(1)}]
    _report, lines = taken(json.dumps(people))
    assert outcomes(lines) == [
        (1, "created", ""),
        (2, "refused", ""),
        (3, "refused", "curp"),
        (4, "refused", "curp"),
    ]
    assert lines[3].reason == "there already, as element 1"
    assert {line.unit for line in lines} == {"element"}


def test_mongos_extended_json_becomes_plain() -> None:
    document = {
        "_id": {"$oid": OID},
        "curp": f" {curp(1).lower()} ",
        "priority": {"$numberInt": "7"},
        "nss": {"$numberLong": "12345678901"},
        "seen": {"$date": "2026-03-01T10:00:00.000Z"},
        "born": [{"$date": {"$numberLong": "-1000"}}],
        "imss": {"ratio": {"$numberDouble": "0.5"}, "sum": {"$numberDecimal": "1.10"}},
    }
    taken(lines_of([document]))
    row = NbcRecord.objects.get()
    assert (row.nbc_id, row.curp, row.priority) == (OID, curp(1), 7)
    assert row.data == {
        "curp": curp(1),
        "nss": 12345678901,
        "seen": "2026-03-01T10:00:00+00:00",
        "born": ["1969-12-31T23:59:59+00:00"],
        "imss": {"ratio": 0.5, "sum": "1.10"},
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_with_a_header(separator: str, end: str) -> None:
    rows = [("CURP", "_id", "Priority", "Nombre"), (curp(1), "A-1", "5", "Ana"), (curp(2), "", "")]
    rows[2] = (curp(2), "", "", "Eva")
    text = end.join(separator.join(row) for row in rows) + end + separator * 3 + end
    _report, lines = taken("\ufeff" + text)
    assert [(line.number, line.outcome) for line in lines] == [(2, "created"), (3, "created")]
    first, second = NbcRecord.objects.order_by("pk")
    assert (first.nbc_id, first.priority, first.data) == (
        "A-1",
        5,
        {"curp": curp(1), "Nombre": "Ana"},
    )
    assert (second.priority, second.data["Nombre"]) == (0, "Eva")
    assert len(second.nbc_id) == 24


def test_a_cell_may_run_over_lines() -> None:
    text = f'curp,nota\n{curp(1)},"one\ntwo"\nX,\n'
    _report, lines = taken(text)
    assert outcomes(lines) == [(2, "created", ""), (4, "refused", "curp")]


def test_an_upload_is_taken_as_it_comes() -> None:
    file = SimpleUploadedFile("people.csv", f"curp\n{curp(1)}\n".encode())
    assert import_people(file, file.name or "").counts == {"created": 1}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("", "", "empty"),
        (" \n\n", "json", "empty"),
        ("nombre,nss\nAna,1\n", "", "no column curp: nombre, nss"),
        ("curp,CURP\n", "", "twice: curp"),
        ("curp,,nss\n", "", "Column 2 has no name"),
        ('curp,"open\n', "", "header cannot be read"),
        ('[{"curp": "X"}', "", "line 1: not JSON"),
        ('[{"curp": "X"}\n{"curp": "Y"}]', "", "line 2: not JSON"),
        ('[{"curp": "X"}]\n[]', "", "line 1: not JSON: Extra data"),
        ('[{"n": NaN}]', "", "NaN"),
        ("[" * 100_000, "", "not JSON"),
    ],
)
def test_a_file_of_which_nothing_can_be_used(text: str, kind: str, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        taken(text, kind)
    assert not NbcRecord.objects.exists()


PERSON = '[{"curp": "X"}]'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PERSON.encode("utf-16"), "in UTF-16. Save it as UTF-8"),
        (codecs.BOM_UTF16_BE + PERSON.encode("utf-16-be"), "in UTF-16"),
        (PERSON.encode("utf-16-le"), "in UTF-16"),
        (PERSON.encode("utf-16-be"), "in UTF-16"),
        ("curp,nbc_id\n".encode("utf-16"), "in UTF-16"),
        (b"PK\x03\x04\x14\x00\x06\x00", "workbook"),
        (gzip.compress(PERSON.encode(), mtime=0), "packed"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not text"),
        ("curp,a\u00f1o\n".encode("latin-1"), "header is not in UTF-8"),
    ],
)
def test_a_file_that_is_no_text_in_utf_8_is_told_what_it_is(content: bytes, told: str) -> None:
    for kind in ("", "json", "csv"):
        if kind == "json" and "header" in told:
            continue
        with pytest.raises(Malformed, match=told) as caught:
            taken(content, kind)
        assert str(caught.value).isascii()


def test_a_list_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LIST_LIMIT", 100)
    assert taken("[" + json.dumps({"curp": curp(1)}) + "]")[0].counts == {"created": 1}
    with pytest.raises(Malformed, match="JSON lines"):
        taken("[" + json.dumps({"curp": curp(1), "n": "x" * 100}) + "]")


# --- Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "field", "told"),
    [
        ({}, "curp", "missing"),
        ({"curp": ""}, "curp", "missing"),
        ({"curp": None}, "curp", "missing"),
        ({"curp": 5}, "curp", "text"),
        ({"curp": "HEGG560427MVZRRL05"}, "curp", "check digit"),
        ({"curp": curp(1), "nbc_id": "x" * 65}, "nbc_id", "longer"),
        ({"curp": curp(1), "nbc_id": True}, "nbc_id", "whole number"),
        ({"curp": curp(1), "_id": {"a": 1}}, "_id", "whole number"),
        ({"curp": curp(1), "nbc_id": "1", "_id": "2"}, "nbc_id", "not the same"),
        ({"curp": curp(1), "priority": "high"}, "priority", "whole number"),
        ({"curp": curp(1), "priority": 40_000}, "priority", "whole number"),
        ({"curp": curp(1), "priority": 1.5}, "priority", "whole number"),
        ({"curp": curp(1), "priority": True}, "priority", "whole number"),
        ({"curp": curp(1), "n": "\x00"}, "", "cannot be stored"),
        ({"curp": curp(1), "\ud800": 1}, "", "cannot be stored"),
        ({"curp": curp(1), "_id": {"$oid": None}}, "", "oid cannot be None"),
        ({"curp": curp(1), "d": {"$date": "soon"}}, "", "date cannot be 'soon'"),
        ({"curp": curp(1), "d": {"$date": 10**30}}, "", "date cannot be"),
        (5, "", "not an object"),
        ("text", "", "not an object"),
    ],
)
def test_a_bad_document_is_refused_and_the_next_is_taken(
    document: Any, field: str, told: str
) -> None:
    report, lines = taken(lines_of([document, {"curp": curp(9)}]), "json")
    assert outcomes(lines) == [(1, "refused", field), (2, "created", "")]
    assert told in lines[0].reason
    assert report.refused == lines[:1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON: Expecting property name"),
        ('{"n": Infinity}', "Infinity is not JSON"),
        ('{"curp": "X", "n": 1e999}', "too large"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON"),
        ('{"n": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
        ('{"n": ' + "[" * 200_000, "not JSON"),
        ("\udcff", "not JSON"),
        ('{"curp": "\udcff"}', "UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_stops_nothing(text: str, told: str) -> None:
    content = f"{text}\n\n{json.dumps({'curp': curp(1)})}".encode(errors="surrogateescape")
    _report, lines = taken(content, "json")
    assert outcomes(lines) == [(1, "refused", ""), (3, "created", "")]
    assert told in lines[0].reason


def test_a_row_that_cannot_be_read_stops_nothing() -> None:
    text = f'curp,n\n{curp(1)}\n"a"b,1\n{curp(2)},\udcff\n{"x" * 200_000},1\n{curp(3)},1\n'
    _report, lines = taken(text.encode(errors="surrogateescape"))
    assert [line.outcome for line in lines] == ["refused"] * 4 + ["created"]
    assert [line.number for line in lines] == [2, 3, 4, 5, 6]
    assert "1 cells, the header has 2" in lines[0].reason
    assert "UTF-8" in lines[2].reason


def test_a_quote_that_is_never_closed_ends_with_the_file() -> None:
    _report, lines = taken(f'curp,n\n{curp(1)},1\n{curp(2)},"open\n{curp(3)},1\n')
    assert outcomes(lines) == [(2, "created", ""), (3, "refused", "")]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_line_that_is_too_long_is_passed_over(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LINE_LIMIT", 100)
    long = "x" * 350
    texts = {
        "json": [{"curp": curp(1)}, {"curp": curp(2), "n": long}, {"curp": curp(3)}],
        "csv": [f"curp,n\n{curp(1)},", f"{curp(2)},{long}", f"{curp(3)},"],
    }[kind]
    text = "\n".join(texts) if kind == "csv" else lines_of(texts)  # type: ignore[arg-type]
    _report, lines = taken(text)
    assert [line.outcome for line in lines] == ["created", "refused", "created"]
    first = lines[0].number
    assert [line.number for line in lines] == [first, first + 1, first + 2]


# --- Again ------------------------------------------------------------------------------------


def test_an_nbc_id_that_is_there_changes_nothing() -> None:
    there = NbcRecordFactory(nbc_id="A-1", curp=curp(5), priority=3)
    _report, lines = taken(lines_of([{"nbc_id": "A-1", "curp": curp(1), "priority": 9}]))
    assert outcomes(lines) == [(1, "duplicate", "nbc_id")]
    before = vars(there).copy()
    there.refresh_from_db()
    assert {name: getattr(there, name) for name in ("curp", "priority", "data", "case_id")} == {
        name: before[name] for name in ("curp", "priority", "data", "case_id")
    }
    assert not Event.objects.exists()


def test_twice_in_a_file_is_refused() -> None:
    documents = [
        {"nbc_id": "1", "curp": curp(1)},
        {"nbc_id": "1", "curp": curp(2)},
        {"nbc_id": 1, "curp": curp(3)},
        {"nbc_id": "2", "curp": curp(1)},
        {"curp": curp(1)},
        {"curp": curp(4)},
        {"curp": curp(4)},
    ]
    _report, lines = taken(lines_of(documents))
    assert outcomes(lines) == [
        (1, "created", ""),
        (2, "refused", "nbc_id"),
        (3, "refused", "nbc_id"),
        (4, "created", ""),
        (5, "refused", "curp"),
        (6, "created", ""),
        (7, "refused", "curp"),
    ]
    assert "on line 1" in lines[1].reason and "on line 6" in lines[6].reason


def test_the_same_file_again_creates_nobody() -> None:
    text = lines_of([{"curp": curp(1)}, {"curp": curp(2), "_id": {"$oid": OID}}])
    assert taken(text)[0].counts == {"created": 2}
    _report, lines = taken(text)
    assert outcomes(lines) == [(1, "duplicate", "curp"), (2, "duplicate", "nbc_id")]
    NbcRecord.objects.filter(curp=curp(1)).update(**{"status": "s"})
    assert taken(text)[0].counts == {"created": 1, "duplicate": 1}  # looked up once more


def test_a_case_begins_with_its_event() -> None:
    taken(lines_of([{"curp": curp(1)}, {"curp": "X"}]))
    row = NbcRecord.objects.get()
    event = Event.objects.get()
    assert (event.case_id, event.object_id, event.new) == (row.case_id, str(row.pk), "pending")
    assert event.reason == "imported from people"


def test_a_dry_run_tells_the_same_and_writes_nothing() -> None:
    NbcRecordFactory(nbc_id="A-1")
    text = lines_of([{"curp": curp(1)}, {"curp": "X"}, {"curp": curp(2), "nbc_id": "A-1"}])
    dry, told = taken(text, dry_run=True)
    assert NbcRecord.objects.count() == 1 and not Event.objects.exists()
    wet, lines = taken(text)
    assert outcomes(told) == outcomes(lines)
    assert (dry.counts, dry.dry_run, wet.dry_run) == (wet.counts, True, False)


def test_batches_cost_few_statements_and_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 50)
    people = [{"curp": curp(n), "nbc_id": f"N-{n}"} if n % 10 else {} for n in range(120)]
    with CaptureQueriesContext(connection) as queries:
        _report, lines = taken(lines_of(people))
    assert [line.number for line in lines] == list(range(1, 121))
    assert NbcRecord.objects.count() == Event.objects.count() == 108
    assert len(queries) <= 7 * 3, [query["sql"][:60] for query in queries]


class Stream(io.RawIOBase):
    """Gives its lines, and counts the bytes that were asked for."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.lines, self.given = lines, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = next(self.lines, b"")
        buffer[: len(piece)] = piece
        self.given += len(piece)
        return len(piece)


def test_lines_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 50)
    monkeypatch.setattr(importing, "LISTED", 10)
    line = json.dumps({"curp": "X", "n": "x" * 1000}).encode() + b"\n"
    stream = Stream(line for _ in range(1000))
    ahead: list[int] = []

    def told(one: Line) -> None:
        ahead.append(stream.given // len(line) - one.number)

    report = import_people(io.BufferedReader(stream), "stream", told=told)
    assert report.counts == {"refused": 1000} and len(report.refused) == 10
    assert max(ahead) < 100  # a batch, and what the file's buffers hold


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_create_each_person_once() -> None:
    text = lines_of({"curp": curp(n), "nbc_id": f"N-{n}"} for n in range(300)).encode()
    reports = together(3, lambda _number: import_people(io.BytesIO(text), "people"))
    assert sum(report.counts["created"] for report in reports) == 300
    assert sum(report.counts["duplicate"] for report in reports) == 600
    assert NbcRecord.objects.count() == Event.objects.count() == 300


# --- The command ------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    """What was printed, and the error at the end."""
    told, error = io.StringIO(), ""
    try:
        call_command("importnbc", *arguments, stdout=told, stderr=io.StringIO())
    except CommandError as raised:
        error = str(raised)
    return told.getvalue(), error


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(f"curp,nbc_id\n{curp(1)},N-1\nX,N-2\n")
    return path


def test_the_command_lists_what_it_refuses_and_ends_with_1(file: Path) -> None:
    told, error = run(str(file))
    assert "1 created, 0 duplicate, 1 refused" in told
    assert "N-2" in told and "18 characters" in told
    assert error == "1 line was refused."
    assert Event.objects.get().reason == "imported from people.csv"


def test_the_command_prints_one_object(file: Path) -> None:
    told, error = run(str(file), "--json", "--dry-run")
    found = json.loads(told)
    assert (found["created"], found["duplicate"], found["refused"]) == (1, 0, 1)
    assert found["refused_lines"][0]["number"] == 3
    assert found["dry_run"] and error and not NbcRecord.objects.exists()


def test_the_report_has_every_line(file: Path, tmp_path: Path) -> None:
    run(str(file), "--report", str(tmp_path / "report.csv"))
    with (tmp_path / "report.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["line"], row["outcome"], row["field"]) for row in rows] == [
        ("2", "created", ""),
        ("3", "refused", "curp"),
    ]


def test_all_good_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text(json.dumps([{"curp": curp(1)}]))
    assert run(str(path)) == ("1 created, 0 duplicate, 0 refused\n", "")


def test_a_file_that_cannot_be_used_is_told(file: Path, tmp_path: Path) -> None:
    assert "No such file" in run(str(tmp_path / "none"))[1]
    told, error = run(str(file), "--format", "json")
    assert "not JSON" in told
    assert error == "3 lines were refused."


def test_a_report_of_a_list_counts_elements(tmp_path: Path) -> None:
    path, report = tmp_path / "people.json", tmp_path / "report.csv"
    path.write_text(json.dumps([{"curp": curp(1)}, {"curp": "X"}]))
    told, error = run(str(path), "--report", str(report))
    assert error == "1 element was refused."
    assert "element" in told and "line" not in told
    head, *rows = report.read_text().splitlines()
    assert head == "element,outcome,nbc_id,field,reason"
    assert [row.partition(",")[0] for row in rows] == ["1", "2"]


def test_a_report_that_cannot_be_written_is_not_the_inputs_fault(
    file: Path, tmp_path: Path
) -> None:
    _told, error = run(str(file), "--report", str(tmp_path / "nowhere" / "report.csv"))
    assert error.startswith("--report: ") and "nowhere/report.csv" in error
    assert str(file) not in error
    assert not NbcRecord.objects.exists()
