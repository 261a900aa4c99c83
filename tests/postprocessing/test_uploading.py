"""Files into a real bucket, and the registry's word on each of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.models import Event
from postprocessing import objects, sentences, uploading
from postprocessing.models import S3File, company_called
from postprocessing.objects import BucketRefused
from postprocessing.uploading import FileFault, Uploaded
from tests import s3
from tests.postprocessing import rows

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AFINIA = company_called("afinia")
ONE = "RE1_data_20251010_011520.json"
NAMES = [f"RE{number}_data_20251010_011520.json" for number in range(1, 6)]
_paths = count(1)


@pytest.fixture(scope="module")
def way() -> Iterator[s3.Faulty]:
    """To a real server; whatever is asked of it passes here."""
    with s3.running() as server, s3.faulty(server) as way:
        yield way


@pytest.fixture
def bucket(way: s3.Faulty, settings: Any, tmp_path: Path) -> s3.Faulty:
    """The way to it, with a base path of the test's own."""
    settings.STORAGES = way.server.storages()
    settings.DOWNLOADS_DIR = tmp_path
    settings.S3_BASE_PATH = f"test-{next(_paths)}"
    way.planned.clear()
    way.asked.clear()
    way.before = lambda method, path: None
    return way


def put(*names: str, text: str = "{}") -> None:
    AFINIA.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (AFINIA.folder / name).write_text(text + name)


def row(name: str = ONE) -> S3File:
    return S3File.objects.get(filename=name)


def content(name: str = ONE) -> bytes:
    """What the bucket has."""
    store = objects.store()
    found = store.head(row(name).s3_key)
    assert found
    return found.sha256.encode()


def digest(name: str = ONE) -> bytes:
    return hashlib.sha256((AFINIA.folder / name).read_bytes()).hexdigest().encode()


def sent(way: s3.Faulty) -> int:
    return [method for method, _path in way.asked].count("PUT")


def counts(done: Uploaded) -> tuple[int, int, int]:
    assert done.files == done.uploaded + done.simulated + done.pre_existing + done.errors
    return done.uploaded, done.pre_existing, done.errors


def lose(way: s3.Faulty, name: str = ONE) -> None:
    way.target.client.delete_object(Bucket="complaints", Key=row(name).s3_key)


def overwrite(way: s3.Faulty, name: str, text: bytes, sha256: str = "") -> None:
    """By another program."""
    way.target.client.put_object(
        Bucket="complaints", Key=row(name).s3_key, Body=text, Metadata={"sha256": sha256}
    )


# --- New files ----------------------------------------------------------------------------------
def test_a_new_file_is_sent_and_registered(bucket: s3.Faulty) -> None:
    put(ONE)
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    known = row()
    assert known.status == "uploaded"
    assert known.s3_key.endswith(f"/afinia/2025/10/10/RE1/{ONE}")
    assert known.s3_url == f"{bucket.server.endpoint}/complaints/{known.s3_key}"
    assert known.file_hash.encode() == digest() == content()
    assert (known.s3_bucket, known.numero_reclamo_sgc) == ("complaints", "RE1")
    assert (known.file_type, known.content_type) == ("json", "application/json")
    assert (known.upload_source, known.attempts, known.last_error) == ("bot", 1, "")
    assert known.uploaded_at
    moves = Event.objects.filter(object_id=known.pk, object_type="postprocessing.s3file")
    assert [(one.old, one.new) for one in moves] == [("pending", "uploaded")]


def test_complaint_gives_its_files_their_day_and_case(bucket: s3.Faulty) -> None:
    # 03:00 UTC is the evening before in Bogotá.
    complaint = rows.complaint(numero_reclamo_sgc="RE1", fecha="2025-03-08T03:00Z")
    put(ONE, "RE1_documento.pdf")
    uploading.upload(AFINIA)
    for name in (ONE, "RE1_documento.pdf"):
        assert f"/2025/03/07/RE1/{name}" in row(name).s3_key
        assert row(name).case_id == complaint.case_id
    assert row("RE1_documento.pdf").content_type == "application/pdf"
    assert row().metadata == {"case-id": str(complaint.case_id), "sha256": digest().decode()}


def test_a_file_that_no_complaint_dates_has_the_day_it_changed(bucket: s3.Faulty) -> None:
    put("notes.txt")
    os.utime(AFINIA.folder / "notes.txt", (1_700_000_000, 1_700_000_000))
    uploading.upload(AFINIA)
    assert "/afinia/2023/11/14/_/notes.txt" in row("notes.txt").s3_key


def test_many_files_in_several_batches(bucket: s3.Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "BATCH", 7)
    names = [f"RE{number}_data_20251010_011520.json" for number in range(30)]
    put(*names)
    told: list[int] = []
    done = uploading.upload(AFINIA, told=lambda count, of: told.append(count))
    assert counts(done) == (30, 0, 0)
    assert told == [7, 14, 21, 28, 30]
    assert S3File.objects.filter(status="uploaded").count() == 30


def test_names_with_accents_in_both_forms_are_two_objects(bucket: s3.Faulty) -> None:
    put("RE1_café.pdf", "RE1_cafe\u0301.pdf")
    assert counts(uploading.upload(AFINIA)) == (2, 0, 0)
    assert row("RE1_café.pdf").s3_key != row("RE1_cafe\u0301.pdf").s3_key
    assert content("RE1_cafe\u0301.pdf") == digest("RE1_cafe\u0301.pdf")


def test_a_large_file_is_sent_from_the_disk(bucket: s3.Faulty) -> None:
    put("RE1_video.mp4", text="x" * (objects.SMALL + 1))
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    assert content("RE1_video.mp4") == digest("RE1_video.mp4")


# --- Known files --------------------------------------------------------------------------------
def test_a_second_upload_asks_and_sends_nothing(bucket: s3.Faulty) -> None:
    put(*NAMES)
    uploading.upload(AFINIA)
    bucket.asked.clear()
    assert counts(uploading.upload(AFINIA)) == (0, 5, 0)
    assert bucket.asked == []


def test_a_file_that_was_only_touched_is_not_sent(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    os.utime(AFINIA.folder / ONE, (1_700_000_000, 1_700_000_000))
    bucket.asked.clear()
    assert counts(uploading.upload(AFINIA)) == (0, 1, 0)
    assert bucket.asked == []
    assert row().mtime_ns == 1_700_000_000 * 10**9


def test_a_file_that_changed_is_sent_to_the_same_key(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    key = row().s3_key
    rows.complaint(numero_reclamo_sgc="RE1", fecha="2024-01-01T12:00Z")
    put(ONE, text="changed")
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    assert (row().s3_key, row().attempts, row().status) == (key, 2, "uploaded")
    assert content() == digest() == row().file_hash.encode()


def test_full_sends_what_is_gone_from_the_bucket_or_differs(bucket: s3.Faulty) -> None:
    put(*NAMES)
    uploading.upload(AFINIA)
    lose(bucket, NAMES[1])
    overwrite(bucket, NAMES[2], b"something else")
    overwrite(bucket, NAMES[3], b"half", sha256=row(NAMES[3]).file_hash)
    assert counts(uploading.upload(AFINIA)) == (0, 5, 0)
    assert counts(uploading.upload(AFINIA, full=True)) == (3, 2, 0)
    assert counts(uploading.upload(AFINIA, full=True)) == (0, 5, 0)
    assert [row(name).attempts for name in NAMES] == [1, 2, 2, 2, 1]


def test_what_is_of_another_bucket_is_sent_to_this_one(bucket: s3.Faulty, settings: Any) -> None:
    put(*NAMES)
    uploading.upload(AFINIA)
    bucket.target.client.create_bucket(Bucket="other")
    settings.STORAGES = bucket.server.storages(bucket_name="other")
    assert counts(uploading.upload(AFINIA)) == (5, 0, 0)
    assert {one.s3_bucket for one in S3File.objects.all()} == {"other"}
    assert "/other/" in row().s3_url


# --- In the bucket, and not in the registry -----------------------------------------------------
def test_what_is_in_the_bucket_already_is_registered_as_such(bucket: s3.Faulty) -> None:
    put(*NAMES)
    uploading.upload(AFINIA)
    S3File.objects.all().delete()
    bucket.asked.clear()
    assert counts(uploading.upload(AFINIA)) == (0, 5, 0)
    assert (row().status, row().upload_source) == ("pre_existing", "pre_existing")
    assert sent(bucket) == 0
    lists = [path for method, path in bucket.asked if method == "GET"]
    assert len(lists) == 1


def test_without_our_hash_it_is_known_by_its_md5(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    overwrite(bucket, ONE, (AFINIA.folder / ONE).read_bytes())
    S3File.objects.all().delete()
    assert counts(uploading.upload(AFINIA)) == (0, 1, 0)


def test_other_content_under_its_key_is_overwritten_with_a_warning(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    S3File.objects.all().delete()
    put(ONE, text="changed")
    done = uploading.upload(AFINIA)
    assert counts(done) == (1, 0, 0)
    assert done.warnings == [FileFault(ONE, 0, sentences.OVERWRITTEN)]
    assert content() == digest()


# --- What a crash leaves ------------------------------------------------------------------------
def crashed(name: str = ONE) -> None:
    S3File.objects.filter(filename=name).update(**{"status": "pending"})


def test_a_row_left_pending_whose_object_is_there_is_settled(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    crashed()
    bucket.asked.clear()
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    assert sent(bucket) == 0
    assert row().status == "uploaded"
    assert Event.objects.first().reason == sentences.SETTLED  # type: ignore[union-attr]


def test_a_row_left_pending_whose_object_is_not_there_is_sent(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    lose(bucket)
    crashed()
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    assert (row().status, row().attempts) == ("uploaded", 2)
    assert content() == digest()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_row_left_pending_whose_file_is_gone_is_settled_too(
    bucket: s3.Faulty, is_there: bool
) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    if not is_there:
        lose(bucket)
    crashed()
    (AFINIA.folder / ONE).unlink()
    done = uploading.upload(AFINIA)
    assert row().status == ("uploaded" if is_there else "error")
    assert done.errors == (not is_there)


# --- What goes wrong ----------------------------------------------------------------------------
def test_a_busy_server_is_asked_again(bucket: s3.Faulty) -> None:
    put(*NAMES)
    bucket.before = _once_for_each_put(bucket, s3.Refusal(503, "SlowDown"))
    assert counts(uploading.upload(AFINIA)) == (5, 0, 0)
    assert sent(bucket) == 10


def test_an_object_that_is_refused_is_an_error_and_the_others_go_on(bucket: s3.Faulty) -> None:
    put(*NAMES)
    bucket.before = lambda method, path: (
        bucket.plan(s3.Refusal(400, "InvalidArgument"))
        if f"PUT {ONE}" in f"{method} {path[-len(ONE) :]}"
        else None
    )
    done = uploading.upload(AFINIA)
    assert counts(done) == (4, 0, 1)
    assert row().status == "error"
    assert "InvalidArgument" in row().last_error
    assert [(one.file, one.reason) for one in done.faults] == [(ONE, row().last_error)]
    bucket.before = lambda method, path: None
    assert counts(uploading.upload(AFINIA)) == (1, 4, 0)
    assert (row().status, row().last_error, row().attempts) == ("uploaded", "", 2)


def test_refused_credentials_end_it_at_once(bucket: s3.Faulty, settings: Any) -> None:
    settings.STORAGES = bucket.server.storages(secret_key="wrong")
    put(*NAMES)
    assert "SignatureDoesNotMatch" in uploading.upload(AFINIA).error
    assert len(bucket.asked) == 1
    assert not S3File.objects.exists()
    with pytest.raises(BucketRefused, match="SignatureDoesNotMatch"):
        uploading.upload_files(AFINIA, NAMES)


def test_a_refusal_in_the_middle_leaves_nothing_pending_and_what_was_done_counted(
    bucket: s3.Faulty, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(uploading, "BATCH", 10)
    settings.PQR_UPLOADS_IN_FLIGHT = 2
    put(*(f"RE{number}_data_20251010_011520.json" for number in range(40)))
    bucket.before = lambda method, path: (
        bucket.plan(s3.Refusal(403, "AccessDenied")) if sent(bucket) > 15 else None
    )
    done = uploading.upload(AFINIA)
    assert "AccessDenied" in done.error
    assert done.uploaded == S3File.objects.filter(status="uploaded").count() > 0
    assert sent(bucket) <= 18
    statuses = S3File.objects.values_list("status", flat=True)
    assert set(statuses) == {"uploaded", "error"}
    bucket.before = lambda method, path: None
    assert uploading.upload(AFINIA).errors == 0
    assert S3File.objects.filter(status="uploaded").count() == 40


def test_a_server_that_is_down_ends_it(bucket: s3.Faulty, settings: Any) -> None:
    settings.STORAGES = bucket.server.storages(endpoint_url="http://127.0.0.1:9")
    put(*NAMES)
    done = uploading.upload(AFINIA)
    assert "127.0.0.1:9" in done.error
    assert (done.uploaded, done.errors) == (0, 0)


def test_a_file_that_changes_between_hash_and_sending_is_an_error(bucket: s3.Faulty) -> None:
    put(ONE)
    # The day is listed after the file was hashed.
    bucket.before = lambda method, path: put(ONE, text="new") if method == "GET" else None
    done = uploading.upload(AFINIA)
    assert done.faults == [FileFault(ONE, 0, sentences.CHANGES)]
    assert (row().status, row().last_error) == ("error", sentences.CHANGES)
    bucket.before = lambda method, path: None
    assert counts(uploading.upload(AFINIA)) == (1, 0, 0)
    assert content() == digest()


def test_what_is_no_regular_file_is_told_and_stops_nothing(bucket: s3.Faulty) -> None:
    put(ONE)
    (AFINIA.folder / "link.json").symlink_to("/etc/passwd")
    (AFINIA.folder / "folder.json").mkdir()
    os.mkfifo(AFINIA.folder / "pipe.json")
    done = uploading.upload(AFINIA)
    assert counts(done) == (1, 0, 3)
    assert {one.file for one in done.faults} == {"link.json", "folder.json", "pipe.json"}
    assert {one.reason for one in done.faults} == {sentences.NO_REGULAR}


# --- Other ways to call it ----------------------------------------------------------------------
def test_a_dry_run_writes_and_sends_nothing(bucket: s3.Faulty) -> None:
    put(*NAMES)
    uploading.upload_files(AFINIA, NAMES[:2])
    bucket.asked.clear()
    assert counts(uploading.upload(AFINIA, dry_run=True)) == (3, 2, 0)
    assert sent(bucket) == 0
    assert S3File.objects.count() == 2


def test_it_stops_when_it_is_told_to(bucket: s3.Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "BATCH", 2)
    put(*NAMES)
    told: list[int] = []
    done = uploading.upload(
        AFINIA, told=lambda count, of: told.append(count), stopped=lambda: bool(told)
    )
    assert counts(done) == (2, 0, 0)
    assert S3File.objects.filter(status="uploaded").count() == 2
    assert counts(uploading.upload(AFINIA)) == (3, 2, 0)


def test_it_stops_in_the_midst_of_a_batch(
    bucket: s3.Faulty, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(uploading, "ASK_EVERY", 0.01)
    settings.PQR_UPLOADS_IN_FLIGHT = 1
    put(*(f"RE{number}_data_20251010_011520.json" for number in range(40)))
    done = uploading.upload(AFINIA, stopped=lambda: sent(bucket) > 2)
    assert 3 <= done.uploaded < 40
    statuses = list(S3File.objects.values_list("status", flat=True))
    assert (statuses.count("uploaded"), statuses.count("pending")) == (
        *(done.uploaded, 40 - done.uploaded),
    )
    assert counts(uploading.upload(AFINIA)) == (40 - done.uploaded, done.uploaded, 0)


def test_files_that_somebody_names_are_sent_whatever_is_known(bucket: s3.Faulty) -> None:
    put(*NAMES)
    uploading.upload(AFINIA)
    done = uploading.upload_files(AFINIA, [ONE, "nothing.json", "../../etc/passwd"])
    assert counts(done) == (1, 0, 2)
    assert (row().upload_source, row().attempts) == ("manual", 2)
    assert {one.file for one in done.faults} == {"nothing.json", "../../etc/passwd"}


def test_files_that_are_there_are_registered_and_no_other(bucket: s3.Faulty) -> None:
    put(ONE)
    uploading.upload(AFINIA)
    S3File.objects.all().delete()
    put(NAMES[1])
    bucket.asked.clear()
    done = uploading.register_files(AFINIA, NAMES[:2])
    assert counts(done) == (0, 1, 1)
    assert done.faults == [FileFault(NAMES[1], 0, sentences.NOT_IN_BUCKET)]
    assert sent(bucket) == 0
    assert [one.filename for one in S3File.objects.all()] == [ONE]


def test_without_credentials_it_is_simulated_and_made_good_later(
    bucket: s3.Faulty, settings: Any, tmp_path: Path
) -> None:
    real = settings.STORAGES
    local = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "objects"},
    }
    settings.STORAGES = {**real, "pqr": local}
    put(*NAMES)
    done = uploading.upload(AFINIA)
    assert (done.is_simulated, done.simulated, done.uploaded) == (True, 5, 0)
    assert (row().status, row().s3_bucket, row().s3_url) == ("simulated", "", "")
    assert (tmp_path / "objects" / row().s3_key).exists()
    assert counts(uploading.upload(AFINIA)) == (0, 5, 0)
    settings.STORAGES = real
    assert counts(uploading.upload(AFINIA)) == (5, 0, 0)
    assert (row().status, row().s3_bucket) == ("uploaded", "complaints")


def _once_for_each_put(way: s3.Faulty, refusal: s3.Refusal) -> Any:
    met: set[str] = set()

    def before(method: str, path: str) -> None:
        if method == "PUT" and path not in met:
            met.add(path)
            way.plan(refusal)

    return before
