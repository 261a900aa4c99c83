"""The files that go with an appeal: had before the claim, or the case is left alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from brain import portal
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.ledger import SiteReport
from brain.models import Claim, Organismo, RecursosExp
from orchestrator_site.demo.world import faults
from queues.models import TramiteTask
from tests.factories import OrganismoFactory
from tests.world import world_files, world_url

__all__ = ["world_files", "world_url"]

AddCase = Callable[..., RecursosExp]
FOLDER = {"name": "poder.pdf", "source": "folder", "path": "{numclient}/{expediente}.pdf"}
PDF = {"name": "recurso.pdf", "source": "intranet", "path": "/servicio/recursos/{idRecurso}/pdf"}
EXTRA = {
    "name": "adjunto.pdf",
    "source": "intranet",
    "path": "/servicio/recursos/{idRecurso}/adjunto/1",
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.ATTACHMENTS_DIR = tmp_path / "papers"
    return settings.ATTACHMENTS_DIR


def visit(organismo: Organismo) -> SiteReport:
    return ClaimRound(organismo, SqlClaimer(organismo), sleep=lambda seconds: None).run(100)


def stored() -> list[Path]:
    folder = Path(default_storage.path("attachments"))
    return [path for path in folder.rglob("*") if path.is_file()]


def put(folders: Path, case: RecursosExp, content: bytes = b"%PDF-1.4 power") -> Path:
    path = folders / str(case.numclient) / f"{str(case.Expedient).replace('/', '-')}.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def free(case: RecursosExp) -> bool:
    case.refresh_from_db()
    return (case.TExp, case.UsuarioAsignado) == (2, None)


# --- From a folder ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_file_of_the_folder_goes_with_the_appeal(
    origin: AddCase, flow: Any, folders: Path
) -> None:
    case = origin()
    put(folders, case)
    report = visit(OrganismoFactory(flow_name=flow.name, attachments=[FOLDER]))
    assert report.queued == 1
    (file,) = TramiteTask.objects.get().attachments
    assert (file["name"], file["size"]) == ("poder.pdf", 14)
    assert file["sha256"] == hashlib.sha256(b"%PDF-1.4 power").hexdigest()
    assert default_storage.open(file["path"]).read() == b"%PDF-1.4 power"


@pytest.mark.django_db
def test_what_the_worker_sends_is_as_it_was_when_claimed(
    origin: AddCase, flow: Any, folders: Path
) -> None:
    path = put(folders, origin())
    visit(OrganismoFactory(flow_name=flow.name, attachments=[FOLDER]))
    path.write_bytes(b"something else")
    (file,) = TramiteTask.objects.get().attachments
    assert default_storage.open(file["path"]).read() == b"%PDF-1.4 power"


@pytest.mark.django_db
def test_a_file_that_is_not_there_leaves_its_case_alone_and_no_other(
    origin: AddCase, flow: Any, folders: Path
) -> None:
    without, complete = origin(), origin()
    put(folders, complete)
    report = visit(OrganismoFactory(flow_name=flow.name, attachments=[FOLDER]))
    assert (report.error, report.incomplete, report.queued) == ("", 1, 1)
    assert "poder.pdf" in report.dropped[0]["reason"]
    assert free(without)
    assert not Claim.objects.filter(resource_id=without.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["../../secret", "X" * 290, "..", "a\\b:c*?"])
def test_no_case_number_leads_out_of_the_folder_or_breaks_the_visit(
    origin: AddCase, flow: Any, folders: Path, number: str
) -> None:
    for place in (folders.parent, folders):
        place.mkdir(exist_ok=True)
        (place / "secret.pdf").write_bytes(b"not for them")
    origin(Expedient=number)
    other = origin()
    (folders / f"{str(other.Expedient).replace('/', '-')}.pdf").write_bytes(b"%PDF")
    demand = {**FOLDER, "path": "{expediente}.pdf"}
    organismo = OrganismoFactory(
        flow_name=flow.name, regex_expediente="(?s).*", attachments=[demand]
    )
    report = visit(organismo)
    assert (report.error, report.claimed) == ("", 1)
    assert [path.read_bytes() for path in stored()] == [b"%PDF"]
    assert TramiteTask.objects.get().resource_id == other.pk


@pytest.mark.django_db
def test_a_directory_in_the_file_s_place_is_a_missing_file(
    origin: AddCase, flow: Any, folders: Path
) -> None:
    path = put(folders, origin())
    path.unlink()
    path.mkdir()
    report = visit(OrganismoFactory(flow_name=flow.name, attachments=[FOLDER]))
    assert (report.error, report.incomplete) == ("", 1)


# --- From the intranet ------------------------------------------------------------------------


@pytest.fixture
def organismo_there(
    world_url: str, world_files: Path, origin: AddCase, motivos: None, flow: Any
) -> Callable[..., Organismo]:
    def make(*attachments: dict[str, str]) -> Organismo:
        login = f"{world_url}/intranet/xvia-grupoeuropa/public/login"
        return OrganismoFactory(flow_name=flow.name, login_url=login, attachments=list(attachments))

    return make


@pytest.mark.django_db(transaction=True)
def test_documents_of_the_intranet_and_the_folder_go_together(
    organismo_there: Callable[..., Organismo], origin: AddCase, folders: Path
) -> None:
    put(folders, origin())
    assert visit(organismo_there(PDF, EXTRA, FOLDER)).queued == 1
    files = TramiteTask.objects.get().attachments
    assert [file["name"] for file in files] == ["recurso.pdf", "adjunto.pdf", "poder.pdf"]
    for file in files:
        content = default_storage.open(file["path"]).read()
        assert content.startswith(b"%PDF")
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


@pytest.mark.django_db(transaction=True)
def test_of_a_case_that_lacks_one_document_none_is_kept(
    organismo_there: Callable[..., Organismo], origin: AddCase
) -> None:
    case = origin(notas="sin adjunto 1")
    report = visit(organismo_there(PDF, EXTRA))
    assert report.incomplete == 1
    assert "adjunto.pdf" in report.dropped[0]["reason"]
    assert "recurso.pdf" not in report.dropped[0]["reason"]
    assert stored() == []
    assert free(case)


@pytest.mark.django_db(transaction=True)
def test_one_case_whose_document_fails_does_not_block_those_after_it(
    organismo_there: Callable[..., Organismo], origin: AddCase
) -> None:
    poison, other = origin(), origin()
    faults.set_fault("intranet", "error500", str(poison.Expedient))
    report = visit(organismo_there(PDF))
    assert (report.error, report.incomplete, report.claimed) == ("", 1, 1)
    assert "500" in report.dropped[0]["reason"]
    assert free(poison)
    assert TramiteTask.objects.get().resource_id == other.pk


@pytest.mark.django_db(transaction=True)
def test_a_document_that_is_too_large_is_its_case_s_alone(
    organismo_there: Callable[..., Organismo],
    origin: AddCase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large, other = origin(), origin()
    fetch = portal.Portal.fetch

    def limited(client: portal.Portal, path: str) -> bytes:
        if f"/{large.pk}/" in path:
            raise portal.DocumentTooLarge("more than 25 MiB")
        return fetch(client, path)

    monkeypatch.setattr(portal.Portal, "fetch", limited)
    report = visit(organismo_there(PDF))
    assert (report.error, report.incomplete, report.claimed) == ("", 1, 1)
    assert "25 MiB" in report.dropped[0]["reason"]
    assert free(large)
    assert TramiteTask.objects.get().resource_id == other.pk


@pytest.mark.django_db(transaction=True)
def test_an_intranet_that_is_down_ends_the_visit_before_anything_is_claimed(
    organismo_there: Callable[..., Organismo], origin: AddCase
) -> None:
    case = origin()
    organismo = organismo_there(PDF)
    organismo.login_url = "http://127.0.0.1:9/login"
    report = visit(organismo)
    assert report.error_kind.startswith("Portal")
    assert free(case)
    assert stored() == []


@pytest.mark.django_db(transaction=True)
def test_a_login_page_in_place_of_a_document_is_never_attached(
    organismo_there: Callable[..., Organismo], origin: AddCase
) -> None:
    case = origin()
    faults.set_fault("intranet", "expire_sessions")
    report = visit(organismo_there(PDF))
    assert report.error_kind == "SessionExpired"
    assert free(case)
    assert stored() == []
