"""Versions of organisations' flows: what is refused with its place, compared, approved, undone."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from brain import flowing
from brain.models import Flow
from brain.models.flow import ApprovalNeeded
from brain.rules import flow_differences
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues.browser import scripts, signing
from queues.browser.scripts import InvalidSteps
from tests.factories import OrganisationFactory, OrganisationFlowFactory, ProviderFactory

HOME = {"do": "navigate", "url": "https://www.example.com/"}
FILL = {"do": "fill", "selector": "#invoice", "value": "{{ payload.invoice }}"}
INVOICE = {"invoice": {"type": "string", "required": True}}


def a_flow(**about: Any) -> Flow:
    about.setdefault("provider", ProviderFactory(url="https://www.example.com/"))
    about.setdefault("steps", [HOME])
    return OrganisationFlowFactory(**about)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("steps", "about", "told"),
    [
        ([HOME, FILL], {}, "step 2 (fill): payload.invoice is not declared"),
        ([HOME, FILL], {"inputs": {"invoice": {"type": "string"}}}, "step 2 (fill): payload."),
        ([HOME, FILL], {"inputs": {"invoice": {"secret": True, "required": True}}}, "secret.invo"),
        ([HOME, {**FILL, "value": "{{ direct_url }}"}], {}, "step 2 (fill): direct_url"),
        ([HOME, {**FILL, "value": "{{ secret.password }}"}], {}, "secret.password is not declared"),
        ([{**HOME, "url": "https://evil.example.net/"}], {}, "step 1 (navigate): url: evil"),
        ([{**HOME, "url": "https://www.example.com.evil.net/"}], {}, "step 1 (navigate): url"),
        ([{**HOME, "url": "http://169.254.169.254/latest/"}], {}, "step 1 (navigate): url: 169"),
        ([{**HOME, "url": "https://{{ payload.host }}/"}], {"inputs": {"host": {"default": "x"}}},
         "the host must be written out"),
        ([HOME], {"hosts": ["169.254.169.254"]}, "hosts: “169.254.169.254”"),
        ([HOME], {"hosts": ["0xa9fea9fe"]}, "in disguise"),
        ([HOME], {"hosts": ["127.1"]}, "in disguise"),
        ([HOME], {"hosts": ["*"]}, "hosts: “*”"),
        ([HOME], {"hosts": ["*.com"]}, "hosts: “*.com”"),
        ([HOME], {"hosts": "www.example.com"}, "hosts must be a list"),
        ([HOME], {"inputs": {"x": {"type": "text"}}}, "inputs.x: the type must be one of"),
        ([HOME], {"inputs": {"x": {"pattern": "("}}}, "inputs.x: pattern"),
        ([HOME], {"inputs": {"x": {"type": "integer", "default": "7"}}}, "inputs.x: default"),
        ([HOME], {"inputs": {"a b": {}}}, "inputs.a b"),
        ([HOME], {"inputs": {"x": {"kind": "string"}}}, "“kind” is not known"),
        ([HOME], {"provider": None}, "is for a provider"),
        ([HOME, {"do": "click", "selector": "a", "script": "alert(1)"}], {}, "step 2 (click)"),
        ([{"do": "evaluate", "script": "alert(1)"}], {}, "step 1: unknown verb"),
    ],
)  # fmt: skip
def test_a_version_that_cannot_run_is_refused_with_its_place(
    steps: list[dict], about: dict[str, Any], told: str, settings: Any
) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ()
    given = {"organisation": OrganisationFactory()}
    given |= {"provider": ProviderFactory(url="https://www.example.com/"), **about}
    with pytest.raises(InvalidSteps) as refused:
        Flow.add_version("walk", steps, **given)
    assert told in str(refused.value)
    assert not Flow.objects.filter(name="walk").exists()
    row = Flow(name="walk", steps=steps, **given)
    with pytest.raises(ValidationError):
        row.full_clean(exclude=["version"])


@pytest.mark.django_db
def test_inputs_cover_the_placeholders_and_hosts_the_addresses() -> None:
    steps = [HOME, {**HOME, "url": "https://files.example.org/{{ case.id }}"}, FILL]
    steps += [{**FILL, "value": "{{ secret.pin }}"}, {**HOME, "url": "{{ payload.link }}"}]
    inputs = {**INVOICE, "pin": {"secret": True, "required": True}, "link": {"default": "x"}}
    flow = a_flow(steps=steps, inputs=inputs, hosts=["*.example.org"])
    assert flow.all_hosts == ["www.example.com", "*.example.org"]
    assert flow.script_hash == scripts.sha256(flow.script)
    flow.verify()


@pytest.mark.django_db
def test_our_own_flows_need_no_declaration() -> None:
    flow = Flow.add_version("file_demo", [HOME, FILL])
    flow.full_clean()


@pytest.mark.django_db
def test_a_script_that_was_changed_in_the_database_is_not_verified() -> None:
    flow = a_flow()
    changed = flow.script.replace("www", "wwv")
    Flow.objects.update(script=changed)
    flow.refresh_from_db()
    with pytest.raises(signing.EnvelopeRefused, match=signing.INTEGRITY):
        flow.verify()
    Flow.objects.update(script_hash=scripts.sha256(changed))
    flow.refresh_from_db()
    with pytest.raises(signing.EnvelopeRefused, match=signing.SIGNATURE):
        flow.verify()


# --- Compared -------------------------------------------------------------------------------------


def test_a_difference_tells_each_step_once() -> None:
    wait, click = {"do": "wait", "text": "Hello"}, {"do": "click", "selector": "#go"}
    old = [HOME, FILL, click]
    new = [HOME, wait, {**FILL, "selector": "#number", "timeout": 5}]
    found = [
        (one.sign, one.number_old, one.number_new, one.step["do"], one.changed)
        for one in flow_differences(old, new)
    ]
    assert found == [
        ("=", 1, 1, "navigate", {}),
        ("+", None, 2, "wait", {}),
        ("~", 2, 3, "fill", {"selector": "#invoice", "timeout": None}),
        ("-", 3, None, "click", {}),
    ]


def test_the_same_steps_have_no_difference_and_true_is_not_one() -> None:
    assert {one.sign for one in flow_differences([HOME, FILL], [HOME, FILL])} == {"="}
    (changed,) = flow_differences([{**HOME, "optional": True}], [{**HOME, "optional": 1}])
    assert (changed.sign, changed.changed) == ("~", {"optional": True})
    assert [one.sign for one in flow_differences([], [HOME])] == ["+"]


# --- Approved -------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Flow:
    organisation = OrganisationFactory(needs_approval=True)
    return a_flow(organisation=organisation, by="ana@example.com", is_active=False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ActorKind.USER, "ana@example.com"),
        (ActorKind.USER, "ANA@example.com"),
        (ActorKind.API_KEY, "ana@example.com/login"),
        (ActorKind.SYSTEM, ""),
        (ActorKind.WORKER, "worker-1"),
    ],
)
def test_neither_the_author_nor_a_machine_approves(guarded: Flow, kind: str, name: str) -> None:
    with acting_as(kind, name), pytest.raises(flowing.ApprovalRefused):
        flowing.approve(guarded, "I say so")
    with acting_as(kind, name), pytest.raises(ApprovalNeeded):
        flowing.activate(guarded, "at once")
    assert not Flow.objects.get().active


@pytest.mark.django_db
def test_a_second_person_approves_once_and_then_it_is_activated(guarded: Flow) -> None:
    with acting_as(ActorKind.API_KEY, "berta@example.com/login"):
        assert flowing.approve(guarded, "looked at it")
        assert not flowing.approve(guarded, "again")
    assert flowing.activate(guarded, "go")
    stored = Flow.objects.get()
    assert (stored.active, stored.approved_by) == (True, "berta@example.com")
    assert Event.objects.filter(new="approved", actor="berta@example.com/login").count() == 1
    assert not flowing.activate(stored, "again")


@pytest.mark.django_db
def test_where_nobody_asks_for_it_no_approval_is_needed() -> None:
    assert flowing.activate(a_flow(is_active=False), "go")


# --- Undone ---------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.database
def test_a_rollback_goes_back_one_version_at_a_time_past_what_never_ran() -> None:
    about = {"organisation": OrganisationFactory(), "provider": ProviderFactory()}
    first, second = (OrganisationFlowFactory(**about) for _ in range(2))
    OrganisationFlowFactory(**about, is_active=False)
    last = OrganisationFlowFactory(**about)
    assert flowing.rollback(last, "it fails")
    second.refresh_from_db()
    assert second.active
    assert not flowing.rollback(last, "once more")  # it is not the active one any more
    assert flowing.rollback(second, "that too")
    first.refresh_from_db()
    with pytest.raises(Refused):
        flowing.rollback(first, "further")
    assert list(Flow.objects.filter(active=True)) == [first]


@pytest.mark.django_db
def test_a_rollback_waits_for_nobodys_approval() -> None:
    about = {"organisation": OrganisationFactory(), "provider": ProviderFactory()}
    first, second = (OrganisationFlowFactory(**about) for _ in range(2))
    about["organisation"].needs_approval = True
    about["organisation"].save()
    assert flowing.rollback(second, "it fails")
    assert Flow.objects.get(active=True) == first


@pytest.mark.django_db
def test_a_new_version_is_written_down_with_its_hash() -> None:
    with acting_as(ActorKind.API_KEY, "ana/deploy"):
        flow = Flow.add_version("walk", [HOME])
    event = Event.objects.get(object_type="brain.flow")
    assert (event.new, event.object_id, event.actor) == ("made", str(flow.pk), "ana/deploy")
    assert event.data == {"script_hash": flow.script_hash}
