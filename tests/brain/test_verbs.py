"""Verbs are declared once: the admin and the API offer each of them, to the same people."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import models
from django.urls import reverse

from brain import origin as origin_module
from brain.models import Flow, Organismo
from orchestrator_site import verbs
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.models import Event
from orchestrator_site.urls import control, router
from orchestrator_site.verbs import Refused, Verb
from queues.models import TramiteTask
from tests.factories import FlowFactory, OrganismoFactory, TramiteTaskFactory

Status = TramiteTask.Status
PAIRS: list[tuple[type[models.Model], Verb]] = [
    (offer.model, verb) for offer in verbs.OFFERS.values() for verb in offer.verbs
]
EVERY_VERB = pytest.mark.parametrize(("model", "verb"), PAIRS, ids=[v.name for _m, v in PAIRS])


def viewset_of(model: type[models.Model]) -> tuple[Any, str]:
    listed = [*router.registry, *control.registry]
    return next((v, base) for _p, v, base in listed if v.queryset.model is model)


def fits(viewset: Any, key: str) -> bool:
    return bool(re.fullmatch(getattr(viewset, "lookup_value_regex", "[^/]+"), key))


@EVERY_VERB
def test_a_verb_is_an_action_of_the_admin(model: type[models.Model], verb: Verb) -> None:
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, VerbAdmin)
    assert verb in model_admin.verbs
    (action,) = [one for one in model_admin._get_base_actions() if one[1] == verb.name]
    assert action[0].allowed_permissions == ["operate"]
    assert action[2] == verb.label


@EVERY_VERB
def test_a_verb_is_an_endpoint_of_the_api(model: type[models.Model], verb: Verb) -> None:
    viewset, base = viewset_of(model)
    endpoint = getattr(viewset, verb.name)
    assert endpoint.mapping == {"post": verb.name}
    # The control plane's rows are known outside by UUIDs.
    key = next(key for key in ("1", str(UUID(int=1))) if fits(viewset, key))
    address = reverse(f"{base}-{verb.path}", args=[key]).rstrip("/")
    assert address.endswith(f"/{key}/{verb.path}")


@EVERY_VERB
@pytest.mark.django_db
def test_a_verb_asks_for_the_same_permission_everywhere(
    model: type[models.Model], verb: Verb, rf: Any, django_user_model: Any
) -> None:
    permission = getattr(viewset_of(model)[0], verb.name).kwargs["required_permission"]
    app_label, _dot, codename = permission.partition(".")
    row = Permission.objects.get(content_type__app_label=app_label, codename=codename)
    request = rf.get("/")
    request.user = django_user_model.objects.create_user("someone")
    model_admin: Any = admin.site._registry[model]
    assert not model_admin.has_operate_permission(request)
    request.user.user_permissions.add(row)
    request.user = django_user_model.objects.get(pk=request.user.pk)
    assert model_admin.has_operate_permission(request)


@EVERY_VERB
def test_a_verb_says_what_it_does(model: type[models.Model], verb: Verb) -> None:
    assert str(verb.label)
    assert str(verb.consequence).endswith(".")
    assert verb.name.isidentifier()


# --- One verb on many rows ------------------------------------------------------------------------


def verb_named(name: str) -> Verb:
    offers = (verbs.OFFERS[kind] for kind in ("tramite", "organismo", "flow"))
    return next(verb for offer in offers if (verb := offer.called(name)))


@pytest.mark.django_db
def test_rows_that_do_not_fit_are_left_alone_and_counted() -> None:
    waiting = TramiteTaskFactory.create_batch(2)
    running = TramiteTaskFactory(status=Status.COMPLETED)
    tally = verbs.apply(verb_named("cancel"), [*waiting, running], "a mistake")
    assert (tally.done, tally.moved_on, tally.refused) == (2, 1, [])
    running.refresh_from_db()
    assert running.status == Status.COMPLETED


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("authorise", Status.HELD),
        ("reject", Status.HELD),
        ("hold", Status.PENDING),
        ("cancel", Status.PENDING),
        ("confirm_sent", Status.IN_DOUBT),
        ("confirm_not_sent", Status.IN_DOUBT),
    ],
)
def test_a_stale_copy_loses_the_race_and_writes_nothing(name: str, status: str) -> None:
    stale = TramiteTaskFactory(status=status)
    TramiteTask.objects.filter(pk=stale.pk).update(status=Status.CANCELLED)
    tally = verbs.apply(verb_named(name), [stale], "too late")
    assert (tally.done, tally.moved_on) == (0, 1)
    assert not Event.objects.exists()
    assert TramiteTask.objects.get().status == Status.CANCELLED


@pytest.mark.django_db
def test_two_people_pause_one_organismo_once() -> None:
    organismo = OrganismoFactory()
    stale = Organismo.objects.get()
    first = verbs.apply(verb_named("pause"), [organismo], "maintenance")
    second = verbs.apply(verb_named("pause"), [stale], "me too")
    assert (first.done, second.done, second.moved_on) == (1, 0, 1)
    assert Event.objects.count() == 1


def test_a_refused_row_stops_no_other() -> None:
    def run(row: str, reason: str) -> bool:
        if row == "b":
            raise Refused("no paper on file")
        return row != "c"

    verb = Verb("v", "V", "Does it.", run, lambda row: row != "d")
    tally = verbs.apply(verb, ["a", "b", "c", "d", "e"], "because")
    assert (tally.done, tally.moved_on) == (2, 2)
    assert tally.refused == ["b: no paper on file"]


def test_a_row_that_fails_stops_no_other_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def run(row: str, reason: str) -> bool:
        if row == "b":
            raise origin_module.OriginUnreachable("no route")
        return True

    tally = verbs.apply(Verb("v", "V", "Does it.", run, lambda row: True), "abc", "because")
    assert tally.done == 2
    assert tally.refused == ["b: OriginUnreachable: no route"]
    assert "no route" in caplog.text


@pytest.mark.django_db
def test_a_rerun_without_a_flow_is_refused_with_the_reason() -> None:
    OrganismoFactory(flow_name="not_there")
    tally = verbs.apply(verb_named("rerun"), [TramiteTaskFactory(status=Status.FAILED)], "again")
    assert "not_there" in tally.refused[0]
    assert TramiteTask.objects.count() == 1


@pytest.mark.django_db
def test_of_two_activated_versions_the_last_counts() -> None:
    first = FlowFactory()
    second = Flow.add_version(first.name, first.steps)
    tally = verbs.apply(verb_named("activate"), [second], "the page changed")
    assert tally.done == 1
    assert Flow.active_version(first.name) == second
    event = Event.objects.get(reason="the page changed")
    assert (event.old, event.new) == ("v1", "v2")
