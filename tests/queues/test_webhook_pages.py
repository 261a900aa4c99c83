"""Webhooks over the API and in the admin: whose they are, secrets shown once, verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site.models import ApiKey, Event, Member
from queues import webhooks
from queues.models import Job, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.factories import JobFactory, MemberFactory, OrganisationFactory, WebhookEndpointFactory

pytestmark = pytest.mark.django_db
API = "/api/v1/webhooks"
DELIVERIES = "/api/v1/webhook-deliveries"
URL = "http://127.0.0.1:9/hook"
SECRETS = ("whsec_", "secret")
Status = WebhookDelivery.Status
SignedIn = Callable[[str], Client]


@pytest.fixture(autouse=True)
def near(settings: Any) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    cache.clear()


@pytest.fixture
def member(db: None) -> Member:
    return MemberFactory()


@pytest.fixture
def client_of() -> Callable[[Any], Client]:
    def make(user: Any) -> Client:
        row = ApiKey(name="login", user=user, scope=ApiKey.Scope.ADMIN)
        key = row.issue()
        row.save()
        return Client(headers={"Authorization": f"Bearer {key}"})

    return make


@pytest.fixture
def ours(member: Member, client_of: Callable[[Any], Client]) -> Client:
    return client_of(member.user)


def endpoint_of(member: Member, **values: Any) -> WebhookEndpoint:
    return WebhookEndpointFactory(organisation=member.organisation, **values)


def message(endpoint: WebhookEndpoint, status: str = Status.PENDING) -> WebhookDelivery:
    job = JobFactory(member__organisation=endpoint.organisation, status=Job.Status.DONE)
    webhooks.announce(job)
    row = endpoint.deliveries.get(case_id=job.case_id)
    if status != Status.PENDING:
        row.move(Status.SENDING)
        row.move(status)
        WebhookAttempt.objects.create(
            delivery=row, number=1, at=timezone.now(), seconds=0.1, status_code=500, body="no"
        )
    return row


def post(client: Client, path: str, data: Any = None) -> Any:
    return client.post(path, data or {}, content_type="application/json")


# --- The API --------------------------------------------------------------------------------------


def test_a_secret_is_shown_when_a_webhook_is_made_and_never_again(
    ours: Client, member: Member
) -> None:
    made = post(ours, API, {"url": URL, "events": ["job.error", "job.error"]})
    assert made.status_code == 201, made.content
    row = WebhookEndpoint.objects.get()
    assert made.json()["secret"] == row.secret
    assert (row.organisation, row.events, row.enabled) == (
        member.organisation,
        ["job.error"],
        True,
    )
    for path in (API, f"{API}/{row.pk}"):
        answer = ours.get(path)
        assert answer.status_code == 200
        assert not any(word in answer.content.decode() for word in SECRETS)
    event = Event.objects.get(object_type="queues.webhookendpoint")
    assert (event.new, "whsec_" in str(event.data)) == ("made", False)


def test_a_secret_is_rotated_and_the_new_one_shown(ours: Client, member: Member) -> None:
    row = endpoint_of(member)
    old = row.secret
    told = post(ours, f"{API}/{row.pk}/rotate-secret").json()
    row.refresh_from_db()
    assert told["secret"] == row.secret != old == row.old_secret
    assert row.old_secret_until and row.old_secret_until > timezone.now() + timedelta(hours=23)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "https://169.254.169.254/", "ftp://127.0.0.1/", "hook", "a" * 600]
)
def test_an_address_that_may_not_be_called_is_not_taken(
    url: str, ours: Client, member: Member
) -> None:
    answer = post(ours, API, {"url": url})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["url"])
    row = endpoint_of(member)
    changed = ours.patch(f"{API}/{row.pk}", {"url": url}, content_type="application/json")
    assert changed.status_code == 400
    assert not WebhookEndpoint.objects.exclude(pk=row.pk).exists()


def test_what_is_changed_is_written_and_nothing_else(ours: Client, member: Member) -> None:
    row = endpoint_of(member, failing_since=timezone.now())
    elsewhere = OrganisationFactory()
    given = {"events": ["job.done"], "enabled": False, "orgId": str(member.organisation_id)}
    answer = ours.patch(f"{API}/{row.pk}", given, content_type="application/json")
    assert answer.status_code == 200, answer.content
    foreign = {"orgId": str(elsewhere.pk)}
    refused = ours.patch(f"{API}/{row.pk}", foreign, content_type="application/json")
    unknown = {"orgId": "00000000-0000-7000-8000-000000000000"}
    same = ours.patch(f"{API}/{row.pk}", unknown, content_type="application/json")
    assert refused.status_code == same.status_code == 400  # neither is known to a member
    row.refresh_from_db()
    assert (row.events, row.enabled, row.organisation) == (["job.done"], True, member.organisation)
    assert row.failing_since


def test_an_organisation_has_only_so_many(ours: Client, member: Member) -> None:
    for _ in range(20):
        endpoint_of(member)
    WebhookEndpointFactory()
    assert post(ours, API, {"url": URL}).status_code == 400


def test_another_organisations_webhooks_and_messages_are_not_there(
    ours: Client, member: Member
) -> None:
    theirs = WebhookEndpointFactory()
    sent = message(theirs, Status.FAILED)
    asked = [
        ours.get(f"{API}/{theirs.pk}"),
        ours.patch(f"{API}/{theirs.pk}", {"events": []}, content_type="application/json"),
        ours.delete(f"{API}/{theirs.pk}"),
        *(
            post(ours, f"{API}/{theirs.pk}/{verb}", {"since": "2026-01-01T00:00:00Z"})
            for verb in ("ping", "enable", "disable", "rotate-secret", "resend-failed")
        ),
        ours.get(f"{DELIVERIES}/{sent.pk}"),
        post(ours, f"{DELIVERIES}/{sent.pk}/resend"),
    ]
    assert [answer.status_code for answer in asked] == [404] * len(asked)
    for path in (API, DELIVERIES, f"{DELIVERIES}?webhookId={theirs.pk}"):
        assert ours.get(path).json()["results"] == []
    sent.refresh_from_db()
    assert sent.status == Status.FAILED


def test_staff_make_one_for_an_organisation(
    person: Callable[[str], Any], client_of: Callable[[Any], Client], member: Member
) -> None:
    staff = client_of(person("admin"))
    assert list(post(staff, API, {"url": URL}).json()["error"]["fields"]) == ["orgId"]
    made = post(staff, API, {"url": URL, "orgId": str(member.organisation_id)})
    assert made.status_code == 201
    assert len(staff.get(API).json()["results"]) == 1


def test_a_webhook_is_tried_disabled_and_enabled(ours: Client, member: Member) -> None:
    row = endpoint_of(member)
    pinged = post(ours, f"{API}/{row.pk}/ping")
    assert (pinged.status_code, pinged.json()["event"]) == (202, "ping")
    assert post(ours, f"{API}/{row.pk}/enable").status_code == 409
    disabled = post(ours, f"{API}/{row.pk}/disable", {"reason": "we move house"})
    assert (disabled.status_code, disabled.json()["enabled"]) == (200, False)
    assert disabled.json()["disabledBecause"] == "we move house"
    assert post(ours, f"{API}/{row.pk}/ping").status_code == 409
    since = {"since": "2026-01-01T00:00:00Z"}
    assert post(ours, f"{API}/{row.pk}/resend-failed", since).status_code == 409
    assert post(ours, f"{API}/{row.pk}/enable").json()["enabled"] is True
    assert post(ours, f"{API}/{row.pk}/resend-failed", since).json() == {"resent": 1}
    assert post(ours, f"{API}/{row.pk}/resend-failed").status_code == 400


def test_a_message_shows_every_attempt_and_is_resent(ours: Client, member: Member) -> None:
    row = message(endpoint_of(member), Status.FAILED)
    shown = ours.get(f"{DELIVERIES}/{row.pk}").json()
    assert shown["jobId"] == str(row.case_id)
    assert shown["payload"]["data"]["status"] == "done"
    (call,) = shown["calls"]
    assert (call["number"], call["statusCode"], call["body"]) == (1, 500, "no")
    (listed,) = ours.get(f"{DELIVERIES}?status=failed&jobId={row.case_id}").json()["results"]
    assert "payload" not in listed
    resent = post(ours, f"{DELIVERIES}/{row.pk}/resend")
    assert (resent.status_code, resent.json()["status"]) == (200, "pending")
    assert resent.json()["nextAttemptAt"]
    assert post(ours, f"{DELIVERIES}/{row.pk}/resend").status_code == 409


def test_messages_are_found_without_a_query_each(
    ours: Client, member: Member, django_assert_max_num_queries: Any
) -> None:
    endpoint = endpoint_of(member)
    for _ in range(5):
        message(endpoint, Status.FAILED)
    with django_assert_max_num_queries(12):
        assert len(ours.get(DELIVERIES).json()["results"]) == 5


# --- The admin ------------------------------------------------------------------------------------


def page(row: Any, name: str = "change") -> str:
    return reverse(f"admin:queues_{row._meta.model_name}_{name}", args=[row.pk])


def listed(model: Any) -> str:
    return reverse(f"admin:queues_{model._meta.model_name}_changelist")


def told(answer: Any) -> str:
    return " ".join(str(one) for one in get_messages(answer.wsgi_request))


def test_the_pages_show_what_was_sent_and_no_secret(signed_in: SignedIn, member: Member) -> None:
    client = signed_in("viewer")
    endpoint = endpoint_of(member, enabled=False, failing_since=timezone.now())
    row = message(WebhookEndpointFactory(organisation=member.organisation), Status.FAILED)
    call = row.calls.get()
    for path in (
        *(listed(model) for model in (WebhookEndpoint, WebhookDelivery, WebhookAttempt)),
        *(page(one) for one in (endpoint, row.endpoint, row, call)),
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "whsec_" not in answer.content.decode()
    shown = client.get(page(row)).content.decode()
    assert str(row.case_id) in shown and "500" in shown


def test_an_admin_makes_a_webhook_and_sees_its_secret_once(
    signed_in: SignedIn, member: Member
) -> None:
    client = signed_in("admin")
    path = reverse("admin:queues_webhookendpoint_add")
    given = {"organisation": str(member.organisation_id), "url": URL, "events": ["job.done"]}
    refused = client.post(path, {**given, "url": "https://10.0.0.1/"})
    assert list(refused.context["adminform"].form.errors) == ["url"]
    assert not WebhookEndpoint.objects.exists()
    made = client.post(path, given)
    row = WebhookEndpoint.objects.get()
    assert (row.url, row.events) == (URL, ["job.done"])
    assert row.secret in told(made)
    first, second = (client.get(page(row)).content.decode() for _ in range(2))
    assert row.secret in first  # the message that waited for a page
    assert row.secret not in second


def test_a_change_of_the_address_touches_nothing_that_the_sender_writes(
    signed_in: SignedIn, member: Member
) -> None:
    client = signed_in("admin")
    row = endpoint_of(member, failing_since=timezone.now())
    secret = row.secret
    assert client.post(page(row), {"url": f"{URL}/new"}).status_code == 302
    row.refresh_from_db()
    assert (row.url, row.secret, row.organisation) == (f"{URL}/new", secret, member.organisation)
    assert row.failing_since


def test_an_operator_rotates_and_the_new_secret_is_shown(
    signed_in: SignedIn, member: Member
) -> None:
    client = signed_in("operator")
    row = endpoint_of(member)
    old = row.secret
    path = reverse("admin:queues_webhookendpoint_verb", args=[row.pk, "rotate_secret"])
    asked = client.get(path)
    assert (asked.status_code, told(asked)) == (200, "")
    done = client.post(path, {"confirmed": "1", "reason": "it leaked"})
    row.refresh_from_db()
    assert row.secret != old
    assert row.secret in told(done)


@pytest.mark.parametrize("verb", ["ping", "disable"])
def test_an_operators_verbs_on_a_webhook(verb: str, signed_in: SignedIn, member: Member) -> None:
    client = signed_in("operator")
    row = endpoint_of(member)
    path = reverse("admin:queues_webhookendpoint_verb", args=[row.pk, verb])
    client.post(path, {"confirmed": "1", "reason": "because"})
    row.refresh_from_db()
    assert row.enabled is (verb == "ping")
    assert row.deliveries.count() == (verb == "ping")


def test_many_messages_are_resent_from_the_list(signed_in: SignedIn, member: Member) -> None:
    client = signed_in("operator")
    endpoint = endpoint_of(member)
    rows = [message(endpoint, Status.FAILED) for _ in range(3)]
    given = {
        "action": "resend",
        "_selected_action": [str(row.pk) for row in rows],
        "confirmed": "1",
        "reason": "it is mended",
    }
    client.post(listed(WebhookDelivery), given)
    assert endpoint.deliveries.filter(status=Status.PENDING).count() == 3


def test_a_viewer_does_nothing(signed_in: SignedIn, member: Member) -> None:
    client = signed_in("viewer")
    row = endpoint_of(member)
    path = reverse("admin:queues_webhookendpoint_verb", args=[row.pk, "disable"])
    assert client.post(path, {"confirmed": "1", "reason": "because"}).status_code == 403
    row.refresh_from_db()
    assert row.enabled
