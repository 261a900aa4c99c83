"""The commands of the post-processing, over real files, and what they leave and print."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from orchestrator_site.models import Lease
from postprocessing import tasks
from postprocessing.management.commands import postprocess
from postprocessing.models import (
    OvAfinia,
    OvAire,
    PostProcessingRun,
    S3File,
    Verification,
    company_called,
)
from tests import s3
from tests.postprocessing import rows
from tests.postprocessing.complaints import put, put_complaint

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    """Files of this test alone; objects are kept beside them."""
    settings.DOWNLOADS_DIR = tmp_path / "downloads"
    backend = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "objects"},
    }
    settings.STORAGES = {**settings.STORAGES, "pqr": backend}


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.running() as running:
        yield running


@pytest.fixture
def bucket(server: s3.Server, settings: Any, tmp_path: Path) -> None:
    settings.STORAGES = server.storages()
    settings.S3_BASE_PATH = f"test-{tmp_path.name}"


def call(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def refused(*args: str) -> tuple[str, str]:
    """What is printed, and why the exit status is 1."""
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command(*args, stdout=out)
    return out.getvalue(), str(error.value)


# --- postprocess ----------------------------------------------------------------------------------


def test_all_companies_are_processed_and_counted() -> None:
    put_complaint("afinia", 1)
    put_complaint("afinia", 2)
    put_complaint("aire", 3)
    told = json.loads(call("postprocess", "--json"))
    assert (told["success"], told["db_inserted"], told["s3_simulated"]) == (True, 3, 3)
    assert told["companies"]["aire"]["db_inserted"] == 1
    assert (OvAfinia.objects.count(), OvAire.objects.count()) == (2, 1)
    again = json.loads(call("postprocess", "--json"))
    assert (again["db_inserted"], again["db_duplicates"], again["files_read"]) == (0, 3, 0)
    assert PostProcessingRun.objects.first().runner.endswith("postprocess")


def test_only_what_is_asked_for_is_done() -> None:
    put_complaint("afinia", 1)
    put_complaint("aire", 2)
    call("postprocess", "aire", "aire", "--database-only")
    assert (OvAfinia.objects.count(), OvAire.objects.count()) == (0, 1)
    assert not S3File.objects.exists()
    assert PostProcessingRun.objects.get().database_only


def test_full_reads_every_file_again() -> None:
    put_complaint("afinia", 1)
    call("postprocess", "afinia")
    told = json.loads(call("postprocess", "afinia", "--full", "--json"))
    assert (told["files_read"], told["db_duplicates"], told["db_inserted"]) == (1, 1, 0)


def test_a_dry_run_counts_and_writes_nothing() -> None:
    put_complaint("afinia", 1)
    told = call("postprocess", "afinia", "--dry-run")
    assert "Dry run, nothing written" in told
    assert [line.split("│")[2].strip() for line in told.splitlines() if "db_inserted" in line] == [
        "1"
    ]
    assert not (OvAfinia.objects.exists() or PostProcessingRun.objects.exists())


def test_a_file_that_is_refused_is_named_with_its_reason_and_stops_nothing() -> None:
    put_complaint("afinia", 1)
    put("afinia", "2_data_20260301_080000.json", '{"a": NaN}')
    out, why = refused("postprocess", "afinia", "--database-only")
    assert "2_data_20260301_080000.json" in out and "NaN is not JSON" in out
    assert why == "1 was refused."
    assert OvAfinia.objects.count() == 1


def test_what_is_named_as_data_and_is_no_file_is_refused_once() -> None:
    put_complaint("afinia", 1)
    folder = company_called("afinia").folder
    (folder / "2_data.json").symlink_to(folder / "there.json")
    (folder / "3_data.json").mkdir()
    os.mkfifo(folder / "4_data.json")
    (folder / "5_carta.pdf").symlink_to(folder / "there.pdf")
    out, why = refused("postprocess", "afinia")
    assert [out.count(name) for name in ("2_data", "3_data", "4_data", "5_carta")] == [1, 1, 1, 1]
    assert why == "4 were refused."
    run = PostProcessingRun.objects.get()
    assert (run.files, run.db_errors, run.s3_errors, len(run.faults)) == (5, 3, 1, 4)


def test_an_upload_that_is_refused_halfway_tells_what_was_done(
    server: s3.Server, bucket: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_complaint("afinia", 1)
    call("postprocess", "afinia")
    put_complaint("afinia", 2)
    settings.STORAGES = server.storages(secret_key="wrong")
    out, why = refused("postprocess", "afinia", "--json")
    told = json.loads(out)
    assert (told["db_inserted"], told["s3_pre_existing"]) == (1, 1)
    assert "SignatureDoesNotMatch" in why
    row = PostProcessingRun.objects.first()
    assert row and (row.status, row.s3_pre_existing) == ("failed", 1)


def test_without_a_bucket_it_is_told_what_the_counts_are() -> None:
    put_complaint("afinia", 1)
    assert "Simulated: AWS_ACCESS_KEY_ID is not set." in call("postprocess", "afinia")
    assert "was simulated before" in call("postprocess", "afinia")
    assert "Simulated" not in call("postprocess", "afinia", "--database-only")


def test_a_folder_of_no_company_is_told_and_is_no_failure() -> None:
    put_complaint("afinia", 1)
    replace(company_called("afinia"), name="afinai").folder.mkdir(parents=True)
    for command in ("postprocess", "verifyfiles", "postprocessingreport"):
        assert "no company is called afinai" in call(command), command
    assert json.loads(call("postprocess", "--json"))["undeclared"] == ["afinai"]
    assert json.loads(call("postprocessingreport", "--json"))["undeclared"] == ["afinai"]


def test_without_a_terminal_progress_is_told_by_lines_and_not_by_each_file() -> None:
    told: list[str] = []
    now = postprocess.lines(told.append, every=0)
    now("afinia: extracting", 3, 40)
    now("afinia: uploading", 5)
    assert told == ["afinia: extracting: 3 of 40", "afinia: uploading: 5"]
    seldom = postprocess.lines(told.append, every=60)
    seldom("afinia: loading", 1, 2)
    assert len(told) == 2


def test_of_many_faults_the_first_are_listed() -> None:
    for number in range(53):
        put("afinia", f"{number}_data.json", "")
    out, why = refused("postprocess", "afinia", "--database-only")
    assert out.count("_data.json") == 50
    assert "... and 3 more." in out
    assert why == "53 were refused."


def test_warnings_are_counted_and_are_no_failure() -> None:
    put_complaint("afinia", 1, fecha="yesterday")
    assert "1 warning." in call("postprocess", "afinia", "--database-only")


def test_a_company_that_is_processed_already_is_told_and_the_others_go_on() -> None:
    put_complaint("aire", 1)
    Lease.acquire("postprocessing afinia", "another-host:1", timedelta(minutes=1))
    out, why = refused("postprocess", "--json")
    assert "Afinia is being processed already, by another-host:1." in why
    assert json.loads(out)["companies"]["aire"]["success"]


@pytest.mark.parametrize("command", ["postprocess", "verifyfiles"])
def test_a_company_that_is_not_there_is_told_with_those_that_are(command: str) -> None:
    _out, why = refused(command, "afinia", "other")
    assert why == "There is no company “other”. There are: afinia, aire."
    assert not PostProcessingRun.objects.exists()


def test_ctrl_c_ends_it_after_the_batch_and_the_next_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def interrupting() -> Iterator[Any]:
        yield lambda *counts: signal.raise_signal(signal.SIGINT)

    put_complaint("afinia", 1)
    monkeypatch.setattr(postprocess, "progress", interrupting)
    _out, why = refused("postprocess")
    assert "afinia: ended early; the next run goes on" in why
    assert "aire: not begun: stopped before" in why
    monkeypatch.undo()
    assert not S3File.objects.exists()
    call("postprocess")
    assert (OvAfinia.objects.count(), S3File.objects.count()) == (1, 1)


# --- verifyfiles ----------------------------------------------------------------------------------


def test_differences_are_listed_by_kind_and_are_a_failure() -> None:
    put_complaint("afinia", 1)
    out, why = refused("verifyfiles", "afinia")
    assert "afinia, not_loaded: 1" in out and "00000001_data_20251010_011520.json" in out
    assert "0 %" in out and why == "1 difference."
    out, _why = refused("verifyfiles", "afinia", "--json")
    told = json.loads(out)["afinia"]
    assert (told["found"], told["coverage_database"]) == ({"not_loaded": 1}, 0)
    assert told["differences"][0]["kind"] == "not_loaded"
    assert told["is_simulated"] is True and told["coverage_s3"] is None


def test_where_all_is_in_its_place_nothing_is_wrong() -> None:
    put_complaint("afinia", 1)
    call("postprocess")
    assert "100 %" in call("verifyfiles")
    assert Verification.objects.count() == 2


def test_repair_loads_and_uploads_what_is_missing_and_looks_again(bucket: None) -> None:
    put_complaint("afinia", 1)
    put("afinia", "00000001_carta.pdf", b"%PDF")
    refused("verifyfiles", "afinia")
    told = json.loads(call("verifyfiles", "afinia", "--repair", "--json"))["afinia"]
    assert (told["found"], told["coverage_database"], told["coverage_s3"]) == ({}, 100, 100)
    assert OvAfinia.objects.count() == 1
    assert set(S3File.objects.values_list("status", flat=True)) == {"uploaded"}


def test_what_no_machine_can_mend_stays() -> None:
    put("afinia", "1_data.json", "")
    out, why = refused("verifyfiles", "afinia", "--repair")
    assert "afinia, refused: 1" in out and why == "1 difference."


# --- postprocessingreport -------------------------------------------------------------------------


def test_the_report_is_told_without_a_row_and_with_them() -> None:
    assert "Simulated: AWS_ACCESS_KEY_ID is not set." in call("postprocessingreport")
    rows.complaint()
    rows.run(status="failed", error="the disk is full")
    rows.verification(files_loaded=97, differing={"not_loaded": 3})
    told = call("postprocessingreport")
    assert "the disk is full" in told and "97 %" in told
    report = json.loads(call("postprocessingreport", "--json"))
    assert report["companies"]["afinia"]["last_verification"]["found"] == {"not_loaded": 3}


# --- What the cluster calls -----------------------------------------------------------------------


def test_the_cluster_uploads_a_file_that_somebody_asked_for() -> None:
    put_complaint("afinia", 1)
    call("postprocess", "afinia")
    row = S3File.objects.get()
    row.move("pending", "a test")
    assert tasks.upload(row.pk)["simulated"] == 1
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("simulated", 2)


def test_the_cluster_repairs_a_verification_and_looks_again() -> None:
    put_complaint("afinia", 1)
    tasks.verify("afinia")
    seen = Verification.objects.get()
    tasks.repair(seen.pk, "a test")
    assert OvAfinia.objects.count() == 1
    assert Verification.objects.first().found == {}
    assert seen.differences.get().repaired_at
