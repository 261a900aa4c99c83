"""Files into tables: what is inserted, updated, a duplicate, refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator_site.models import Event
from postprocessing import loading, reader, reading, sentences
from postprocessing.loading import FileFault, Loaded
from postprocessing.models import OvAfinia, OvAire, SourceFile, company_called
from tests.postprocessing import complaints
from tests.postprocessing.complaints import EXTRACTED, complaint, file_name, put, put_complaint
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AFINIA, AIRE = company_called("afinia"), company_called("aire")
LATER = EXTRACTED + timedelta(days=1)
NOT_COMPARED = {"id", "case_id", "created_at", "updated_at"}


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, settings: Any) -> Path:
    settings.DOWNLOADS_DIR = tmp_path
    return tmp_path


def counts(loaded: Loaded) -> tuple[int, int, int, int]:
    return loaded.inserted, loaded.updated, loaded.duplicates, loaded.errors


def load(**options: Any) -> tuple[int, int, int, int]:
    return counts(loading.load(AFINIA, **options))


def rows() -> list[dict[str, Any]]:
    """All that does not differ from load to load."""
    found = OvAfinia.objects.order_by("hash_registro").values()
    return [{k: v for k, v in row.items() if k not in NOT_COMPARED} for row in found]


def known(name: str) -> SourceFile:
    return SourceFile.objects.get(empresa="afinia", filename=name)


# --- The documents' own figures -----------------------------------------------------------------


def test_the_191_files_of_the_documents() -> None:
    complaints.put_documented()
    both = [loading.load(company) for company in (AFINIA, AIRE)]
    assert [one.files for one in both] == [181, 10]
    assert tuple(map(sum, zip(*map(counts, both), strict=True))) == (112, 3, 76, 0)
    assert (OvAfinia.objects.count(), OvAire.objects.count()) == (102, 10)
    assert OvAfinia.objects.filter(estado_solicitud=complaints.STATES[2]).count() == 3
    assert SourceFile.objects.count() == 191
    for options in ({}, {"full": True}):
        again = [loading.load(company, **options) for company in (AFINIA, AIRE)]
        assert tuple(map(sum, zip(*map(counts, again), strict=True))) == (0, 0, 191, 0)


# --- What becomes of a record -------------------------------------------------------------------


def test_a_complaint_is_stored_as_it_stands_in_its_file() -> None:
    put_complaint(AFINIA, 1, otra={"a": [1, "é"]}, comentarios='tab\t "é" \\ \n€\x1f')
    assert load() == (1, 0, 0, 0)
    row = OvAfinia.objects.get()
    said = complaint(1, comentarios='tab\t "é" \\ \n€\x1f')
    for name in ("nic", "cuerpo_reclamacion", "comentarios", "numero_radicado", "page_url"):
        assert getattr(row, name) == said[name]
    assert row.extra == {"otra": {"a": [1, "é"]}}
    assert row.file_name == file_name(1)
    assert (
        row.fecha and row.fecha.astimezone(AFINIA.zone).strftime("%Y/%m/%d %H:%M") == said["fecha"]
    )
    assert row.extraction_timestamp.astimezone(AFINIA.zone).replace(tzinfo=None) == EXTRACTED
    assert abs(row.created_at.timestamp() - time.time()) < 60
    assert Event.objects.count() == 0


def test_a_changed_complaint_is_updated_with_an_event_that_names_the_fields() -> None:
    put_complaint(AFINIA, 1)
    load()
    before = OvAfinia.objects.get()
    put_complaint(AFINIA, 1, LATER, estado_solicitud="Resuelto" * 9, nic="9", fecha="", otra=1)
    assert load() == (0, 1, 1, 0)
    row, event = OvAfinia.objects.get(), Event.objects.get()
    assert (row.pk, row.case_id, row.created_at) == (before.pk, before.case_id, before.created_at)
    assert (row.nic, row.fecha, row.file_name) == ("9", None, file_name(1, LATER))
    assert row.updated_at > before.updated_at
    assert (event.object_type, event.object_id) == ("postprocessing.ovafinia", str(row.pk))
    assert event.case_id == row.case_id
    assert (event.old, event.new) == ("Radicado", ("Resuelto" * 9)[:32])
    assert set(event.data["fields"]) == {"fecha", "extra", "nic", "estado_solicitud"}


def test_a_later_extraction_of_the_same_is_a_duplicate_whose_place_is_kept() -> None:
    put_complaint(AFINIA, 1)
    load()
    before = OvAfinia.objects.get()
    put_complaint(AFINIA, 1, LATER, page_title="Otra página")
    assert load() == (0, 0, 2, 0)
    row = OvAfinia.objects.get()
    assert (row.file_name, row.page_title) == (file_name(1, LATER), "Otra página")
    assert row.updated_at == before.updated_at
    assert Event.objects.count() == 0


def test_what_was_extracted_before_changes_nothing() -> None:
    put_complaint(AFINIA, 1, LATER)
    load()
    put_complaint(AFINIA, 1, estado_solicitud="Antes")
    assert load() == (0, 0, 2, 0)
    assert OvAfinia.objects.get().estado_solicitud == "Radicado"


def test_a_file_that_was_written_anew_is_an_update() -> None:
    put_complaint(AFINIA, 1)
    load()
    put_complaint(AFINIA, 1, estado_solicitud="Cerrados")  # as long as before
    assert load() == (0, 1, 0, 0)
    assert load(full=True) == (0, 0, 1, 0)


def test_without_a_radicado_a_complaint_is_known_by_its_hash() -> None:
    put_complaint(AFINIA, 1, numero_radicado="")
    put_complaint(AFINIA, 2, numero_radicado=" ")
    put_complaint(AFINIA, 1, LATER, numero_radicado=None, comentarios="Otra cosa")
    assert load() == (2, 1, 0, 0)
    assert OvAfinia.objects.filter(numero_radicado=None).count() == 2


def test_many_changes_of_one_complaint_in_one_load_are_all_told() -> None:
    for day, state in enumerate("ABCCB"):
        put_complaint(AFINIA, 1, EXTRACTED + timedelta(days=day), estado_solicitud=state)
    assert load(dry_run=True) == (1, 3, 1, 0)
    assert load() == (1, 3, 1, 0)
    told = Event.objects.order_by("id").values_list("old", "new")
    assert list(told) == [("A", "B"), ("B", "C"), ("C", "B")]


def test_of_one_file_the_last_record_of_a_complaint_counts() -> None:
    put(AFINIA, "a.json", [complaint(1), complaint(1, nic="8"), complaint(1, nic="9")])
    assert load() == (1, 0, 2, 0)
    assert OvAfinia.objects.get().nic == "9"
    assert load(full=True) == (0, 0, 3, 0)


def test_a_dry_run_tells_what_would_be_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 20)
    complaints.put_documented()
    assert load(dry_run=True) == (102, 3, 76, 0)
    assert not OvAfinia.objects.exists() and not SourceFile.objects.exists()
    assert load() == (102, 3, 76, 0)


# --- Which files --------------------------------------------------------------------------------


def test_an_unchanged_file_is_not_opened_and_its_faults_are_told_again() -> None:
    path = put(AFINIA, "a.json", [complaint(1), "x", complaint(2)])
    put(AFINIA, "a.pdf", b"%PDF")
    put(AFINIA, "b.json", b"{")
    first = loading.load(AFINIA)
    assert (first.files, first.files_read, counts(first)) == (2, 2, (2, 0, 0, 2))
    assert first.faults[0] == FileFault("a.json", 2, sentences.NO_OBJECT)
    second = loading.load(AFINIA)
    assert (second.files, second.files_read, counts(second)) == (2, 0, (0, 0, 2, 2))
    assert sorted(map(str, second.faults)) == sorted(map(str, first.faults))
    put(AFINIA, "a.json", [complaint(1), complaint(2)])
    os.utime(path, (time.time() + 5,) * 2)
    assert counts(loading.load(AFINIA)) == (0, 0, 2, 1)
    assert known("a.json").faults == []


def test_what_is_known_of_a_file_is_what_it_was_when_it_was_read() -> None:
    path = put(AFINIA, "a.json", [complaint(1), "x"])
    load()
    row, found = known("a.json"), path.stat()
    assert (row.size, row.mtime_ns, row.records) == (found.st_size, found.st_mtime_ns, 1)
    assert row.faults == [{"record": 2, "reason": sentences.NO_OBJECT}]
    load(full=True)
    assert known("a.json").loaded_at == row.loaded_at


def test_new_files_and_changed_ones_of_one_batch_are_both_known() -> None:
    put_complaint(AFINIA, 1)
    load()
    paths = [put_complaint(AFINIA, 1, estado_solicitud="Cerrado"), put_complaint(AFINIA, 2)]
    put(AFINIA, "b.json", [complaint(3), 'x"\\'])
    assert load() == (2, 1, 0, 1)
    for path in paths:
        row, found = known(path.name), path.stat()
        assert (row.size, row.mtime_ns, row.faults) == (found.st_size, found.st_mtime_ns, [])
    assert known(file_name(2)).identities == [complaint(2)["numero_radicado"]]
    assert load() == (0, 0, 3, 1)


def test_a_load_whose_files_another_process_reads_ends_with_the_same_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints.put_documented()
    first, alone = load(), rows()
    OvAfinia.objects.all().delete()
    SourceFile.objects.all().delete()
    monkeypatch.setattr(reader, "PAYS", 100)
    monkeypatch.setattr(reader, "AT_FIRST", 50)
    assert (load(), rows()) == (first, alone)


def test_asked_for_files_are_read_whatever_is_known_of_them() -> None:
    put_complaint(AFINIA, 1)
    put_complaint(AFINIA, 2)
    load()
    OvAfinia.objects.all().delete()
    assert load() == (0, 0, 2, 0)
    told = loading.load_files(AFINIA, [file_name(1), file_name(1), "none.json", "../x.json"])
    assert counts(told) == (1, 0, 0, 2)
    assert load(full=True) == (1, 0, 1, 0)


def test_a_load_that_is_stopped_is_ended_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 2)
    for number in range(9):
        put_complaint(AFINIA, number)
    told: list[tuple[int, int]] = []
    stopped = iter([False] * 6 + [True] * 99)
    first = loading.load(
        AFINIA, told=lambda done, of: told.append((done, of)), stopped=lambda: next(stopped)
    )
    assert first.inserted == OvAfinia.objects.count() == 2
    assert told == [(0, 9), (2, 9)]
    assert load() == (7, 0, 2, 0)


def test_no_folder_is_nothing_to_do() -> None:
    assert loading.load(AFINIA) == Loaded()


# --- The order of files -------------------------------------------------------------------------

extractions = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.integers(1, 2),
            "day": st.integers(0, 2),
            "state": st.sampled_from("AB"),
            "radicado": st.sampled_from(["RE1", "RE2", ""]),
            "has_time": st.booleans(),
        }
    ),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(found=extractions, order=st.randoms(use_true_random=False), shape=st.integers(0, 2))
def test_any_order_of_files_ends_with_the_same_rows(
    found: list[dict[str, Any]], order: Any, shape: int, downloads: Path, settings: Any
) -> None:
    with transaction.atomic():
        settings.DOWNLOADS_DIR = downloads / os.urandom(8).hex()
        paths = [_extracted(place, one, shape) for place, one in enumerate(found)]
        load()
        together_rows = rows()
        assert load(full=True) == (0, 0, len(paths), 0)
        OvAfinia.objects.all().delete()
        order.shuffle(paths)
        for path in paths:
            loading.load_files(AFINIA, [path.name])
        assert rows() == together_rows
        assert load(full=True) == (0, 0, len(paths), 0)
        transaction.set_rollback(True)


def _extracted(place: int, one: dict[str, Any], shape: int) -> Path:
    at = EXTRACTED + timedelta(days=one["day"])
    said = complaint(
        one["number"],
        estado_solicitud=one["state"],
        numero_radicado=one["radicado"],
        extraction_timestamp=at.isoformat() if one["has_time"] else "",
    )
    shapes = (said, [said], {"pqrs": [said]})
    return put(AFINIA, f"{place}_data_{at:%Y%m%d_%H%M%S}.json", shapes[shape])


# --- Bad input ----------------------------------------------------------------------------------


def bad_files() -> Iterator[tuple[str, str]]:
    """Every kind of file that the folder should not hold, and what is told of it."""
    folder = AFINIA.folder
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")
    yield "pipe.json", sentences.NO_REGULAR
    (folder / "folder.json").mkdir()
    yield "folder.json", sentences.NO_REGULAR
    (folder / "link.json").symlink_to("/etc/passwd")
    yield "link.json", sentences.NO_REGULAR
    with open(folder / "large.json", "wb") as file:
        file.truncate(2**30)
    yield "large.json", "larger"
    with open(os.fsencode(folder) + b"/caf\xe9.json", "wb"):
        yield r"caf\xe9.json", sentences.NAME_NOT_UTF_8
    contents = {
        "empty.json": (b"", sentences.EMPTY),
        "broken.json": (b'{"nic": ', "not JSON"),
        "nan.json": (b'{"nic": NaN}', "NaN"),
        "string.json": (b'{"nic": "' + b"x" * 10**7 + b'"}', "larger"),
        "deep.json": (b"[" * 100_000, sentences.TOO_DEEP),
        "twice.json": (b'{"nic": "1", "nic": "1"}', "twice"),
        "nul.json": (json.dumps(complaint(1, nic="\0")), "nic"),
        "surrogate.json": (json.dumps(complaint(1, nic="\ud800")), "nic"),
        "utf-16.json": (json.dumps(complaint(1)).encode("utf-16"), sentences.UTF_16),
        "latin.json": ('{"nic": "é"}'.encode("latin-1"), "UTF-8"),
        "long.json": (complaint(1, numero_radicado="9" * 101), "100"),
    }
    for name, (content, told) in contents.items():
        put(AFINIA, name, content)
        yield name, told


def test_bad_files_are_named_and_the_others_are_loaded() -> None:
    expected = dict(bad_files())
    put_complaint(AFINIA, 1)
    put_complaint(AFINIA, 2, nombre="Jose\u0301")
    put(AFINIA, "cafe\u0301.json", complaint(3, nombres_apellidos="Jose\u0301"))
    put(AFINIA, "caf\u00e9.json", complaint(4, nombres_apellidos="Jos\u00e9"))
    began = time.process_time()
    loaded = loading.load(AFINIA)
    assert time.process_time() - began < 2
    found = {one.file: one.reason for one in loaded.faults}
    assert found.keys() == expected.keys()
    assert {name for name, told in expected.items() if told not in found[name]} == set()
    assert counts(loaded) == (4, 0, 0, len(expected))
    assert OvAfinia.objects.filter(nombres_apellidos="Jos\u00e9").count() == 2
    assert counts(loading.load(AFINIA)) == (0, 0, 4, len(expected))


def test_warnings_are_told_and_the_record_is_loaded() -> None:
    put_complaint(AFINIA, 1, fecha="ayer")
    loaded = loading.load(AFINIA)
    assert counts(loaded) == (1, 0, 0, 0)
    assert [(one.file, one.record) for one in loaded.warnings] == [(file_name(1), 1)]


def test_of_very_many_faults_all_are_counted_and_the_first_are_told() -> None:
    put(AFINIA, "a.json", ["x"] * 3000)
    loaded = loading.load(AFINIA)
    assert (loaded.errors, len(loaded.faults)) == (3000, loading.LISTED)


# --- The database refuses -----------------------------------------------------------------------


def test_a_record_that_the_database_refuses_is_told_and_the_rest_is_loaded() -> None:
    """Two complaints of one hash: a radicado may be made to read like the next field."""
    put(AFINIA, "a.json", complaint(1, numero_radicado="A|", fecha="", tipo_pqr="B"))
    numbers = range(2, 40)
    crafted = complaint(1, numero_radicado="A", fecha="", tipo_pqr="|B")
    put(AFINIA, "b.json", [crafted, *(complaint(number) for number in numbers)])
    loaded = loading.load(AFINIA)
    assert counts(loaded) == (1 + len(numbers), 0, 0, 1)
    (fault,) = loaded.faults
    assert (fault.file, fault.record) == ("b.json", 1)
    assert fault.reason.startswith(sentences.NOT_WRITTEN.partition("%")[0])
    assert (known("b.json").records, len(known("b.json").faults)) == (len(numbers), 1)
    assert counts(loading.load(AFINIA)) == (0, 0, 1 + len(numbers), 1)


@pytest.mark.django_db(transaction=True)
def test_two_loads_at_once_insert_each_complaint_once() -> None:
    for number in range(60):
        put_complaint(AFINIA, number)
    both = together(2, lambda _number: loading.load(AFINIA))
    assert sum(one.inserted for one in both) == OvAfinia.objects.count() == 60
    assert sum(one.duplicates for one in both) == 60
    assert sum(one.errors for one in both) == 0


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_program_writes_meanwhile_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_complaint(AFINIA, 1)
    put_complaint(AFINIA, 2)
    loading.load_files(AFINIA, [file_name(1)])
    writer = type(loading.writer_of(AFINIA))
    monkeypatch.setattr(writer, "stored", _blind_once(writer.stored))
    assert load(full=True) == (1, 0, 1, 0)


def _blind_once(stored: Any) -> Any:
    looks: list[int] = []

    def look(self: Any, found: Any) -> Any:
        looks.append(1)
        return {} if len(looks) == 1 else stored(self, found)

    return look


def test_both_databases_are_written_in_their_own_way() -> None:
    name = type(loading.writer_of(AFINIA)).__name__
    assert name.lower().startswith(connection.vendor[:6])
