"""Signing keys: rotated without a pause, revoked at once; encrypted values under new keys."""

from __future__ import annotations

import io
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.utils import timezone

from brain import enqueuing, sessions
from brain import signing as rotating
from brain.models import ConnectedProvider, Flow, Organismo, SigningKey
from brain.signing import KeyRefused
from orchestrator_site.encryption import Undecipherable
from orchestrator_site.models import Event
from orchestrator_site.sealing import fernet
from queues.browser import scripts, signing
from queues.browser.transport import Transport, WorkerBeat
from queues.errors import ErrorClass
from queues.models import Job, TramiteTask, WebhookDelivery
from queues.registered import registered
from queues.workers import TramiteWorker
from tests.factories import (
    ConnectedProviderFactory,
    FlowFactory,
    JobFactory,
    MemberFactory,
    OrganisationFlowFactory,
    TramiteTaskFactory,
    WebhookEndpointFactory,
)

pytestmark = pytest.mark.django_db
Status = SigningKey.Status


def command(name: str, *words: str) -> str:
    out = io.StringIO()
    call_command(name, *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def asked(*words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(command("rotatesigningkey", "--json", *words))
    return told


def is_verified(row: Any) -> bool:
    row.refresh_from_db()
    about = (row.script, row.script_hash, row.signature, row.key_id)
    try:
        signing.verify_script(*about, SigningKey.keyring())
    except signing.EnvelopeRefused:
        return False
    return True


# --- Rotation -------------------------------------------------------------------------------------


@pytest.mark.database
def test_a_rotation_step_by_step() -> None:
    flow, job, task = FlowFactory(), JobFactory(), TramiteTaskFactory()
    old = SigningKey.current()
    told = asked()
    assert Status(SigningKey.objects.get(key_id=told["new"]).status) is Status.NEW
    assert SigningKey.current() == old
    for_workers = told["for_workers"].removeprefix("SCRIPT_SIGNING_SECRET=").split(",")
    assert [signing.Key.of(secret).id for secret in for_workers] == [old.key_id, told["new"]]
    signed = asked("--activate")
    assert (signed["flows"], signed["tasks"], signed["jobs"], signed["left"]) == (1, 1, 1, [])
    old.refresh_from_db()
    grace = old.expires_at - timezone.now()
    assert old.status == Status.RETIRED
    assert timedelta(days=89) < grace <= timedelta(days=90)
    assert SigningKey.current().key_id == told["new"]
    for row in (flow, job, task):
        assert is_verified(row)
        assert row.key_id == told["new"]
    assert Event.objects.filter(new="current").exists()


def test_what_the_old_key_signed_is_verified_for_90_days(time_machine: Any) -> None:
    done = TramiteTaskFactory(status="completed")
    asked()
    asked("--activate")
    assert is_verified(done)
    time_machine.move_to(timezone.now() + timedelta(days=91))
    assert not is_verified(done)
    assert is_verified(FlowFactory())


def test_only_one_key_waits_and_secrets_are_said_once() -> None:
    asked()
    with pytest.raises(CommandError, match="waits already"):
        asked()
    secrets = [key.secret for key in SigningKey.objects.all()]
    told = command("rotatesigningkey", "--dry-run", "--activate")
    told += command("rotatesigningkey", "--activate")
    assert not any(secret in told for secret in secrets)
    assert not Event.objects.filter(data__icontains=secrets[0]).exists()
    assert all(secret in command("rotatesigningkey", "--export") for secret in secrets)
    with pytest.raises(CommandError, match="no new key"):
        asked("--activate")


def test_a_keys_file_is_what_workers_read_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("old")
    told = asked("--keys-file", str(path))
    assert "for_workers" not in told
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    ring = signing.Keyring.read(path)
    assert (ring.current.id, told["new"] in ring.keys) == (SigningKey.current().key_id, True)
    asked("--activate", "--keys-file", str(path))
    ring = signing.Keyring.read(path)
    assert ring.current.id == told["new"]
    assert ring.keys[next(one for one in ring.keys if one != told["new"])].expires_at > 0
    with pytest.raises(CommandError, match="cannot be written"):
        asked("--export", "--keys-file", str(tmp_path / "no" / "keys.json"))


def test_a_dry_run_changes_nothing() -> None:
    JobFactory()
    current = SigningKey.current().key_id
    assert asked("--dry-run") == {"signs": current, "keys": 1}
    told = asked("--dry-run", "--revoke", current)
    assert told == {"would_revoke": current, "jobs_that_would_end": 1}
    assert [key.status for key in SigningKey.objects.all()] == [Status.CURRENT]


def test_a_key_is_not_activated_while_a_living_worker_lacks_it(
    settings: Any, redis_url: str
) -> None:
    settings.REDIS_URL = redis_url
    redis.Redis.from_url(redis_url).flushall()
    transport = Transport(redis_url)
    old, new = SigningKey.current().key_id, asked()["new"]
    transport.beat(WorkerBeat("worker-1", key_ids=[old, new]))
    transport.beat(WorkerBeat("worker-2", key_ids=[old]))
    assert asked("--activate", "--dry-run")["unknown_to"] == ["worker-2"]
    with pytest.raises(CommandError, match="worker-2"):
        asked("--activate")
    assert SigningKey.current().key_id == old
    transport.beat(WorkerBeat("worker-2", key_ids=[old, new]))
    assert asked("--activate")["signs"] == new
    transport.beat(WorkerBeat("worker-2", key_ids=[old]))
    newest = asked()["new"]
    assert asked("--activate", "--force")["signs"] == newest
    asked("--revoke", old)
    assert transport.revoked() == {old}
    redis.Redis.from_url(redis_url).flushall()
    assert rotating.tell_revoked() == 1
    assert transport.revoked() == {old}


def test_without_an_answer_of_redis_nothing_is_activated(settings: Any) -> None:
    asked()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(CommandError, match="Redis"):
        asked("--activate")


# --- What is signed anew --------------------------------------------------------------------------


def test_a_script_changed_behind_our_back_is_not_signed_anew() -> None:
    flow, other = FlowFactory(), FlowFactory(name="login")
    changed = flow.script.replace("#send", "#theft")
    Flow.objects.filter(pk=flow.pk).update(script=changed, script_hash=scripts.sha256(changed))
    task = TramiteTaskFactory(script=changed, script_hash=scripts.sha256(changed), signature="ab")
    asked()
    assert asked("--activate")["left"] == [str(flow)]
    assert not is_verified(flow)
    assert not is_verified(task)
    assert is_verified(other)


@pytest.mark.database
def test_what_was_stored_before_signatures_is_signed_once() -> None:
    flow, task = FlowFactory(), TramiteTaskFactory()
    done = TramiteTaskFactory(status="completed")
    other = TramiteTaskFactory(script="[]", script_hash=scripts.sha256("[]"))
    before = timezone.now() - timedelta(days=30)
    for model in (Flow, TramiteTask):
        model.objects.update(signature="", key_id="", created_at=before)
    assert rotating.sign_unsigned() == rotating.Signed(flows=1, tasks=1)
    assert is_verified(flow)
    assert is_verified(task)
    assert not is_verified(done)
    assert not is_verified(other)  # of no flow of ours
    Flow.objects.update(signature="", created_at=timezone.now())
    assert rotating.sign_unsigned().flows == 0
    assert not is_verified(flow)


def test_new_tasks_carry_the_signature_and_a_flow_without_claims_nothing(
    organismo: Organismo,
) -> None:
    flow = enqueuing.check_flow(organismo)
    assert enqueuing._script(flow)["signature"] == flow.signature
    assert enqueuing._script(flow)["key_id"] == SigningKey.current().key_id
    Flow.objects.update(signature="0" * 64)
    with pytest.raises(enqueuing.NotQueued, match=signing.SIGNATURE):
        enqueuing.check_flow(organismo)


class NoBrowser:
    """Nothing may be executed."""

    def execute(self, *args: Any, **options: Any) -> None:
        raise AssertionError("executed")

    def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"script": "[]"}, signing.INTEGRITY),
        ({"script": "[]", "script_hash": scripts.sha256("[]")}, signing.SIGNATURE),
        ({"signature": ""}, signing.SIGNATURE),
        ({"signature": "é" * 64}, signing.SIGNATURE),
        ({"key_id": "unknown"}, signing.SIGNATURE),
    ],
)
def test_a_filing_worker_executes_nothing_that_was_not_signed(
    changed: dict[str, str], told: str
) -> None:
    task = TramiteTaskFactory()
    TramiteTask.objects.update(**changed)
    worker = TramiteWorker("w", browser=NoBrowser())  # type: ignore[arg-type]
    assert worker.step()
    task.refresh_from_db()
    assert (task.status, task.error_class) == (TramiteTask.Status.FAILED, ErrorClass.PAYLOAD)
    assert task.error_log == told


# --- Revoked --------------------------------------------------------------------------------------


@pytest.mark.database
def test_a_revoked_key_ends_its_waiting_jobs_at_once(
    django_capture_on_commit_callbacks: Any,
) -> None:
    job = JobFactory()
    WebhookEndpointFactory(organisation=job.organisation)
    held = JobFactory(member=MemberFactory(), status="held")
    running = JobFactory(status="running", lease_token=job.case_id)
    old = SigningKey.current()
    assert registered.keyring().current.id == old.key_id
    asked()
    rotating._replace(SigningKey.objects.get(status=Status.NEW), "in a test")
    fresh = JobFactory()
    old.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        assert rotating.revoke(old, "it leaked") == 2
    for row in (job, held):
        row.refresh_from_db()
        assert (row.status, row.error_class) == (Job.Status.ERROR, ErrorClass.PAYLOAD)
        assert row.error_log == f"The signing key {old.key_id} was revoked."
        assert not is_verified(row)
    assert [Job.objects.get(pk=one.pk).status for one in (running, fresh)] == ["running", "queued"]
    assert WebhookDelivery.objects.count() == 1
    with pytest.raises(CommandError, match="already"):
        asked("--revoke", old.key_id)


def test_the_key_that_signs_is_revoked_once_there_is_another() -> None:
    flow = OrganisationFlowFactory()
    old = SigningKey.current()
    with pytest.raises(KeyRefused, match="make a new one"):
        rotating.revoke(old, "it leaked")
    assert SigningKey.current() == old
    asked()
    told = asked("--revoke", old.key_id)
    old.refresh_from_db()
    assert (old.status, told["signs"]) == (Status.REVOKED, SigningKey.current().key_id)
    assert is_verified(flow)
    asked("--revoke", told["signs"], "--force")
    assert SigningKey.objects.filter(status=Status.REVOKED).count() == 2
    assert is_verified(flow)
    with pytest.raises(CommandError, match="There is no key"):
        asked("--revoke", "unknown")


def test_two_who_activate_at_once_activate_once() -> None:
    asked()
    first, second = (SigningKey.objects.get(status=Status.NEW) for _ in range(2))
    rotating.activate(first, "one")
    with pytest.raises(KeyRefused):
        rotating.activate(second, "two")
    assert SigningKey.objects.filter(status=Status.CURRENT).get() == first


# --- Encrypted values -----------------------------------------------------------------------------


@pytest.mark.database
def test_all_that_is_encrypted_goes_under_the_first_key(settings: Any) -> None:
    key = SigningKey.current()
    row = ConnectedProviderFactory()
    WebhookEndpointFactory()
    settings.ENCRYPTION_KEYS = ["another key", *settings.ENCRYPTION_KEYS]
    settings.SESSION_KEYS = ["another session key", *settings.SESSION_KEYS]
    cookies = sessions.unsealed(row.session)
    dry = json.loads(command("reencrypt", "--json", "--dry-run"))
    assert {one["renewed"] for one in dry} == {0, 1}
    told = {one["name"]: one for one in json.loads(command("reencrypt", "--json"))}
    assert told["brain.SigningKey.secret"]["renewed"] == 1
    assert told["brain.ConnectedProvider.session"]["renewed"] == 1
    assert told["queues.WebhookEndpoint.secret"]["renewed"] == 1
    again = json.loads(command("reencrypt", "--json"))
    assert {one["renewed"] for one in again} == {0}
    del settings.ENCRYPTION_KEYS[1:], settings.SESSION_KEYS[1:]
    assert SigningKey.objects.get().secret == key.secret
    stored = ConnectedProvider.objects.get().session
    assert fernet(["another session key"]).decrypt(stored.encode())
    assert sessions.unsealed(stored) == cookies


def test_what_no_key_reads_is_named_and_left(settings: Any) -> None:
    SigningKey.current()
    settings.ENCRYPTION_KEYS = ["a wrong key"]
    with pytest.raises(CommandError, match="1 values"):
        command("reencrypt")
    with pytest.raises(Undecipherable):
        SigningKey.objects.get()
