"""The filing worker around the browser: what it prepares, and what it makes of an outcome."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone

from devices.models import Worker
from orchestrator_site.models import Event
from queues import evidence, workers
from queues.browser.runs import Artifact, Outcome, Run
from queues.errors import ErrorClass
from queues.models import EvidenceFile, TramiteTask
from queues.workers import TramiteWorker
from tests.factories import TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = TramiteTask.Status
TTL = timedelta(seconds=30)
FILED = Outcome(ok=True, confirmed=True, receipt=True, values={"registro": "R-1"}, seconds=1.0)


class FakeBrowser:
    """Takes the irrevocable step where it may, leaves a screenshot, and tells `outcome`."""

    def __init__(self, outcome: Outcome = FILED) -> None:
        self.outcome = outcome
        self.runs: list[Run] = []
        self.files: list[dict[str, bytes]] = []
        self.picture = b"a picture"
        self.meanwhile: Callable[[], Any] = lambda: None
        self.afterwards: Callable[[], Any] = lambda: None
        self.ticks: list[bool] = []

    def execute(
        self, run: Run, *, deadline: float, permit: Any, tick: Any, on_event: Any
    ) -> Outcome:
        self.runs.append(run)
        self.files.append({name: path.read_bytes() for name, path in run.files.items()})
        run.folder.mkdir(parents=True)
        path = run.folder / "03-click.png"
        path.write_bytes(self.picture)
        begun = self.outcome.confirmed or self.outcome.irrevocable_begun
        if begun:
            assert permit()
        self.meanwhile()
        self.ticks.append(tick())
        self.afterwards()
        shot = Artifact(kind="screenshot", path=path, name="click")
        return Outcome(
            **{**self.outcome.__dict__, "irrevocable_begun": begun, "artifacts": (shot,)}
        )

    def close(self) -> None:
        return


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def browser() -> FakeBrowser:
    return FakeBrowser()


@pytest.fixture
def worker(browser: FakeBrowser) -> TramiteWorker:
    worker = TramiteWorker("w1", browser=browser)  # type: ignore[arg-type]
    worker._rhythm._last["sweep"] = time.monotonic() + 60  # a test sweeps when it wants to
    return worker


def make_due() -> None:
    TramiteTask.objects.filter(status=Status.PENDING).update(available_at=timezone.now())


def sweep_as_late() -> None:
    """What another worker does once the lease has run out."""
    TramiteTask.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    TramiteTask.objects.sweep()


def attached(content: bytes = b"%PDF", name: str = "r.pdf") -> dict[str, Any]:
    path = default_storage.save(f"attachments/{name}", ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "path": path, "size": len(content), "sha256": digest}


def test_an_appeal_is_filed_and_its_evidence_kept(
    worker: TramiteWorker, browser: FakeBrowser
) -> None:
    TramiteTaskFactory(attachments=[attached()])
    assert worker.step()
    task = TramiteTask.objects.get()
    assert (task.status, task.result["values"]) == (Status.COMPLETED, {"registro": "R-1"})
    assert browser.files == [{"r.pdf": b"%PDF"}]
    kept = EvidenceFile.objects.get()
    assert task.screenshot_path == kept.path
    assert default_storage.open(kept.path).read() == b"a picture"
    assert not browser.runs[0].folder.exists(), "nothing is left on the host"
    assert not worker.step(), "nothing is due"


def test_a_worker_that_is_asked_to_stop_takes_nothing(worker: TramiteWorker) -> None:
    TramiteTaskFactory()
    assert not worker.step(lambda: True)
    assert TramiteTask.objects.get().status == Status.PENDING


def test_a_run_keeps_its_lease_and_that_of_the_session(
    worker: TramiteWorker, browser: FakeBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    TramiteTaskFactory()
    monkeypatch.setattr(workers, "RENEWALS", 1e6)  # at every tick
    asked: list[bool] = []
    soon = timezone.now() + timedelta(seconds=5)
    browser.meanwhile = lambda: TramiteTask.objects.update(lease_expires_at=soon)
    until: list[Any] = []
    browser.afterwards = lambda: until.append(TramiteTask.objects.get().lease_expires_at)
    worker.step(lambda: bool(asked.append(True)))
    assert browser.ticks == [True]
    assert until[0] > soon
    assert len(asked) == 2, "before it took the task, and during the run"
    assert TramiteTask.objects.get().status == Status.COMPLETED


# --- The outcome -----------------------------------------------------------------------------


def test_slow_evidence_does_not_cost_the_outcome(
    worker: TramiteWorker, browser: FakeBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    TramiteTaskFactory()
    past = timezone.now() - timedelta(seconds=1)
    browser.afterwards = lambda: TramiteTask.objects.update(lease_expires_at=past)
    real = evidence.keep

    def keep(*args: Any) -> Any:
        left = TramiteTask.objects.get().lease_expires_at - timezone.now()
        assert left > timedelta(minutes=1), "time for a slow storage"
        assert TramiteTask.objects.sweep() == [], "others sweep meanwhile"
        return real(*args)

    monkeypatch.setattr(evidence, "keep", keep)
    worker.step()
    task = TramiteTask.objects.get()
    assert (task.status, task.error_log) == (Status.COMPLETED, "")
    assert task.result["values"] == {"registro": "R-1"}


def test_each_lease_s_evidence_has_a_folder_of_its_own(
    worker: TramiteWorker, browser: FakeBrowser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = FileSystemStorage(location=tmp_path / "store", allow_overwrite=True)  # as S3 may
    monkeypatch.setattr(evidence, "default_storage", store)
    TramiteTaskFactory()
    browser.outcome = Outcome(
        ok=False, error_class=ErrorClass.SITE, message="no text", irrevocable_begun=True
    )
    browser.picture = b"first"
    worker.step()
    task = TramiteTask.objects.get()
    assert task.status == Status.IN_DOUBT
    assert task.confirm_not_sent("looked at the site")  # the attempts count from 1 again
    browser.outcome, browser.picture = FILED, b"second"
    worker.step()
    assert TramiteTask.objects.get().status == Status.COMPLETED
    kept = EvidenceFile.objects.order_by("id")
    assert [store.open(file.path).read() for file in kept] == [b"first", b"second"]
    for file in kept:
        assert hashlib.sha256(store.open(file.path).read()).hexdigest() == file.sha256


def test_what_a_late_worker_had_sent_is_written_down(
    worker: TramiteWorker, browser: FakeBrowser
) -> None:
    TramiteTaskFactory()
    browser.meanwhile = sweep_as_late
    worker.step()
    task = TramiteTask.objects.get()
    assert task.status == Status.IN_DOUBT, "it changes nothing: a person decides"
    assert task.result == {}
    event = Event.objects.get(reason="late worker's outcome")
    assert event.case_id == task.case_id
    assert (event.data["confirmed"], event.data["values"]) == (True, {"registro": "R-1"})
    assert event.data["evidence"] == [EvidenceFile.objects.get().path]


def test_a_late_worker_that_sent_nothing_says_nothing(
    worker: TramiteWorker, browser: FakeBrowser
) -> None:
    TramiteTaskFactory()
    browser.outcome = Outcome(ok=False, error_class=ErrorClass.SITE, message="no page")
    browser.meanwhile = sweep_as_late
    worker.step()
    assert TramiteTask.objects.get().status == Status.PENDING
    assert not Event.objects.filter(reason="late worker's outcome").exists()


@pytest.mark.parametrize(
    ("outcome", "status", "error_class"),
    [
        (FILED, Status.COMPLETED_WITH_ERRORS, ErrorClass.INFRASTRUCTURE),
        (Outcome(ok=True, irrevocable_begun=True), Status.IN_DOUBT, ErrorClass.INFRASTRUCTURE),
        (
            Outcome(ok=False, error_class=ErrorClass.BUSINESS, message="refused"),
            Status.FAILED,
            ErrorClass.BUSINESS,
        ),
    ],
)
def test_a_storage_that_is_down_after_the_run_does_not_cost_the_outcome(
    worker: TramiteWorker,
    browser: FakeBrowser,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome,
    status: str,
    error_class: str,
) -> None:
    TramiteTaskFactory()
    browser.outcome = outcome

    def down(*args: Any) -> None:
        raise ConnectionError("the storage is down")

    monkeypatch.setattr(evidence, "keep", down)
    assert worker.step(), "the worker goes on"
    task = TramiteTask.objects.get()
    assert (task.status, task.error_class) == (status, error_class)
    assert task.result["values"] == dict(outcome.values)
    assert task.result["evidence"] == []
    if outcome.ok:
        assert "the storage is down" in task.error_log


# --- What the browser is given -----------------------------------------------------------------


def test_a_secret_that_cannot_be_had_fails_its_own_task_as_a_session_s_error(
    worker: TramiteWorker, browser: FakeBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(task: TramiteTask) -> str:
        raise ValueError("our password is refused")

    monkeypatch.setitem(workers.SECRETS, "token", refused)
    asks = TramiteTaskFactory(url_directa="http://x/?t={token}", priority=5)
    other = TramiteTaskFactory()
    assert worker.step()
    TramiteTask.objects.filter(pk=asks.pk).update(available_at=timezone.now() + TTL)
    assert worker.step()
    asks.refresh_from_db()
    other.refresh_from_db()
    assert (asks.status, asks.error_class) == (Status.PENDING, ErrorClass.SESSION)
    assert "refused" in asks.error_log
    assert asks.lease_token is None
    assert other.status == Status.COMPLETED
    assert len(browser.runs) == 1
    for _attempt in (2, 3):
        make_due()
        assert worker.step()
    asks.refresh_from_db()
    assert (asks.status, asks.attempts) == (Status.FAILED, 3)
    assert len(browser.runs) == 1


def test_a_secret_is_asked_for_where_the_task_wants_it_alone(
    worker: TramiteWorker, browser: FakeBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(workers.SECRETS, "token", lambda task: f"secret of {task.pk}")
    asks = TramiteTaskFactory(url_directa="http://x/?t={token}", priority=5)
    TramiteTaskFactory()
    worker.step()
    worker.step()
    assert [run.secrets for run in browser.runs] == [{"token": f"secret of {asks.pk}"}, {}]
    assert TramiteTask.objects.get(pk=asks.pk).url_directa == "http://x/?t={token}"


def test_a_damaged_attachment_never_reaches_the_browser(
    worker: TramiteWorker, browser: FakeBrowser, media: Path
) -> None:
    file = attached()
    (media / file["path"]).write_bytes(b"%PDF of another case")
    TramiteTaskFactory(attachments=[attached(name="good.pdf"), file])
    assert worker.step()
    task = TramiteTask.objects.get()
    assert (task.status, task.error_class) == (Status.FAILED, ErrorClass.PAYLOAD)
    assert "r.pdf has changed" in task.error_log
    assert browser.runs == []


def test_a_missing_attachment_never_reaches_the_browser(
    worker: TramiteWorker, browser: FakeBrowser
) -> None:
    file = attached()
    default_storage.delete(file["path"])
    TramiteTaskFactory(attachments=[file])
    TramiteTaskFactory()
    assert worker.step()
    task = TramiteTask.objects.earliest("id")
    assert (task.status, task.error_class) == (Status.FAILED, ErrorClass.PAYLOAD)
    assert "r.pdf is missing" in task.error_log
    assert browser.runs == []
    assert worker.step(), "the next one goes"
    assert TramiteTask.objects.latest("id").status == Status.COMPLETED


@pytest.mark.parametrize("error", [ConnectionError("no route"), RuntimeError("an endpoint's")])
def test_a_storage_that_is_down_is_our_infrastructure_and_tried_again(
    worker: TramiteWorker,
    browser: FakeBrowser,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    TramiteTaskFactory(attachments=[attached()])

    def down(*args: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_open", down)
        assert worker.step(), "the worker goes on"
    task = TramiteTask.objects.get()
    assert (task.status, task.error_class) == (Status.PENDING, ErrorClass.INFRASTRUCTURE)
    assert str(error) in task.error_log
    assert browser.runs == []
    make_due()
    assert worker.step()
    assert TramiteTask.objects.get().status == Status.COMPLETED


def test_an_attachment_s_name_cannot_leave_the_run_s_folder(
    worker: TramiteWorker, browser: FakeBrowser
) -> None:
    file = {**attached(), "name": "../../r.pdf"}
    TramiteTaskFactory(attachments=[file])
    worker.step()
    (path,) = browser.runs[0].files.values()
    assert path.parent == browser.runs[0].folder.parent / "attachments"


def test_a_worker_that_leaves_is_in_the_list_no_more(worker: TramiteWorker) -> None:
    worker.step()
    assert Worker.objects.filter(name="w1").exists()
    worker.close()
    assert not Worker.objects.filter(name="w1").exists()
