"""Webhooks over real sockets: signed, sent once, read to a limit, and senders that die."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from devices.models import Worker
from orchestrator_site import addresses
from orchestrator_site.models import Event, Lease
from queues import tasks, webhook_sending, webhooks
from queues.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from queues.webhook_sending import WebhookSender
from tests.factories import WebhookEndpointFactory
from tests.machine import wait_for
from tests.postgres import free_port
from tests.receiver import (  # noqa: F401 (fixtures)
    Receiver,
    come_due,
    finished,
    near,
    queued,
    receiver,
    sender,
    sent,
    work_off,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = WebhookDelivery.Status


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sending, "CALL_SECONDS", 0.3)


# --- Sending --------------------------------------------------------------------------------------


def test_a_message_arrives_and_its_signature_verifies(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = sent(sender, receiver.url("/ok?from=sri"))
    assert (delivery.status, delivery.attempts) == (Status.DELIVERED, 1)
    ((path, headers, body),) = receiver.heard
    assert path == "/ok?from=sri"
    assert headers["webhook-id"] == str(delivery.message_id)
    told = Webhook(delivery.endpoint.secret).verify(body, headers)
    assert told["data"]["jobId"] == str(delivery.case_id)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhooks.new_secret()).verify(body, headers)
    call = delivery.calls.get()
    assert (call.number, call.status_code, call.error) == (1, 200, "")
    assert call.body == "S\ufffd:  \ufffd"
    events = Event.objects.filter(case_id=delivery.case_id, object_type="queues.webhookdelivery")
    assert list(events.order_by("id").values_list("new", flat=True)) == ["sending", "delivered"]


def test_for_a_day_after_a_rotation_both_secrets_verify(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = queued(receiver.url())
    old = delivery.endpoint.secret
    new = webhooks.rotate_secret(delivery.endpoint, "leaked")
    work_off(sender)
    (_path, headers, body) = receiver.heard[-1]
    assert old != new and new.startswith("whsec_")
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)
    WebhookEndpoint.objects.update(old_secret_until=timezone.now())
    assert webhooks.resend(WebhookDelivery.objects.get(), "again")
    work_off(sender)
    (_path, headers, body) = receiver.heard[-1]
    assert Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_each_attempt_has_a_signature_of_its_own_over_the_same_bytes(
    sender: WebhookSender, receiver: Receiver
) -> None:
    sent(sender, receiver.url("/500"))
    come_due()
    work_off(sender)
    (_, first, body), (_, second, again) = receiver.heard
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    assert WebhookAttempt.objects.count() == 2


@pytest.mark.parametrize(("path", "code"), [("/500", 500), ("/404", 404), ("/redirect", 302)])
def test_whatever_is_no_success_is_tried_again(
    path: str, code: int, sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = sent(sender, receiver.url(path))
    assert (delivery.status, delivery.attempts, delivery.error_class) == (Status.PENDING, 1, "site")
    wait = (delivery.available_at - timezone.now()).total_seconds()
    assert 3 < wait < 6
    assert delivery.calls.get().status_code == code
    assert list(receiver.paths()) == [path]  # no redirect was followed


def test_an_address_that_nobody_listens_at_is_told(sender: WebhookSender) -> None:
    delivery = sent(sender, f"http://127.0.0.1:{free_port()}/")
    call = delivery.calls.get()
    assert (delivery.status, call.status_code) == (Status.PENDING, None)
    assert "refused" in call.error


def test_a_silent_address_is_left_after_its_time(
    swift: None, sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = sent(sender, receiver.url("/hang"))
    assert (delivery.status, delivery.error_class) == (Status.PENDING, "timeout")
    assert delivery.error_log == "no answer within 0 seconds"
    assert delivery.calls.get().seconds < 1


@pytest.mark.parametrize("path", ["/endless", "/drip"])
def test_of_an_answer_its_first_kilobyte_is_read(
    path: str, swift: None, sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = sent(sender, receiver.url(path))
    assert delivery.status == Status.DELIVERED
    kept = delivery.calls.get().body
    assert 0 < len(kept) <= webhook_sending.KEPT
    assert "\0" not in kept


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://100.64.0.1/",
        "http://93.184.215.14/",  # public, but not encrypted
        "https://user:word@example.com/",
        "ftp://127.0.0.1/",
    ],
)
def test_an_address_inside_is_refused_when_it_is_entered_and_when_it_is_called(
    url: str, sender: WebhookSender
) -> None:
    with pytest.raises(addresses.AddressRefused):
        webhooks.resolve(url)
    call = sent(sender, url).calls.get()
    assert (call.status_code, bool(call.error)) == (None, True)


def test_a_public_address_is_called_over_https() -> None:
    assert webhooks.resolve("https://93.184.215.14/hook") == ["93.184.215.14"]
    assert webhooks.resolve("http://127.0.0.1/hook") == ["127.0.0.1"]


def test_a_name_that_leads_elsewhere_by_now_is_not_called(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter(["93.184.215.14", "169.254.169.254"])

    def rebinding(*arguments: Any, **named: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(found), 0))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", rebinding)
    webhooks.resolve("https://hooks.example.com/")
    call = sent(sender, "https://hooks.example.com/").calls.get()
    assert "public internet" in call.error
    assert "169.254" not in call.error


def test_what_our_network_calls_by_a_name_nobody_learns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answered(name: str, *_: Any, **__: Any) -> Any:
        if name == "nobody.internal":
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 0))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", answered)
    told = set()
    for name in ("nobody.internal", "payroll.internal"):
        with pytest.raises(addresses.AddressRefused) as refused:
            webhooks.resolve(f"https://{name}/")
        told.add((type(refused.value), str(refused.value)))
    assert len(told) == 1
    assert "nobody.internal cannot be looked up" in caplog.text and "10.0.0.7" in caplog.text


def test_a_message_whose_secret_no_key_reads_keeps_no_other_from_going(
    sender: WebhookSender, receiver: Receiver
) -> None:
    broken, whole = queued(receiver.url("/ok/broken")), queued(receiver.url("/ok/whole"))
    table = connections["default"].ops.quote_name(WebhookEndpoint._meta.db_table)
    with connections["default"].cursor() as cursor:
        pk = WebhookEndpoint._meta.pk.get_db_prep_value(broken.endpoint_id, connections["default"])
        cursor.execute(f"UPDATE {table} SET secret = 'rubbish' WHERE id = %s", [pk])
    work_off(sender)
    assert list(receiver.paths()) == ["/ok/whole"]
    whole.refresh_from_db()
    assert whole.status == Status.DELIVERED
    assert "ENCRYPTION_KEYS" in broken.calls.get().error


# --- Many -----------------------------------------------------------------------------------------


def test_a_slow_address_holds_no_other(sender: WebhookSender, receiver: Receiver) -> None:
    slow = WebhookEndpointFactory(url=receiver.url("/hang"))
    webhooks.announce_all([finished(slow) for _ in range(12)])
    others = [queued(receiver.url(f"/ok/{number}")) for number in range(12)]
    wait_for(lambda: sender.step() and len(receiver.heard) == 16, "all the others")
    wait_for(lambda: sender.step() and len(sender._calls) == 4, "their ends")
    assert receiver.paths()["/hang"] == webhook_sending.OF_ONE
    ended = WebhookDelivery.objects.filter(status=Status.DELIVERED)
    assert set(ended.values_list("pk", flat=True)) == {one.pk for one in others}
    receiver.go_on.set()


def test_a_failing_address_has_one_call_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sending, "LOOK", 3)
    failing = WebhookEndpointFactory(failing_since=timezone.now())
    webhooks.announce_all([finished(failing) for _ in range(10)])
    well = WebhookEndpointFactory()
    webhooks.announce_all([finished(well) for _ in range(10)])
    picked = webhook_sending.next_due(Counter(), 32)
    chosen = WebhookDelivery.objects.filter(pk__in=picked).values_list("endpoint", flat=True)
    assert Counter(chosen) == {failing.pk: 1, well.pk: 4}
    assert len(webhook_sending.next_due(Counter({well.pk: 3}), 32)) == 2
    assert len(webhook_sending.next_due(Counter(), 2)) == 2


def test_two_senders_send_nothing_twice(receiver: Receiver) -> None:
    endpoint = WebhookEndpointFactory(url=receiver.url())
    webhooks.announce_all([finished(endpoint) for _ in range(12)])
    one, other = WebhookSender("s1"), WebhookSender("s2")
    wait_for(lambda: not (one.step() | other.step()), "the end")
    one.close(), other.close()
    assert len(receiver.heard) == 12
    assert not Worker.objects.exists()


# --- Deaths ---------------------------------------------------------------------------------------


def test_an_answer_after_the_lease_was_lost_decides_nothing(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = queued(receiver.url("/hang"))
    wait_for(lambda: sender.step() and receiver.heard, "the call")
    past = timezone.now() - timedelta(seconds=1)
    WebhookDelivery.objects.update(lease_expires_at=past)
    assert webhook_sending.sweep() == 1
    receiver.go_on.set()
    wait_for(lambda: not sender.step(), "its answer")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.PENDING, 1)
    codes = delivery.calls.values_list("status_code", flat=True)
    assert sorted(codes, key=str) == [200, None]


def test_an_address_deleted_under_its_call_stops_nobody(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = queued(receiver.url("/hang"))
    wait_for(lambda: sender.step() and receiver.heard, "the call")
    delivery.endpoint.delete()
    receiver.go_on.set()
    wait_for(lambda: not sender.step(), "its answer")
    assert not WebhookAttempt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_whose_sender_was_killed_goes_once_more_under_its_id(receiver: Receiver) -> None:
    delivery = queued(receiver.url("/hang"))
    child = forked(lambda: work_off(WebhookSender("killed")))
    wait_for(lambda: receiver.heard, "the call")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    receiver.go_on.set()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.worker) == (Status.SENDING, "killed")
    WebhookDelivery.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sender = WebhookSender("next")
    sender.step()
    come_due()
    work_off(sender)
    sender.close()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.DELIVERED, 2)
    first, second = (headers["webhook-id"] for _path, headers, _body in receiver.heard)
    assert first == second
    lost, arrived = delivery.calls.order_by("id")
    assert (lost.status_code, "killed" in lost.error) == (None, True)
    assert (arrived.number, arrived.status_code) == (2, 200)


def forked(work: Callable[[], Any]) -> int:
    """A process that does it, with connections of its own."""
    connections.close_all()
    if child := os.fork():
        return child
    try:
        work()
    finally:
        os._exit(0)


# --- The cluster's session ------------------------------------------------------------------------


def test_a_session_sends_and_a_second_one_bounces(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator_site.sessions.close_old_connections", lambda: None)
    settings.LOOP_SESSION = timedelta(seconds=0.2)
    delivery = queued(receiver.url())
    assert tasks.webhook_session() is True
    delivery.refresh_from_db()
    assert delivery.status == Status.DELIVERED
    assert Lease.acquire("webhooks", "another", timedelta(minutes=1))
    assert tasks.webhook_session() is False
    assert not Worker.objects.filter(kind="webhooks").exists()
