"""Webhooks: what is told, tried again, given up and resent."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from orchestrator_site.models import Event, Lease
from orchestrator_site.verbs import Refused
from queues import webhook_alerts, webhook_metrics, webhook_sending, webhooks
from queues.models import Job, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from queues.webhook_sending import WebhookSender
from tests.factories import WebhookEndpointFactory
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


# --- What is told ---------------------------------------------------------------------------------


def test_a_finished_job_is_told_to_every_address_of_its_organisation_that_wants_it() -> None:
    wants = WebhookEndpointFactory(events=["job.done"])
    all_of_them = WebhookEndpointFactory(organisation=wants.organisation)
    errors = WebhookEndpointFactory(organisation=wants.organisation, events=["job.error"])
    WebhookEndpointFactory(organisation=wants.organisation, enabled=False)
    WebhookEndpointFactory()
    assert webhooks.announce(finished(wants)) == 2
    assert webhooks.announce(finished(wants, Job.Status.ERROR)) == 2
    told = WebhookDelivery.objects.values_list("endpoint", "event")
    assert sorted(told, key=str) == sorted(
        [
            (wants.pk, "job.done"),
            (all_of_them.pk, "job.done"),
            (all_of_them.pk, "job.error"),
            (errors.pk, "job.error"),
        ],
        key=str,
    )


@pytest.mark.parametrize("status", [Job.Status.CANCELLED, Job.Status.RUNNING, Job.Status.IN_DOUBT])
def test_nothing_but_done_and_error_is_told(status: str) -> None:
    endpoint = WebhookEndpointFactory()
    assert webhooks.announce(finished(endpoint, status)) == 0


def test_many_jobs_are_told_of_in_as_many_statements_as_one(
    django_assert_num_queries: Any,
) -> None:
    endpoint = WebhookEndpointFactory()
    jobs = [finished(endpoint) for _ in range(20)]
    with django_assert_num_queries(3 if connections["default"].vendor == "postgresql" else 2):
        assert webhooks.announce_all(jobs) == 20


def test_a_message_says_how_the_job_ended_and_holds_no_inputs() -> None:
    endpoint = WebhookEndpointFactory()
    result = {"results": [{"name": "rows.json", "path": "results/x", "sha256": "0"}]}
    job = finished(
        endpoint,
        Job.Status.ERROR,
        result=result,
        inputs={"secret": "inputs are nobody's business"},
        error_class="site",
        error_log="password=hunter2 was wrong",
    )
    webhooks.announce(job)
    delivery = endpoint.deliveries.get()
    told = json.loads(webhooks.body(delivery))
    data = told.pop("data")
    assert (told.pop("type"), list(told)) == ("job.error", ["timestamp"])
    assert data.pop("finishedAt").endswith("Z")
    assert "hunter2" not in data.pop("message")
    assert data == {
        "jobId": str(job.case_id),
        "orgId": str(job.organisation_id),
        "providerId": "1",
        "flowId": "1",
        "status": "error",
        "errorClass": "site",
        "results": ["rows.json"],
    }
    assert b"business" not in webhooks.body(delivery)
    assert delivery.case_id == job.case_id


def test_a_message_is_never_larger_than_a_webhook_may_be() -> None:
    endpoint = WebhookEndpointFactory()
    names = [{"name": f"{number}-{'ñ' * 40}.pdf"} for number in range(2000)]
    webhooks.announce(finished(endpoint, result={"results": names}, error_log="é" * 5000))
    body = webhooks.body(endpoint.deliveries.get())
    assert len(body) <= webhooks.LARGEST
    assert json.loads(body)["data"]["results"]


def test_organisations_are_told_of_their_own_jobs_alone() -> None:
    ours, theirs = WebhookEndpointFactory(), WebhookEndpointFactory()
    assert webhooks.announce_all([finished(ours), finished(theirs)]) == 2
    for endpoint in (ours, theirs):
        told = endpoint.deliveries.get()
        assert told.payload["data"]["orgId"] == str(endpoint.organisation_id)
        assert told.organisation_id == endpoint.organisation_id


# --- Attempts, and giving up ----------------------------------------------------------------------


def test_the_attempts_of_a_message_last_for_three_days() -> None:
    waits = [webhooks.wait_after(done, webhooks.ATTEMPTS) for done in range(1, webhooks.ATTEMPTS)]
    assert webhooks.wait_after(webhooks.ATTEMPTS, webhooks.ATTEMPTS) is None
    for wait, least in zip(waits, webhooks.WAITS, strict=True):
        assert wait and least <= wait <= least * 1.1
    assert timedelta(days=3) < sum(webhooks.WAITS, timedelta()) < timedelta(days=3.5)
    again = webhooks.wait_after(webhooks.ATTEMPTS + 1, 2 * webhooks.ATTEMPTS)
    assert again and again < timedelta(seconds=6)


def test_a_message_that_never_arrives_fails_and_can_be_resent(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = queued(receiver.url("/503"))
    for _ in range(webhooks.ATTEMPTS):
        come_due()
        work_off(sender)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.FAILED, webhooks.ATTEMPTS)
    assert len(receiver.heard) == webhooks.ATTEMPTS
    WebhookEndpoint.objects.update(url=receiver.url("/ok"))
    assert webhooks.resend(delivery, "mended")
    work_off(sender)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.DELIVERED, webhooks.ATTEMPTS + 1)
    assert len({headers["webhook-id"] for _path, headers, _body in receiver.heard}) == 1


def test_a_message_under_way_is_not_resent() -> None:
    delivery = queued("http://127.0.0.1:9/")
    assert not webhooks.resend(delivery, "again")
    (taken,) = WebhookDelivery.objects.take("s", timedelta(minutes=1))
    assert not webhooks.resend(taken, "again")


def test_all_that_failed_since_then_is_resent() -> None:
    endpoint = WebhookEndpointFactory()
    webhooks.announce_all([finished(endpoint) for _ in range(5)])
    old, failed, cancelled, arrived, _waits = endpoint.deliveries.order_by("id")
    began = timezone.now() - timedelta(hours=1)
    WebhookDelivery.objects.filter(pk=old.pk).update(created_at=began - timedelta(hours=1))
    for row in (old, failed, arrived):
        row.move(Status.SENDING)
        row.move(Status.DELIVERED if row is arrived else Status.FAILED)
    cancelled.move(Status.CANCELLED)
    assert webhooks.resend_failed(endpoint, began, "mended") == 2
    waiting = WebhookDelivery.objects.filter(status=Status.PENDING)
    assert waiting.count() == 3
    assert webhooks.resend_failed(endpoint, began, "mended") == 0


def test_an_address_that_is_gone_is_disabled_at_once(
    sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint = WebhookEndpointFactory(url=receiver.url("/410"))
    webhooks.announce_all([finished(endpoint) for _ in range(8)])
    work_off(sender)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, "410" in endpoint.disabled_because) == (False, True)
    assert len(receiver.heard) <= webhook_sending.OF_ONE
    left = set(endpoint.deliveries.values_list("status", flat=True))
    assert left == {Status.FAILED, Status.CANCELLED}
    event = Event.objects.get(object_type="queues.webhookendpoint", new="disabled")
    assert event.object_id == str(endpoint.pk)
    (reading,) = webhook_alerts.given_up()
    assert reading.value == 1 and endpoint.organisation.name in reading.message
    with pytest.raises(Refused):
        webhooks.resend(endpoint.deliveries.select_related("endpoint")[0], "again")
    assert webhooks.announce(finished(endpoint)) == 0
    assert webhooks.enable(endpoint, "it is there again")
    assert not webhooks.enable(endpoint, "twice")
    assert list(webhook_alerts.given_up()) == []


@pytest.mark.parametrize(
    ("days", "calls", "is_dead"),
    [(3.1, 0, True), (2.9, 0, False), (1.1, 50, True), (1.1, 30, False), (0.9, 60, False)],
)
def test_an_address_that_fails_for_long_is_disabled(
    days: float, calls: int, is_dead: bool, sender: WebhookSender, receiver: Receiver
) -> None:
    since = timezone.now() - timedelta(days=days)
    delivery = queued(receiver.url("/500"), failing_since=since)
    WebhookAttempt.objects.bulk_create(
        WebhookAttempt(delivery=delivery, number=1, at=since + timedelta(minutes=1), seconds=0)
        for _ in range(calls)
    )
    work_off(sender)
    endpoint = WebhookEndpoint.objects.get()
    delivery.refresh_from_db()
    assert (not endpoint.enabled) is is_dead
    assert delivery.status == (Status.FAILED if is_dead else Status.PENDING)


def test_one_success_and_an_address_is_not_failing_any_more(
    sender: WebhookSender, receiver: Receiver
) -> None:
    delivery = sent(sender, receiver.url("/500"))
    assert WebhookEndpoint.objects.get().failing_since
    WebhookEndpoint.objects.update(url=receiver.url("/ok"))
    come_due()
    work_off(sender)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.error_class) == (Status.DELIVERED, "")
    assert WebhookEndpoint.objects.get().failing_since is None


def test_a_person_disables_without_an_alert_and_what_waits_is_cancelled(
    sender: WebhookSender,
) -> None:
    delivery = queued("http://127.0.0.1:9/", failing_since=timezone.now())
    assert webhooks.disable(delivery.endpoint, "we move house")
    assert not webhooks.disable(delivery.endpoint, "twice")
    delivery.refresh_from_db()
    assert delivery.status == Status.CANCELLED
    assert list(webhook_alerts.given_up()) == []
    assert not sender.step()


def test_a_test_message_is_tried_once(sender: WebhookSender, receiver: Receiver) -> None:
    endpoint = WebhookEndpointFactory(url=receiver.url("/500"))
    webhooks.ping(endpoint)
    work_off(sender)
    assert endpoint.deliveries.get().status == Status.FAILED
    told = json.loads(receiver.heard[0][2])
    assert (told["type"], told["data"]) == ("ping", {"test": True, "webhookId": str(endpoint.pk)})
    with pytest.raises(Refused):
        webhooks.ping(WebhookEndpointFactory(enabled=False))


def test_a_message_that_nobody_sends_is_an_alert() -> None:
    (reading,) = webhook_alerts.late_messages()
    assert reading.value == 0
    delivery = queued("http://127.0.0.1:9/")
    ago = timezone.now().astimezone(UTC) - timedelta(minutes=20)
    WebhookDelivery.objects.filter(pk=delivery.pk).update(available_at=ago)
    (reading,) = webhook_alerts.late_messages()
    assert 19 < (reading.value or 0) < 21


# --- Forgotten ------------------------------------------------------------------------------------


def ended(days: float, status: str, **values: Any) -> WebhookDelivery:
    """A message that was written and ended so long ago, with one call."""
    at = timezone.now() - timedelta(days=days)
    delivery = queued("http://127.0.0.1:9/")
    WebhookAttempt.objects.create(delivery=delivery, number=1, at=at, seconds=0.1)
    values = {"created_at": at, "processed_at": at, "status": status, **values}
    WebhookDelivery.objects.filter(pk=delivery.pk).update(**values)
    return delivery


def test_what_ended_a_month_ago_is_forgotten_with_its_calls(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(webhooks, "AT_ONCE", 2)
    settings.WEBHOOK_KEEP = timedelta(days=30)
    waiting = ended(40, Status.PENDING, processed_at=None)
    for status in webhooks.ENDED:
        ended(31, status)
    resent = ended(60, Status.DELIVERED, processed_at=timezone.now())
    never_stamped = ended(31, Status.CANCELLED, processed_at=None)
    fresh = ended(29, Status.FAILED)
    assert webhooks.forget_old() == len(webhooks.ENDED) + 1
    kept = set(WebhookDelivery.objects.values_list("pk", flat=True))
    assert kept == {waiting.pk, resent.pk, fresh.pk} and never_stamped.pk not in kept
    assert set(WebhookAttempt.objects.values_list("delivery", flat=True)) == kept
    assert webhooks.forget_old() == 0


def test_a_message_that_is_cancelled_says_when() -> None:
    delivery = queued("http://127.0.0.1:9/")
    webhooks.disable(delivery.endpoint, "moved")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.processed_at is not None) == (Status.CANCELLED, True)


# --- Seen from outside ----------------------------------------------------------------------------


def test_the_command_sends_what_is_due_and_ends(
    receiver: Receiver, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator_site.sessions.close_old_connections", lambda: None)
    delivery = queued(receiver.url())
    queued(receiver.url("/500"))
    call_command("sendwebhooks", "--drain", "--json")
    assert json.loads(capsys.readouterr().out)["calls"] == 2
    delivery.refresh_from_db()
    assert delivery.status == Status.DELIVERED
    assert Lease.objects.get(name="webhooks").expires_at is None


def test_figures_tell_what_waits_since_when_and_which_addresses_are_off() -> None:
    late = queued("http://127.0.0.1:9/")
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    webhooks.disable(WebhookEndpointFactory(organisation=late.organisation), "moved")
    WebhookEndpointFactory(enabled=False, failing_since=timezone.now())
    figures = {
        (sample.name.removeprefix("orchestrator_"), *sample.labels.values()): sample.value
        for metric in webhook_metrics.collect()
        for sample in metric.samples
    }
    assert figures.pop(("webhook_oldest_message_seconds",)) == pytest.approx(600, abs=30)
    assert figures == {
        ("webhook_messages", "pending"): 1,
        ("webhook_messages", "sending"): 0,
        ("webhooks", "enabled"): 1,
        ("webhooks", "failing"): 0,
        ("webhooks", "disabled"): 1,
        ("webhooks", "given_up"): 1,
    }
