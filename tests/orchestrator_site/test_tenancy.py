"""Two organisations: each route, each list, each filter, and nothing of the other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from brain.models import ConnectedProvider, Flow, Provider
from orchestrator_site import tenancy
from orchestrator_site.models import ApiKey, Event, Member
from orchestrator_site.urls import control, router
from queues.models import EvidenceFile, Job, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.factories import (
    ConnectedProviderFactory,
    JobFactory,
    MemberFactory,
    OrganisationFlowFactory,
    ProviderFactory,
    WebhookEndpointFactory,
)

pytestmark = pytest.mark.django_db
API = "/api/v1/"
# What everybody may know of.
OPEN = {"providers"}


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    cache.clear()


@dataclass
class Place:
    """An organisation with a row of each kind. `ids`: by the list's name, as addresses have them;
    `marks`: words that stand in its rows and nowhere else."""

    member: Member
    client: Client
    ids: dict[str, str]
    marks: list[str]


def place(word: str, provider: Provider) -> Place:
    member = MemberFactory(user=f"{word}@example.com", organisation__name=f"Company {word}")
    organisation = member.organisation
    flow = OrganisationFlowFactory(
        organisation=organisation, provider=provider, title=f"title {word}", name=f"flow-{word}"
    )
    connection = ConnectedProviderFactory(member=member, provider=provider)
    job = JobFactory(member=member, flow_name=f"flow-{word}", metadata={"mark": word})
    EvidenceFile.objects.create(
        case_id=job.case_id,
        object_type="queues.job",
        object_id=str(job.pk),
        attempt=1,
        kind="log",
        path=f"{job.folder}/execution.log",
        size=1,
        sha256="a" * 64,
    )
    endpoint = WebhookEndpointFactory(organisation=organisation, url=f"https://{word}.example/h")
    delivery = WebhookDelivery.objects.create(
        organisation=organisation,
        endpoint=endpoint,
        case_id=job.case_id,
        event="job.done",
        payload={"mark": word},
    )
    WebhookAttempt.objects.create(delivery=delivery, number=1, at=timezone.now(), seconds=1)
    key = ApiKey(name=f"key-{word}", user=member.user, scope="admin")
    text = key.issue()
    key.save()
    return Place(
        member,
        Client(headers={"Authorization": f"Bearer {text}"}),
        {
            "flows": str(flow.pk),
            "connections": str(connection.pk),
            "jobs": str(job.case_id),
            "webhooks": str(endpoint.pk),
            "webhook-deliveries": str(delivery.pk),
            "keys": str(key.pk),
            "organisation/members": str(member.pk),
        },
        [word, str(organisation.pk), str(job.case_id), str(connection.pk), str(endpoint.pk)],
    )


@pytest.fixture
def ours() -> Place:
    return place("aurora", ProviderFactory())


@pytest.fixture
def theirs(ours: Place) -> Place:
    return place("boreal", Provider.objects.get())


def leaked(answer: Any, of: Place) -> list[str]:
    text = answer.content.decode()
    return [mark for mark in of.marks if mark in text]


def routes() -> list[tuple[str, str, str]]:
    """Each method of each address that names a row: the list's name, method, what follows."""
    found = []
    for prefix, viewset, _name in control.registry:
        own = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
        found += [(prefix, m, "") for m, name in own.items() if hasattr(viewset, name)]
        found += [
            (prefix, method, f"/{extra.url_path}")
            for extra in viewset.get_extra_actions()
            if extra.detail
            for method in extra.mapping
        ]
    return found


def test_the_matrix_knows_every_list(ours: Place) -> None:
    assert {prefix for prefix, _viewset, _name in control.registry} == {*ours.ids, *OPEN}


def test_another_organisation_s_row_is_not_found_whatever_is_asked(
    ours: Place, theirs: Place
) -> None:
    before = counts()
    asked = 0
    for prefix, method, extra in routes():
        if prefix in OPEN:
            continue
        path = f"{API}{prefix}/{theirs.ids[prefix]}{extra}"
        body = {"reason": "curious", "since": "2020-01-01T00:00:00Z"}
        answer = ours.client.generic(method.upper(), path, json.dumps(body), "application/json")
        # 403: what no member may do to any row, its own or not.
        assert answer.status_code in (404, 403), f"{method} {path}"
        assert answer.status_code == 404 or method in ("put", "patch"), f"{method} {path}"
        assert not leaked(answer, theirs), path
        asked += 1
    assert asked > 20
    assert counts() == before


def test_a_row_of_another_organisation_is_told_as_one_that_is_not_there(
    ours: Place, theirs: Place
) -> None:
    nowhere = {
        "flows": "999999",
        "connections": "01910000-0000-7000-8000-000000000000",
        "jobs": "01910000-0000-7000-8000-000000000000",
        "webhooks": "01910000-0000-7000-8000-000000000000",
        "webhook-deliveries": "999999",
    }
    for prefix, unknown in nowhere.items():
        there = ours.client.get(f"{API}{prefix}/{theirs.ids[prefix]}/")
        gone = ours.client.get(f"{API}{prefix}/{unknown}/")
        assert (there.status_code, there.content) == (gone.status_code, gone.content)


def test_one_s_own_rows_are_there(ours: Place) -> None:
    for prefix, pk in ours.ids.items():
        if prefix in ("keys", "organisation/members"):
            continue
        assert ours.client.get(f"{API}{prefix}/{pk}/").status_code == 200, prefix


def test_no_list_holds_a_row_of_another_organisation(ours: Place, theirs: Place) -> None:
    for prefix in ours.ids:
        answer = ours.client.get(f"{API}{prefix}/")
        assert len(answer.json()["results"]) == 1, prefix
        assert not leaked(answer, theirs)


def test_no_filter_reaches_the_rows_of_another_organisation(ours: Place, theirs: Place) -> None:
    for prefix, viewset, _name in control.registry:
        names = list(getattr(viewset, "filterset_fields", ()))
        if filters := getattr(viewset, "filterset_class", None):
            names = list(filters.get_filters())
        for name in (*names, "organisation", "user"):
            for value in theirs.marks[:2]:
                answer = ours.client.get(f"{API}{prefix}/", {name: value})
                assert answer.status_code in (200, 400), f"{prefix} {name}"
                # What was asked for may be repeated, in a refusal.
                assert set(leaked(answer, theirs)) <= {value}, f"{prefix} {name}"
                rows = answer.json().get("results", ())
                assert theirs.ids.get(prefix) not in [str(row.get("id")) for row in rows]


def test_a_filter_by_another_organisation_finds_nothing(ours: Place, theirs: Place) -> None:
    organisation = str(theirs.member.organisation_id)
    assert ours.client.get(f"{API}jobs/", {"orgId": organisation}).json()["results"] == []


def test_a_body_that_names_another_organisation_s_row_is_told_as_if_it_named_nothing(
    ours: Place, theirs: Place
) -> None:
    provider = str(Provider.objects.get().pk)

    def ask(flow: str) -> Any:
        body = {"providerId": provider, "flowId": flow}
        return ours.client.post(f"{API}run/", body, "application/json")

    refused, unknown = ask(theirs.ids["flows"]), ask("999999")
    assert (refused.status_code, refused.content) == (unknown.status_code, unknown.content)
    assert refused.status_code == 400


def test_the_comparison_of_versions_reaches_no_other_organisation(
    ours: Place, theirs: Place
) -> None:
    path = f"{API}flows/{ours.ids['flows']}/differences/"
    assert ours.client.get(path, {"with": theirs.ids["flows"]}).status_code == 404


def test_the_place_in_the_queue_tells_nothing_of_others(ours: Place, theirs: Place) -> None:
    JobFactory.create_batch(3, member=theirs.member, priority=9)
    answer = ours.client.get(f"{API}jobs/{ours.ids['jobs']}/status/")
    assert answer.json()["position"] == 0


def test_the_same_idempotency_key_is_two_keys_of_two_organisations(
    ours: Place, theirs: Place
) -> None:
    body = {"providerId": str(Provider.objects.get().pk), "idempotencyKey": "same"}
    first, second = (
        one.client.post(f"{API}run/", body, "application/json") for one in (ours, theirs)
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["jobId"] != second.json()["jobId"]


def test_a_member_reads_no_list_of_the_office_s_own(ours: Place) -> None:
    Event.record([ours.member], "", "member")
    for prefix, _viewset, _name in router.registry:
        for path in (f"{API}{prefix}/", f"{API}{prefix}/1/"):
            assert ours.client.get(path).status_code in (403, 404), path
    for path in ("brain", "distribution", "shares", "post-processing"):
        assert ours.client.get(f"{API}{path}/").status_code == 403, path
    for path in ("brain/pause", "brain/resume", "distribution/pause", "shares/simulate"):
        body = {"reason": "curious"}
        assert ours.client.post(f"{API}{path}/", body, "application/json").status_code == 403


def test_a_member_opens_no_page_and_no_file_of_the_office(ours: Place) -> None:
    client = Client()
    client.force_login(ours.member.user)
    evidence = EvidenceFile.objects.get().pk
    assert client.get(f"/evidence/{evidence}/").status_code == 403
    assert client.get("/media/attachments/x").status_code == 403
    assert client.get("/metrics").status_code == 404
    for path in ("/admin/", "/admin/queues/job/", "/admin/brain/flow/", "/admin/distribution/"):
        assert client.get(path).status_code == 302, path
    assert client.post("/brain/switch", {"do": "pause"}).status_code in (302, 403)


def test_our_staff_see_every_organisation_s_rows(
    ours: Place, theirs: Place, signed_in: Any
) -> None:
    staff = signed_in("operator")
    for prefix in ("flows", "connections", "jobs", "webhooks", "webhook-deliveries"):
        assert len(staff.get(f"{API}{prefix}/").json()["results"]) == 2, prefix


def test_who_is_neither_a_member_nor_staff_sees_nothing(ours: Place) -> None:
    lost = User.objects.create_user("lost")
    for nobody in (lost, AnonymousUser(), None):
        assert not tenancy.visible(Job.objects.all(), nobody).exists()
    for model in (Job, Flow, ConnectedProvider, WebhookEndpoint):
        assert tenancy.visible(model.objects.all(), ours.member.user).count() == 1


def test_a_signed_address_of_a_file_is_of_that_file_alone(ours: Place, theirs: Place) -> None:
    (result,) = ours.client.get(f"{API}jobs/{ours.ids['jobs']}/results/").json()["results"]
    signed = result["url"].rpartition("/")[2]
    payload, rest = signed.split(":", 1)
    assert ours.member.organisation_id.hex not in payload
    for wrong in (f"{payload}A:{rest}", f"{payload}:{rest[:-1]}", payload, "x"):
        assert Client().get(f"{API}files/{wrong}").status_code == 404


def counts() -> dict[str, Any]:
    """What a successful verb would have changed."""
    return {
        "jobs": list(Job.objects.order_by("pk").values_list("status", "priority")),
        "flows": list(Flow.objects.order_by("pk").values_list("active", "approved_at")),
        "sessions": list(ConnectedProvider.objects.order_by("pk").values_list("status")),
        "webhooks": list(WebhookEndpoint.objects.order_by("pk").values_list("enabled", "url")),
        "deliveries": list(WebhookDelivery.objects.order_by("pk").values_list("status")),
        "keys": ApiKey.objects.filter(expires_at__isnull=True).count(),
        "people": User.objects.filter(is_active=True).count(),
        "later": Job.objects.filter(created_at__gt=timezone.now() + timedelta(days=1)).count(),
    }
