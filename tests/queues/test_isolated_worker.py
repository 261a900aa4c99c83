"""The isolated worker as a process whose environment holds nothing but what it needs."""

# ruff: noqa: F811 (fixtures are imported by name)
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import redis

from queues.browser import scripts, signing, worker_settings
from queues.browser.execution import Limits
from queues.browser.reports import Report
from queues.browser.signing import Envelope, Key
from queues.browser.store import FolderStore, S3Store
from queues.browser.transport import Transport
from queues.browser.worker import Stopping, Worker
from queues.browser.worker_settings import KeysFile, SettingsRefused, WorkerSettings
from tests import parts, s3
from tests import redis as redis_server
from tests.envelopes import KEY, KEYS, SECRET, SESSION_KEY, envelope, session_token
from tests.machine import ROOT, wait_for
from tests.queues.test_browser_runs import PAGES, Site, served, site  # noqa: F401

pytestmark = pytest.mark.long

COOKIE = {"name": "sid", "value": "a-secret-cookie", "domain": "127.0.0.1", "path": "/"}
SEND = {"do": "click", "selector": "#send", "irrevocable": True}
NEVER = {"do": "wait", "text": "never", "timeout": 60}
NEEDED = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "RESULTS_DIR": "/tmp/results",
    "SCRIPT_SIGNING_SECRET": SECRET,
    "SESSION_KEYS": SESSION_KEY,
}


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    parts.require("Redis")
    with redis_server.running() as url:
        yield url


@pytest.fixture
def transport(redis_url: str) -> Transport:
    """With nothing in Redis but what workers say of themselves."""
    transport = Transport(redis_url)
    seen = transport.reports("tests")
    transport.acknowledge([entry for entry, _report in seen])
    return transport


@contextmanager
def process(log: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, with this environment and no other. Killed at the end."""
    command = [sys.executable, "-X", "importtime", "-m", "queues.browser.worker", *arguments]
    given = {"PATH": os.environ["PATH"], **environment}
    with log.open("ab") as written:
        worker = subprocess.Popen(command, cwd=ROOT, env=given, stderr=written)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def environment_of(redis_url: str, **more: str) -> dict[str, str]:
    allowed = {"EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8"}
    return {**NEEDED, **allowed, "REDIS_URL": redis_url, **more}


@pytest.fixture(scope="module")
def bucket() -> Iterator[s3.Server]:
    with s3.running() as server:
        yield server


@pytest.fixture(scope="module")
def isolated(
    redis_url: str, bucket: s3.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A worker that stores in a bucket; its log."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    given = environment_of(redis_url, WORKER_ID="isolated", WORKER_CAPACITY="2")
    given = {**given, **bucket.environment, "RESULTS_DIR": ""}
    with process(log, **given):
        transport = Transport(redis_url)
        wait_for(lambda: [b for b in transport.workers() if b.worker == "isolated"], "a heartbeat")
        yield log


class Control:
    """As much of a control plane as a test needs."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.heard: list[Report] = []

    def listen(self) -> list[Report]:
        entries = self.transport.reports("tests")
        self.transport.acknowledge([entry for entry, _report in entries])
        reports = [report for _entry, report in entries]
        self.heard += reports
        return reports

    def of(self, job_id: str, kind: str) -> Report | None:
        self.listen()
        found = (r for r in self.heard if (r.job_id, r.kind) == (job_id, kind))
        return next(found, None)

    def wait_for(self, job_id: str, kind: str) -> Report:
        return wait_for(lambda: self.of(job_id, kind), f"{kind} of {job_id}")


@pytest.fixture
def control(transport: Transport) -> Control:
    return Control(transport)


Make = Callable[..., Envelope]


@pytest.fixture
def make(site: Site) -> Make:
    def build(path: str, *steps: dict[str, Any], **fields: Any) -> Envelope:
        opening = {"do": "navigate", "url": f"{site.url}{path}"}
        return envelope(opening, *steps, **{"hosts": [f"127.0.0.1:{site.server_port}"], **fields})

    return build


# --- In a process of its own ----------------------------------------------------------------------


@pytest.mark.chromium
def test_a_signed_job_runs_and_its_results_are_in_the_bucket(
    isolated: Path,
    control: Control,
    bucket: s3.Server,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        PAGES, "/who", "<p id=who></p><script>who.innerText=document.cookie</script>"
    )
    reading = {"do": "read", "selector": "#who", "as": "cookie"}
    job = make("/who", reading, needs_session=True)
    control.transport.put_session("7", "9", "cargill", session_token(COOKIE))
    control.transport.push([job])
    report = control.wait_for(job.job_id, "finished")
    assert (report.status, report.lease, report.worker) == ("done", job.lease, "isolated")
    assert report.values == {"cookie": "sid=[REDACTED]"}
    assert control.of(job.job_id, "started")
    folder = bucket.folder / "control-room" / f"results/7/9/{job.job_id}"
    assert {one["name"] for one in report.results} == {one.name for one in folder.iterdir()}
    assert {"execution.log", "screenshot-0.png"} <= {one["name"] for one in report.results}
    assert [line.split()[1] for line in control.transport.lines(job.job_id)] == ["navigate", "read"]
    told = isolated.read_text()
    assert COOKIE["value"] not in told
    assert SECRET not in told
    assert SESSION_KEY not in told


@pytest.mark.chromium
def test_no_database_and_no_django_was_ever_in_the_process(
    isolated: Path, control: Control, make: Make
) -> None:
    job = make("/sent")
    control.transport.push([job])
    control.wait_for(job.job_id, "finished")
    lines = [line for line in isolated.read_text().splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert {"playwright", "boto3", "queues.browser.worker"} & imported
    known = ("django", "psycopg", "sqlite3", "pymongo", "queues.models", "brain", "devices")
    wrong = [
        name for name in imported if name.startswith(known) or name == "orchestrator_site.settings"
    ]
    assert wrong == []


def _evil(job: Envelope) -> Envelope:
    script = job.script_content.replace("sent", "evil")
    return replace(job, script_content=script)


def _rehashed(job: Envelope) -> Envelope:
    evil = _evil(job)
    return replace(evil, script_hash=scripts.sha256(evil.script_content))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_evil, signing.INTEGRITY),
        (_rehashed, signing.SIGNATURE),
        (lambda job: replace(job, org_id="8"), signing.ENVELOPE),
        (lambda job: replace(job, inputs={"more": 1}), signing.ENVELOPE),
        (lambda job: replace(job, created_at=1).signed(KEY), "too old"),
        (lambda job: replace(job, signature=""), "Empty field"),
        (lambda job: job.signed(Key.of("z" * 40)), signing.ENVELOPE),
        (lambda job: replace(job, needs_session=True, user_id="0").signed(KEY), signing.NO_SESSION),
    ],
)
def test_what_was_tampered_with_is_refused_and_not_executed(
    isolated: Path,
    control: Control,
    make: Make,
    site: Site,
    change: Callable[[Envelope], Envelope],
    reason: str,
) -> None:
    job = change(make("/sent"))
    control.transport.push([job])
    assert reason in control.wait_for(job.job_id, "refused").message
    assert site.asked == []


def test_a_revoked_key_is_refused_at_once(isolated: Path, control: Control, make: Make) -> None:
    control.transport.revoke_key(KEY.id)
    try:
        job = make("/sent")
        control.transport.push([job])
        assert control.wait_for(job.job_id, "refused").message == signing.SIGNATURE
    finally:
        control.transport.client.delete("sri:keys:revoked")


@pytest.mark.chromium
def test_a_cancelled_job_ends_its_browser_and_the_worker_confirms_it(
    isolated: Path, control: Control, make: Make
) -> None:
    job = make("/form", NEVER)
    control.transport.push([job])
    wait_for(lambda: control.transport.lines(job.job_id), "the first step")
    control.transport.ask_cancel(job.job_id)
    assert control.wait_for(job.job_id, "finished").status == "cancelled"


def test_a_worker_says_what_it_can(isolated: Path, control: Control) -> None:
    (beat,) = [b for b in control.transport.workers() if b.worker == "isolated"]
    assert (beat.capacity, beat.key_ids) == (2, [KEY.id])


def test_it_does_not_start_beside_a_database(tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = {**NEEDED, "DATABASE_URL": "postgres://someone:hidden@db/x"}
    with process(log, **given) as worker:
        assert worker.wait(20) == 2
    lines = [line for line in log.read_text().splitlines() if not line.startswith("import time")]
    assert len(lines) == 1
    assert "DATABASE_URL" in lines[0]
    assert "hidden" not in lines[0]


@pytest.mark.chromium
def test_check_looks_at_every_part(redis_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = environment_of(redis_url, RESULTS_DIR=str(tmp_path / "results"), WORKER_ID="checker")
    with process(log, "--check", **given) as worker:
        assert worker.wait(30) == 0
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    assert [json.loads(line)["message"] for line in lines] == [
        f"{part}: ok" for part in ("Redis", "storage", "browser")
    ]
    assert (tmp_path / "results/checks/checker.txt").exists()


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("DATABASE_URL", "REPORTS_DATABASE_URL", "PGPASSWORD", "POSTGRES_USER", "DB_HOST"),
        *("SQLSERVER_SERVER", "MONGODB_URI", "SECRET_KEY", "ENCRYPTION_KEYS"),
        *("DJANGO_SETTINGS_MODULE", "SCRAPER_API_KEY", "OPENAI_APIKEY", "API_URL", "METRICS_TOKEN"),
    ],
)
def test_what_a_worker_must_not_hold_is_named_and_not_shown(name: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        worker_settings.read({**NEEDED, name: "of-great-value"})
    assert name in str(refused.value)
    assert "great-value" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("REDIS_URL", value) for value in ("", "http://127.0.0.1/")),
        *(("SCRIPT_SIGNING_SECRET", value) for value in ("", "short", f"{SECRET},short")),
        *(("SESSION_KEYS", value) for value in ("", "short")),
        *(("RESULTS_DIR", ""), ("WORKER_ID", "a b"), ("WORKER_CAPACITY", "none")),
        *(("EGRESS_ALLOWED_NETWORKS", "10.0.0.1/8"), ("SIGNING_KEYS_FILE", "/nowhere.json")),
    ],
)
def test_what_is_missing_or_wrong_is_named(name: str, value: str) -> None:
    wanted = "AWS_ACCESS_KEY_ID" if name == "RESULTS_DIR" else name
    with pytest.raises(SettingsRefused, match=wanted) as refused:
        worker_settings.read({**NEEDED, name: value})
    assert not value or value not in str(refused.value) or name == "SIGNING_KEYS_FILE"


def test_what_is_needed_suffices() -> None:
    found = worker_settings.read(NEEDED)
    assert (found.capacity, found.limits) == (5, Limits(600, 30, ()))
    assert isinstance(found.store, FolderStore)
    assert SECRET not in repr(found)
    assert SESSION_KEY not in repr(found)
    s3_given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_S3_BUCKET_NAME": "c"}
    found = worker_settings.read({**NEEDED, "RESULTS_DIR": "", **s3_given})
    assert isinstance(found.store, S3Store)
    assert found.store.own_path == "control-room"


def test_keys_of_a_file_are_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([{"secret": SECRET}]))
    file = KeysFile(path)
    assert file.keyring().current == KEY
    path.write_text(json.dumps([{"secret": "n" * 40}, {"secret": SECRET}]))
    assert list(file.keyring().keys)[1] == KEY.id
    path.write_text("half of a fi")
    assert len(file.keyring().keys) == 2


# --- Stopping, in this process --------------------------------------------------------------------


def settings_of(redis_url: str, folder: Path) -> WorkerSettings:
    return WorkerSettings(
        worker_id=f"thread-{uuid.uuid4().hex[:8]}",
        redis_url=redis_url,
        store=FolderStore(folder),
        keys=lambda: KEYS,
        session_keys=(SESSION_KEY,),
        limits=Limits(30, 10, (ip_network("127.0.0.0/8"),)),
        capacity=1,
    )


@contextmanager
def working(redis_url: str, folder: Path, stopping: Stopping) -> Iterator[threading.Thread]:
    worker = Worker(settings_of(redis_url, folder), Transport(redis_url), stopping)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stopping.ask()
        stopping.ask()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def alone(redis_url: str, transport: Transport) -> str:
    """A Redis whose jobs no other worker takes: its second database."""
    url = redis_url.removesuffix("0") + "1"
    redis.Redis.from_url(url).flushdb()
    return url


def test_with_a_wrong_clock_nothing_is_taken(
    alone: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport(alone)
    transport.push([make("/sent")])
    worker = Worker(settings_of(alone, tmp_path), transport, Stopping())
    real, hour = time.time, 3600
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("queues.browser.transport.time.time", lambda: real() + hour)
        assert abs(transport.clock_skew() - hour) < 5
        assert not worker.step()
    assert transport.waiting("7") == 1


@pytest.mark.chromium
def test_a_running_job_is_given_back_when_its_time_is_over(
    alone: str, tmp_path: Path, make: Make
) -> None:
    control, stopping = Control(Transport(alone)), Stopping(grace=0.1)
    job, later = make("/form", NEVER), make("/sent")
    with working(alone, tmp_path, stopping) as thread:
        control.transport.push([job])
        wait_for(lambda: control.transport.lines(job.job_id), "the first step")
        stopping.ask()
        control.transport.push([later])
        assert control.wait_for(job.job_id, "returned").lease == job.lease
        thread.join(15)
    assert control.transport.waiting("7") == 1
    assert control.transport.workers() == []
    assert not list(tmp_path.rglob("execution.log"))


@pytest.mark.chromium
def test_a_job_that_has_begun_its_irrevocable_step_goes_to_a_person(
    alone: str, tmp_path: Path, make: Make, site: Site
) -> None:
    control, stopping = Control(Transport(alone)), Stopping(grace=0.1)
    job = make("/form", SEND, NEVER)
    with working(alone, tmp_path, stopping):
        control.transport.push([job])
        wait_for(lambda: site.posts, "the irrevocable step")
        control.transport.ask_cancel(job.job_id)  # too late
        stopping.ask()
        report = control.wait_for(job.job_id, "finished")
    assert (report.status, report.begun, report.error_class) == ("", True, "infrastructure")
    assert len(site.posts) == 1


@pytest.mark.chromium
def test_a_running_job_may_end_within_its_grace(alone: str, tmp_path: Path, make: Make) -> None:
    control, stopping = Control(Transport(alone)), Stopping(grace=20)
    job = make("/late", {"do": "wait", "text": "Here I am"})
    with working(alone, tmp_path, stopping):
        control.transport.push([job])
        control.wait_for(job.job_id, "started")
        stopping.ask()
        assert control.wait_for(job.job_id, "finished").status == "done"


# --- Killed ---------------------------------------------------------------------------------------


class Deadly(Control):
    """A control plane that gives lost jobs out again, and knows how each has ended."""

    def __init__(self, transport: Transport, jobs: list[Envelope]) -> None:
        super().__init__(transport)
        self.jobs = {job.job_id: job for job in jobs}
        self.ends: Counter[str] = Counter()
        self.in_doubt: set[str] = set()

    def step(self) -> bool:
        """False: every job has ended."""
        self.transport.reap()
        for report in self.listen():
            job = self.jobs[report.job_id]
            if report.lease != job.lease or report.kind == "started":
                continue
            if report.kind == "finished":
                assert report.status == "done", report
                self.ends[report.job_id] += 1
            elif report.begun:
                self.in_doubt.add(report.job_id)
            else:
                again = replace(job, attempt=job.attempt + 1, lease=str(uuid.uuid4())).signed(KEY)
                self.jobs[report.job_id] = again
                self.transport.push([again])
        return len(set(self.ends) | self.in_doubt) < len(self.jobs)


def carried_on(control: Deadly, folder: Path, kill_after: float | None, **given: str) -> None:
    """A worker that is killed so many seconds after its first word, or when all is done."""
    name = f"mortal-{uuid.uuid4().hex[:8]}"
    with process(folder / "log", **given, WORKER_ID=name) as worker:
        heard = len(control.heard)
        wait_for(lambda: not control.step() or len(control.heard) > heard, "its first word")
        until = time.monotonic() + (150 if kill_after is None else kill_after)
        while control.step() and time.monotonic() < until:
            time.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    # As if half a minute had passed.
    control.transport.client.delete(f"sri:worker:{name}:heartbeat")
    control.step()


@pytest.mark.chromium
def test_workers_that_are_killed_lose_no_job_and_send_none_twice(
    alone: str, tmp_path: Path, make: Make, site: Site
) -> None:
    """At random instants; WORKER_KILLS asks for a longer one."""
    kills = int(os.environ.get("WORKER_KILLS", "1"))
    filling = {"do": "fill", "selector": "#name", "value": "{{ case.id }}"}
    received = {"do": "wait", "selector": "#received", "confirms": True}
    jobs = [make("/form", filling, SEND, received) for _ in range(2 + kills * 4)]
    control = Deadly(Transport(alone), jobs)
    control.transport.push(jobs)
    given = environment_of(alone, RESULTS_DIR=str(tmp_path), WORKER_CAPACITY="3")
    for _ in range(kills):
        carried_on(control, tmp_path, random.uniform(0, 1.5), **given)
    carried_on(control, tmp_path, None, **given)
    lost = set(control.jobs) - set(control.ends) - control.in_doubt
    assert lost == set()
    assert set(control.ends.values()) == {1}
    assert not set(control.ends) & control.in_doubt
    sent = Counter(post.partition(b"name=")[2].partition(b"&")[0] for _path, post in site.posts)
    assert set(sent.values()) == {1}
    assert len(sent) >= len(control.ends)
