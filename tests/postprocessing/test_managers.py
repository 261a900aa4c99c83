"""A company's manager: from the page of its site to the row, and the answer as it is documented."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orchestrator_site.demo.world import complaints
from orchestrator_site.models import Lease
from postprocessing.managers import AfiniaManager, AireManager, Manager, manager_called
from postprocessing.models import OvAire, UnknownCompany, company_called
from tests.postprocessing.offices import office
from tests.world import world_files, world_url

__all__ = ["office", "world_files", "world_url"]

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ANSWER = {"success", "duration", "service", "files_downloaded", "pqr_processed", "post_processing"}
PROCESSED = {"success", "db_inserted", "db_updated", "db_duplicates", "db_errors", "s3_uploaded"}
PROCESSED |= {"s3_pre_existing", "s3_errors", "processing_time"}
RECORD = {"numero_radicado": "RE1", "nic": "7", "numero_reclamo_sgc": "77"}


@pytest.fixture
def downloads(tmp_path: Path, settings: Any) -> Path:
    """Aire's folder, with one complaint in it."""
    settings.DOWNLOADS_DIR = tmp_path / "downloads"
    settings.STORAGES = settings.STORAGES | {
        "pqr": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "objects"},
        }
    }
    folder = company_called("aire").folder
    folder.mkdir(parents=True)
    (folder / "77_data_20250101_000000.json").write_text(json.dumps(RECORD))
    return folder


@pytest.fixture
def nowhere(downloads: Path, settings: Any) -> Path:
    """And no site to extract from."""
    settings.PQR_SITES = {}
    return downloads


@pytest.mark.once
@pytest.mark.chromium
def test_a_complaint_goes_from_its_page_to_its_row(office: str, downloads: Path) -> None:
    (one,) = complaints.keep("aire", 1)
    told: list[tuple[str, int, int | None]] = []
    answer = AireManager().run(told=lambda *heard: told.append(heard))
    found = answer.as_dict()
    assert set(found) == ANSWER | {"errors"}
    assert set(found["post_processing"]) >= PROCESSED
    assert (answer.success, answer.service, answer.errors) == (True, "aire", [])
    assert (answer.files_downloaded, answer.pqr_processed) == (3, 1)
    assert answer.post_processing["db_inserted"] == 2
    assert answer.post_processing["s3_simulated"] == 4
    assert answer.duration >= answer.post_processing["processing_time"] > 0
    row = OvAire.objects.get(numero_reclamo_sgc=one.sgc)
    assert row.numero_radicado == one.fields["numero_radicado"]
    assert row.cuerpo_reclamacion == one.fields["cuerpo_reclamacion"]
    assert f"{row.fecha:%Y/%m/%d %H:%M}" != one.fields["fecha"]  # of Bogotá: it is stored in UTC
    assert ("extracting", 1, 1) in told


def test_what_is_there_is_processed_where_nothing_can_be_extracted(nowhere: Path) -> None:
    answer = AireManager().run(database_only=True)
    assert not answer.success
    assert answer.errors == ["Air-e has no site to extract from: set PQR_AIRE_URL."]
    assert (answer.files_downloaded, answer.pqr_processed) == (0, 0)
    assert answer.post_processing["success"] and answer.post_processing["db_inserted"] == 1
    assert OvAire.objects.get().nic == "7"


def test_an_extractor_that_breaks_is_an_error_and_the_rest_goes_on(nowhere: Path) -> None:
    class Broken(Manager):
        def extractor(self) -> Any:
            raise ZeroDivisionError("password=hunter2-hunter2")

    answer = Broken("aire").run(database_only=True)
    assert answer.errors == ["ZeroDivisionError: password=[REDACTED]"]
    assert answer.post_processing["db_inserted"] == 1


def test_a_company_that_is_being_processed_is_told_as_such(nowhere: Path) -> None:
    assert Lease.acquire("postprocessing aire", "another", timedelta(seconds=60))
    answer = AireManager().run(database_only=True)
    assert not answer.post_processing["success"]
    assert "another" in answer.post_processing["error"]


def test_every_company_has_a_manager() -> None:
    assert isinstance(manager_called("afinia"), AfiniaManager)
    assert isinstance(manager_called("aire"), AireManager)
    with pytest.raises(UnknownCompany, match="afinia, aire"):
        manager_called("electra")


def test_the_command_tells_what_was_done_and_fails_where_not_all_was(nowhere: Path) -> None:
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="Not all went well"):
        call_command("extract", "aire", "--json", "--database-only", stdout=out, stderr=err)
    (answer,) = json.loads(out.getvalue())
    assert answer["service"] == "aire" and answer["post_processing"]["db_inserted"] == 1
    with pytest.raises(CommandError):
        call_command("extract", "aire", stdout=out, stderr=err)
    assert "aire: Air-e has no site" in out.getvalue()
    with pytest.raises(CommandError, match="electra"):
        call_command("extract", "electra")
