"""A run is asked for: the checks in their order, the payload, the order that becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from brain import alerts, running
from brain.models import ConnectedProvider, Flow, Provider
from brain.running import Refused
from orchestrator_site.models import Event, Member
from queues.browser import scripts, signing
from queues.models import Job
from tests.factories import (
    ConnectedProviderFactory,
    MemberFactory,
    OrganisationFlowFactory,
    ProviderFactory,
)

pytestmark = pytest.mark.django_db
STEPS = [
    {"do": "navigate", "url": "http://127.0.0.1:8001/sede/"},
    {"do": "fill", "selector": "#n", "value": "{{ payload.invoice }}"},
]
INPUTS = {
    "invoice": {"type": "string", "required": True, "pattern": "[A-Z]-[0-9]+", "max_length": 12},
    "copies": {"type": "integer", "default": 1},
    "amount": {"type": "number"},
    "since": {"type": "date"},
    "kind": {"type": "string", "choices": ["paid", "open"]},
    "quiet": {"type": "boolean"},
}
Status = ConnectedProvider.Status


@pytest.fixture
def member() -> Member:
    return MemberFactory()


@pytest.fixture
def provider() -> Provider:
    return ProviderFactory(name="cargill", hosts=["*.example.com"])


@pytest.fixture
def connection(member: Member, provider: Provider) -> ConnectedProvider:
    return ConnectedProviderFactory(member=member, provider=provider)


@pytest.fixture
def flow(member: Member, provider: Provider) -> Flow:
    return OrganisationFlowFactory(
        organisation=member.organisation,
        provider=provider,
        steps=STEPS,
        inputs=INPUTS,
        hosts=["files.example.org"],
        label="1.2.0",
    )


def ask(member: Member, provider: Provider, **more: Any) -> Job:
    more.setdefault("inputs", {"invoice": "A-1"})
    return running.run(member.user, provider, **more)[0]


def code(member: Member, provider: Provider, **more: Any) -> str:
    with pytest.raises(Refused) as refused:
        ask(member, provider, **more)
    assert not Job.objects.exists()
    return refused.value.code


def test_a_run_becomes_a_job_that_carries_all_that_its_worker_needs(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    deadline = timezone.now() + timedelta(hours=1)
    job, is_new = running.run(
        member.user,
        provider,
        inputs={"invoice": "A-17", "amount": 1.5, "since": "2026-01-31", "kind": "open"},
        metadata={"test": True},
        priority=3,
        deadline=deadline,
    )
    job.refresh_from_db()
    assert (is_new, job.status, job.priority) == (True, "queued", 3)
    assert (job.organisation, job.user) == (member.organisation, member.user)
    assert (job.provider_id, job.provider_name) == (str(provider.pk), "cargill")
    assert (job.flow_id, job.flow_version) == (str(flow.pk), "1.2.0")
    assert (job.script, job.signature, job.key_id) == (flow.script, flow.signature, flow.key_id)
    assert job.hosts == ["127.0.0.1:8001", "*.example.com", "files.example.org"]
    assert job.inputs == {
        **{"invoice": "A-17", "copies": 1, "amount": 1.5, "since": "2026-01-31", "kind": "open"}
    }
    assert (job.metadata, job.deadline_at, job.needs_session) == ({"test": True}, deadline, True)


def test_each_check_comes_before_the_next_one(member: Member, provider: Provider) -> None:
    organisation = member.organisation
    organisation.active = provider.active = False
    organisation.save()
    provider.save()
    seen = [code(member, provider, inputs={})]
    organisation.active = True
    organisation.save()
    seen.append(code(member, provider, inputs={}))
    provider.active = True
    provider.save()
    seen.append(code(member, provider, inputs={}))
    connection = ConnectedProviderFactory(member=member, provider=provider)
    seen.append(code(member, provider, inputs={}))
    flow = OrganisationFlowFactory(
        organisation=organisation, provider=provider, steps=STEPS, inputs=INPUTS
    )
    sound = {"script_hash": flow.script_hash, "signature": flow.signature}
    Flow.objects.update(script_hash="0" * 64, signature="0" * 64)
    seen.append(code(member, provider, inputs={}))
    Flow.objects.update(script_hash=sound["script_hash"])
    seen.append(code(member, provider, inputs={}))
    Flow.objects.update(**sound)
    seen.append(code(member, provider, inputs={}))
    assert seen == [
        "organisation_inactive",
        "provider_inactive",
        "not_connected",
        "no_active_flow",
        "integrity",
        "signature",
        "invalid_inputs",
    ]
    assert ask(member, provider).user_id == connection.user_id


def test_who_is_no_member_or_was_shut_out_runs_nothing(
    provider: Provider, person: Any, member: Member
) -> None:
    with pytest.raises(Refused) as refused:
        running.run(person("admin"), provider)
    assert refused.value.code == "not_a_member"
    member.user.is_active = False
    assert code(member, provider) == "not_a_member"


def test_without_a_session_of_ones_own_the_message_is_the_documented_one(
    member: Member, provider: Provider, flow: Flow
) -> None:
    colleague = MemberFactory(organisation=member.organisation)
    ConnectedProviderFactory(member=colleague, provider=provider)
    with pytest.raises(Refused, match=f"^{signing.NO_SESSION}$"):
        ask(member, provider)
    row = ConnectedProviderFactory(member=member, provider=provider, status=Status.DISCONNECTED)
    assert code(member, provider) == "not_connected"
    row.move(Status.ACTIVE)
    assert ask(member, provider).status == "queued"


@pytest.mark.parametrize(
    "changed", [{"status": Status.EXPIRED}, {"expires_at": timezone.now() - timedelta(days=1)}]
)
def test_a_session_that_has_ended_holds_the_job(
    member: Member, provider: Provider, flow: Flow, changed: dict[str, Any]
) -> None:
    ConnectedProviderFactory(member=member, provider=provider, **changed)
    assert ask(member, provider).status == "held"


def test_a_provider_without_sessions_wants_none(member: Member) -> None:
    provider = ProviderFactory(needs_session=False)
    OrganisationFlowFactory(organisation=member.organisation, provider=provider)
    job = ask(member, provider, inputs={})
    assert (job.status, job.needs_session) == ("queued", False)


def test_anothers_flow_is_not_run(
    member: Member, provider: Provider, connection: ConnectedProvider
) -> None:
    theirs = OrganisationFlowFactory(provider=provider)
    assert code(member, provider) == "no_active_flow"
    assert code(member, provider, flow=theirs) == "no_active_flow"


def test_a_version_that_never_was_active_is_not_run_by_naming_it(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    about = {"organisation": member.organisation, "provider": provider, "name": flow.name}
    newer = OrganisationFlowFactory(**about, is_active=False)
    assert code(member, provider, flow=newer) == "no_active_flow"
    newer.activate()
    assert ask(member, provider, flow=flow).flow_id == str(flow.pk)


def test_a_changed_script_is_refused_recorded_and_alerted(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    changed = flow.script.replace("8001", "8002")
    Flow.objects.update(script=changed, script_hash=scripts.sha256(changed))
    with pytest.raises(Refused, match=f"^{signing.SIGNATURE}$"):
        ask(member, provider)
    event = Event.objects.get(object_type="brain.flow", new="refused")
    assert event.reason == signing.SIGNATURE
    (reading,) = alerts.refused_runs()
    assert (reading.value, str(flow) in reading.subject) == (1, True)


def test_the_same_key_gives_the_same_job_whatever_became_of_all_else(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    first = ask(member, provider, idempotency_key="k-1")
    Flow.objects.update(active=False)
    same = {"inputs": {"invoice": "A-1"}, "idempotency_key": "k-1"}
    assert running.run(member.user, provider, **same, priority=7) == (first, False)
    other = MemberFactory()
    assert running._earlier(other.organisation, "k-1") is None


def test_a_key_is_not_taken_for_another_run(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    first = ask(member, provider, idempotency_key="k-1")
    older = OrganisationFlowFactory(organisation=member.organisation, provider=provider)
    others: list[dict[str, Any]] = [
        {"inputs": {"invoice": "A-2"}},
        {"inputs": {}},
        {"inputs": {"invoice": "A-1", "unknown": 1}},
        {"flow": older},
    ]
    for other in others:
        with pytest.raises(Refused, match=str(first.case_id)) as refused:
            ask(member, provider, idempotency_key="k-1", **other)
        assert refused.value.code == "idempotency_key_reused"
    with pytest.raises(Refused, match="another run"):
        ask(member, ProviderFactory(), idempotency_key="k-1")
    assert Job.objects.get() == first


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({}, "invoice"),
        ({"invoice": ""}, "invoice"),
        ({"invoice": 17}, "invoice"),
        ({"invoice": "a-1"}, "invoice"),
        ({"invoice": "A-1\n"}, "invoice"),
        ({"invoice": "A-12345678901"}, "invoice"),
        ({"invoice": "A-1", "copies": True}, "copies"),
        ({"invoice": "A-1", "copies": "2"}, "copies"),
        ({"invoice": "A-1", "copies": 2.0}, "copies"),
        ({"invoice": "A-1", "amount": float("nan")}, "inputs"),
        ({"invoice": "A-1", "amount": 10**400}, "inputs"),
        ({"invoice": "A-1", "since": "2026-02-30"}, "since"),
        ({"invoice": "A-1", "since": "20260131"}, "since"),
        ({"invoice": "A-1", "kind": "late"}, "kind"),
        ({"invoice": "A-1", "quiet": 0}, "quiet"),
        ({"invoice": "A-1", "other": 1}, "other"),
        ({"invoice": "A-1\0"}, "inputs"),
        ({"invoice": "A-1\ud800"}, "inputs"),
        ({"invoice": "A-1", "\0": 1}, "inputs"),
        ({"invoice": "A" * 300_000}, "inputs"),
        (["A-1"], "inputs"),
        ("A-1", "inputs"),
    ],
)
def test_inputs_that_are_not_as_declared_are_refused_by_their_names(
    member: Member,
    provider: Provider,
    connection: ConnectedProvider,
    flow: Flow,
    inputs: Any,
    field: str,
) -> None:
    with pytest.raises(Refused) as refused:
        ask(member, provider, inputs=inputs)
    assert refused.value.code == "invalid_inputs"
    assert list(refused.value.fields) == [field]
    assert not Job.objects.exists()


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "end"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"metadata": ["x"]}, "metadata"),
        ({"metadata": {"x": "y" * 300_000}}, "inputs"),
        ({"metadata": {"x": nested(500)}}, "metadata"),
        ({"metadata": {"x": "\0"}}, "metadata"),
        ({"metadata": {"x": float("inf")}}, "metadata"),
        ({"priority": 10_000}, "priority"),
        ({"idempotency_key": "k" * 201}, "idempotencyKey"),
        ({"idempotency_key": "k\n"}, "idempotencyKey"),
        ({"deadline": timezone.now() - timedelta(seconds=1)}, "deadline"),
    ],
)
def test_the_rest_of_an_order_is_looked_at_too(
    member: Member,
    provider: Provider,
    connection: ConnectedProvider,
    flow: Flow,
    more: dict[str, Any],
    field: str,
) -> None:
    with pytest.raises(Refused) as refused:
        ask(member, provider, **more)
    assert list(refused.value.fields) == [field]


def test_hosts_are_looked_at_again_when_a_run_is_asked_for(
    member: Member, provider: Provider, connection: ConnectedProvider, flow: Flow
) -> None:
    Provider.objects.update(hosts=["169.254.169.254"])
    provider.refresh_from_db()
    assert code(member, provider) == "invalid_hosts"
