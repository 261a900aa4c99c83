"""Files, rows and objects compared, each kind of difference made and mended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from postprocessing import loading, repairing, uploading, verification
from postprocessing.models import Difference, S3File, SourceFile, Verification, company_called
from postprocessing.models import OvAfinia as Afinia
from tests import s3
from tests.postprocessing.complaints import EXTRACTED, STATES, file_name, put, put_complaint

pytestmark = [pytest.mark.django_db, pytest.mark.database]
AFINIA = company_called("afinia")
PDF = "00000001_documento.pdf"
_paths = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.running() as server:
        yield server


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DOWNLOADS_DIR = tmp_path
    local = {**settings.STORAGES["pqr"], "OPTIONS": {"location": tmp_path / "objects"}}
    settings.STORAGES = {**settings.STORAGES, "pqr": local}
    for number in (1, 2, 3):
        put_complaint(AFINIA, number)
    put(AFINIA, PDF, "%PDF-1.4 invented")
    return AFINIA.folder


@pytest.fixture
def bucket(server: s3.Server, settings: Any, folder: Path) -> s3.Server:
    """With all files loaded and uploaded."""
    settings.STORAGES = server.storages()
    settings.S3_BASE_PATH = f"verified-{next(_paths)}"
    loading.load(AFINIA)
    uploading.upload(AFINIA)
    return server


def found() -> list[tuple[str, str]]:
    row = verification.verify(AFINIA)
    assert row.error == ""
    kinds = row.differences.values_list("kind", "filename")
    assert sum(row.found.values()) == len(kinds)
    return sorted(kinds)


def mend() -> int:
    last = Verification.objects.filter(empresa="afinia").first()
    assert last
    return repairing.repair(last.differences.all(), "mended by a test")


def key_of(name: str) -> str:
    return S3File.objects.get(filename=name).s3_key


def lose(server: s3.Server, name: str) -> None:
    server.client.delete_object(Bucket=server.bucket, Key=key_of(name))


def test_where_nothing_is_missing_all_is_covered(bucket: s3.Server) -> None:
    row = verification.verify(AFINIA, deep=True)
    assert (row.found, row.error) == ({}, "")
    assert (row.files, row.json_files, row.files_loaded, row.rows) == (4, 3, 3, 3)
    assert (row.objects_there, row.objects_listed) == (4, 4)
    assert (row.coverage_database, row.coverage_s3) == (100, 100)


def test_what_was_never_processed_is_loaded_and_uploaded(bucket: s3.Server) -> None:
    put_complaint(AFINIA, 4)
    name = file_name(4)
    assert found() == [("not_loaded", name), ("not_uploaded", name)]
    assert mend() == 2
    assert found() == []
    assert Afinia.objects.filter(numero_reclamo_sgc="00000004").exists()


def test_rows_that_are_gone_are_loaded_again(bucket: s3.Server) -> None:
    Afinia.objects.filter(numero_reclamo_sgc="00000002").delete()
    assert found() == [("no_row", file_name(2))]
    assert mend() == 1
    assert found() == []


def test_a_file_that_says_something_new_is_loaded_again(bucket: s3.Server) -> None:
    put_complaint(AFINIA, 1, estado_solicitud=STATES[2], comentarios="resuelto")
    assert ("changed", file_name(1)) in found()
    mend()
    assert found() == []
    assert Afinia.objects.get(numero_reclamo_sgc="00000001").estado_solicitud == STATES[2]


def test_a_row_that_somebody_edited_is_found(bucket: s3.Server) -> None:
    Afinia.objects.filter(numero_reclamo_sgc="00000003").update(content_hash="0" * 64)
    assert found() == [("changed", file_name(3))]


def test_rows_whose_file_is_gone_are_for_a_person(bucket: s3.Server, folder: Path) -> None:
    (folder / file_name(3)).unlink()
    assert found() == [("no_file", file_name(3))]  # its object is still there
    assert mend() == 0


def test_a_refused_file_is_named_with_its_reason(bucket: s3.Server) -> None:
    put(AFINIA, "broken.json", "{")
    assert [kind for kind, name in found() if name == "broken.json"] == ["not_uploaded", "refused"]
    assert "not JSON" in Difference.objects.filter(kind="refused").latest("pk").detail
    mend()
    assert found() == [("refused", "broken.json")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_file_is_named_and_never_waited_for(bucket: s3.Server, folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")
    (folder / "link.pdf").symlink_to("/etc/hostname")
    assert found() == [("unreadable", "link.pdf"), ("unreadable", "pipe.json")]


def test_the_bucket_is_believed_and_not_the_registry(bucket: s3.Server) -> None:
    lose(bucket, PDF)
    assert S3File.objects.get(filename=PDF).status == "uploaded"
    assert found() == [("object_gone", PDF)]
    row = Verification.objects.first()
    assert row and row.coverage_s3 == 75
    assert mend() == 1
    assert found() == []


def test_an_object_that_was_overwritten_is_uploaded_again(bucket: s3.Server) -> None:
    bucket.client.put_object(Bucket=bucket.bucket, Key=key_of(PDF), Body=b"short")
    assert found() == [("object_differs", PDF)]
    assert mend() == 1
    assert found() == []


def test_a_deep_look_finds_other_content_of_the_same_size(bucket: s3.Server, folder: Path) -> None:
    size = (folder / PDF).stat().st_size
    bucket.client.put_object(Bucket=bucket.bucket, Key=key_of(PDF), Body=b"x" * size)
    assert found() == []
    row = verification.verify(AFINIA, deep=True)
    assert row.found == {"object_differs": 1}


def test_an_object_that_nobody_registered_is_registered(bucket: s3.Server) -> None:
    S3File.objects.filter(filename=PDF).delete()
    assert found() == [("not_registered", PDF)]
    assert mend() == 1
    assert found() == []
    assert S3File.objects.get(filename=PDF).status == "pre_existing"


def test_an_upload_that_was_cut_short_is_settled(bucket: s3.Server) -> None:
    S3File.objects.filter(filename=PDF).update(status="pending")
    assert found() == [("not_registered", PDF)]
    mend()
    assert found() == []


def test_an_object_that_nobody_knows_is_named(bucket: s3.Server) -> None:
    key = key_of(PDF).replace(PDF, "stray.txt")
    bucket.client.put_object(Bucket=bucket.bucket, Key=key, Body=b"whose?")
    row = verification.verify(AFINIA)
    assert row.found == {"stray_object": 1}
    assert row.differences.get().s3_key == key


def test_a_bucket_that_cannot_be_listed_is_told_and_the_rows_are_compared(
    folder: Path, server: s3.Server, settings: Any
) -> None:
    settings.STORAGES = server.storages(secret_key="wrong")
    row = verification.verify(AFINIA)
    assert row.error
    assert "wrong" not in row.error
    assert row.found == {"not_loaded": 3}
    assert row.coverage_s3 is None


def test_without_a_bucket_rows_alone_are_compared(folder: Path) -> None:
    loading.load(AFINIA)
    uploading.upload(AFINIA)
    row = verification.verify(AFINIA)
    assert (row.found, row.is_simulated) == ({}, True)
    assert (row.coverage_database, row.coverage_s3) == (100, None)


def test_a_repair_that_fails_says_why_and_keeps_what_went_well(bucket: s3.Server) -> None:
    put_complaint(AFINIA, 4)
    put_complaint(AFINIA, 5)
    found()
    (AFINIA.folder / file_name(5)).unlink()
    with pytest.raises(Refused, match=file_name(5)):
        mend()
    assert SourceFile.objects.filter(filename=file_name(4)).exists()
    left = Difference.objects.filter(repaired_at=None).values_list("filename", flat=True)
    assert set(left) == {file_name(5)}
    assert Event.objects.filter(new="repaired").count() == 2


def test_an_older_extraction_of_what_is_there_is_no_difference(bucket: s3.Server) -> None:
    put_complaint(AFINIA, 1, EXTRACTED - timedelta(days=1), estado_solicitud="antes")
    assert found() == [("not_uploaded", file_name(1, EXTRACTED - timedelta(days=1)))]
