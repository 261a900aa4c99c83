"""Evidence with its hashes, and attachments that are proven before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import RecursosExp
from orchestrator_site.demo.flows import FLOWS
from orchestrator_site.demo.world import books, faults
from queues import evidence
from queues.browser.runs import Artifact, Outcome, Run
from queues.models import EvidenceFile, TramiteTask
from queues.workers import TramiteWorker
from tests import parts
from tests.factories import FlowFactory, OrganismoFactory, TramiteTaskFactory
from tests.world import world_files, world_url

__all__ = ["world_files", "world_url"]

AddCase = Callable[..., RecursosExp]
Status = TramiteTask.Status
Kind = EvidenceFile.Kind


class Browser:
    """Runs nothing; keeps what it was given."""

    def __init__(self, *artifacts: Artifact) -> None:
        self.runs: list[Run] = []
        self.files: dict[str, bytes] = {}
        self.artifacts = artifacts

    def execute(self, run: Run, **_more: Any) -> Outcome:
        self.runs.append(run)
        self.files = {name: path.read_bytes() for name, path in run.files.items()}
        return Outcome(ok=True, confirmed=True, receipt=True, artifacts=self.artifacts)

    def close(self) -> None:
        return


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


def artifact(folder: Path, name: str, kind: Any, content: bytes) -> Artifact:
    path = folder / name
    path.write_bytes(content)
    return Artifact(kind, path, name)


def attachment(name: str, content: bytes) -> dict[str, Any]:
    path = default_storage.save(f"attachments/test/{name}", ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "path": path, "size": len(content), "sha256": digest}


def work(browser: Browser) -> TramiteTask:
    worker = TramiteWorker("w", browser)  # type: ignore[arg-type]
    assert worker.step()
    return TramiteTask.objects.get()


def check_on_disk(file: EvidenceFile, media: Path) -> None:
    content = (media / file.path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert len(content) == file.size


# --- Keeping ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_file_is_stored_with_its_hash_and_size(tmp_path: Path, media: Path) -> None:
    task = TramiteTaskFactory()
    artifacts = [
        artifact(tmp_path, "run.log", "log", b"step 1\n"),
        artifact(tmp_path, "empty.png", "screenshot", b""),
        artifact(tmp_path, "recibo ñ.pdf", "receipt", b"%PDF" * 100_000),
    ]
    kept = evidence.keep(task, 2, "evidence/here", artifacts)
    assert [file.kind for file in kept] == [Kind.LOG, Kind.SCREENSHOT, Kind.RECEIPT]
    for file in EvidenceFile.objects.all():
        check_on_disk(file, media)
        assert (file.case_id, file.attempt) == (task.case_id, 2)
        assert (file.object_type, file.object_id) == ("queues.tramitetask", str(task.pk))
    assert EvidenceFile.objects.get(kind=Kind.LOG).sha256 == hashlib.sha256(b"step 1\n").hexdigest()


@pytest.mark.django_db
def test_the_same_name_again_overwrites_nothing(tmp_path: Path, media: Path) -> None:
    task = TramiteTaskFactory()
    for content in (b"first", b"second"):
        evidence.keep(task, 1, "evidence/here", [artifact(tmp_path, "run.log", "log", content)])
    first, second = EvidenceFile.objects.all()
    assert first.path != second.path
    for file in (first, second):
        check_on_disk(file, media)


def test_the_last_screenshot_is_named() -> None:
    files = [
        EvidenceFile(kind=kind, path=path)
        for kind, path in (("screenshot", "1.png"), ("screenshot", "2.png"), ("log", "run.log"))
    ]
    assert evidence.last_screenshot(files) == "2.png"
    assert evidence.last_screenshot(files[2:]) == ""
    assert evidence.last_screenshot([]) == ""


@pytest.mark.django_db
def test_a_finished_task_names_its_evidence(tmp_path: Path, media: Path) -> None:
    TramiteTaskFactory()
    shot = artifact(tmp_path, "1.png", "screenshot", b"png")
    task = work(Browser(shot, artifact(tmp_path, "run.log", "log", b"log")))
    assert task.status == Status.COMPLETED
    assert task.result["evidence"] == list(EvidenceFile.objects.values_list("path", flat=True))
    assert task.screenshot_path == task.result["evidence"][0]
    assert f"{task.site_id}/{task.case_id}/" in task.screenshot_path


# --- Attachments ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_attachments_reach_the_browser_as_they_were_stored() -> None:
    files = [attachment("a.pdf", b"one"), attachment("b ñ.pdf", b"two")]
    TramiteTaskFactory(attachments=files)
    browser = Browser()
    assert work(browser).status == Status.COMPLETED
    assert browser.files == {"a.pdf": b"one", "b ñ.pdf": b"two"}


def change(file: dict[str, Any], media: Path) -> None:
    (media / file["path"]).write_bytes(b"twO")


def cut(file: dict[str, Any], media: Path) -> None:
    (media / file["path"]).write_bytes(b"")


def delete(file: dict[str, Any], media: Path) -> None:
    default_storage.delete(file["path"])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("damage", "told"), [(change, "has changed"), (cut, "has changed"), (delete, "is missing")]
)
def test_a_damaged_attachment_is_a_payload_error_and_nothing_is_sent(
    media: Path, damage: Callable[[dict[str, Any], Path], None], told: str
) -> None:
    files = [attachment("a.pdf", b"one"), attachment("b.pdf", b"two")]
    TramiteTaskFactory(attachments=files)
    damage(files[1], media)
    browser = Browser()
    task = work(browser)
    assert browser.runs == []
    assert (task.status, task.error_class, task.attempts) == (Status.FAILED, "payload", 1)
    assert f"b.pdf {told}" in task.error_log
    assert task.intent_at is None
    assert TramiteTask.objects.take("another", timedelta(minutes=1)) == [], "never tried again"


# --- From the claim to the organism's books ---------------------------------------------------


@pytest.mark.chromium
@pytest.mark.django_db(transaction=True)
def test_what_was_sent_and_what_was_kept_agree(
    world_url: str, world_files: Path, origin: AddCase, motivos: None, media: Path
) -> None:
    parts.require("a browser")
    FlowFactory(name="xaloc_girona", steps=FLOWS["xaloc_girona"])
    pdf = {"name": "recurso.pdf", "source": "intranet"}
    organismo = OrganismoFactory(
        flow_name="xaloc_girona",
        url_template=f"{world_url}/sede/xaloc/?Expedient={{expediente}}",
        login_url=f"{world_url}/intranet/xvia-grupoeuropa/public/login",
        attachments=[{**pdf, "path": "/servicio/recursos/{idRecurso}/pdf"}],
    )
    origin()
    faults.set_fault("xaloc", "error500", times=1)
    ClaimRound(organismo, SqlClaimer(organismo)).run(10)
    worker = TramiteWorker("w")
    try:
        assert worker.step()
        assert worker.step()
    finally:
        worker.close()
    task = TramiteTask.objects.get()
    assert (task.status, task.attempts) == (Status.COMPLETED, 2)
    (filing,) = books.filings()
    assert filing.expediente == task.expediente
    assert [file.name for file in filing.files] == ["recurso.pdf"]
    files = EvidenceFile.objects.filter(case_id=task.case_id)
    assert set(files.values_list("attempt", flat=True)) == {1, 2}
    for file in files:
        check_on_disk(file, media)
    kinds = set(files.filter(attempt=2).values_list("kind", flat=True))
    assert {Kind.LOG, Kind.SCREENSHOT, Kind.RECEIPT} <= kinds
    receipt = files.get(kind=Kind.RECEIPT)
    assert (media / receipt.path).read_bytes().startswith(b"%PDF")
