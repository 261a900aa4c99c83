"""A verb on many rows: written down, done once each, stopped, undone, known whatever dies."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from brain.models import SigningKey
from devices.models import Device
from orchestrator_site import bulk
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.models import BulkAction, Event, Lease
from orchestrator_site.narrowing import NoSuchFilter, narrowed
from orchestrator_site.stopping import Stop
from orchestrator_site.verbs import OFFERS, InvalidValue, Refused
from queues import doorbell
from queues.models import TramiteTask, WebhookEndpoint
from tests.callers import Caller, key_of, problem
from tests.factories import (
    DeviceFactory,
    JobFactory,
    MemberFactory,
    TramiteTaskFactory,
    WebhookEndpointFactory,
)

pytestmark = pytest.mark.django_db
Status = TramiteTask.Status
SignedIn = Callable[[str], Client]
REASON = "the client called"


def ask(verb: str = "hold", value: str = "", rows: Any = None, kind: str = "tramite") -> BulkAction:
    offer = OFFERS[kind]
    found = offer.called(verb)
    assert found
    every = offer.model._default_manager.all() if rows is None else rows
    return bulk.ask(offer, found, every, REASON, value)


def statuses() -> Counter[str]:
    return Counter(TramiteTask.objects.values_list("status", flat=True))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PART", 3)


# --- Done -----------------------------------------------------------------------------------------


def test_each_row_is_done_once_and_counted() -> None:
    TramiteTaskFactory.create_batch(7)
    TramiteTaskFactory(status=Status.COMPLETED)
    action = ask()
    assert (action.total, action.parts.count(), statuses()["held"]) == (8, 3, 0)
    assert bulk.step(Stop())
    action.refresh_from_db()
    assert (action.status, action.done, action.moved_on, action.refused) == ("done", 7, 1, 0)
    assert statuses() == {"held": 7, "completed": 1}
    assert not bulk.step(Stop())
    assert Event.objects.filter(new="held").count() == 7
    assert not Lease.objects.filter(name__startswith="bulk:").exists()


def test_it_is_done_to_those_that_were_there_when_it_was_asked_for() -> None:
    TramiteTaskFactory.create_batch(2)
    ask()
    TramiteTaskFactory()
    bulk.step(Stop())
    assert statuses() == {"held": 2, "pending": 1}


def test_it_acts_as_who_asked() -> None:
    TramiteTaskFactory()
    with acting_as(ActorKind.USER, "ana"):
        ask()
    bulk.step(Stop())
    event = Event.objects.get(new="held")
    assert (event.actor_kind, event.actor, event.reason) == ("user", "ana", REASON)


def test_what_is_refused_is_known_with_its_reason_and_stops_no_other() -> None:
    TramiteTaskFactory.create_batch(2, status=Status.FAILED)  # no organismo has them
    action = ask("rerun")
    bulk.step(Stop())
    action.refresh_from_db()
    assert action.counts == {"done": 0, "moved_on": 0, "refused": 2, "unsure": 0}
    assert all("xaloc_girona" in why for _key, _name, why in bulk.lines(action, ("refused",)))


def test_a_row_that_was_deleted_meanwhile_is_left_alone() -> None:
    task = TramiteTaskFactory()
    action = ask()
    task.delete()
    bulk.step(Stop())
    action.refresh_from_db()
    assert (action.status, action.moved_on) == ("done", 1)


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(Refused):
        ask()
    assert not BulkAction.objects.exists()


def test_what_is_told_to_who_asks_alone_is_not_done_in_the_background() -> None:
    with pytest.raises(Refused, match="one row at a time"):
        ask("rotate_secret", kind="webhook", rows=WebhookEndpoint.objects.all())


def test_a_value_that_the_verb_does_not_take_is_refused() -> None:
    TramiteTaskFactory()
    with pytest.raises(InvalidValue, match="whole number"):
        ask("priority", "high")


def test_many_are_done_in_the_order_in_which_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "close_old_connections", lambda: None)
    TramiteTaskFactory.create_batch(2)
    first, second = ask("hold"), ask("cancel")
    assert not bulk.session(Stop(), timedelta(minutes=1))
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.ended_at and second.started_at and first.ended_at <= second.started_at
    assert (first.done, second.moved_on) == (2, 2)


# --- Stopped, undone ------------------------------------------------------------------------------


def test_a_stop_is_heeded_between_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    TramiteTaskFactory.create_batch(7)
    action = ask()
    really = TramiteTask.hold

    def hold(task: TramiteTask, reason: str) -> bool:
        if statuses()["held"] == 3:
            bulk.stop(BulkAction.objects.get(), "enough")
        return really(task, reason)

    replace_run(monkeypatch, "hold", hold)
    bulk.step(Stop())
    action = BulkAction.objects.get()
    assert (action.status, action.counts["done"], statuses()["held"]) == ("cancelled", 4, 4)
    assert not bulk.step(Stop())


def replace_run(monkeypatch: pytest.MonkeyPatch, name: str, run: Callable[..., bool]) -> None:
    verb = OFFERS["tramite"].called(name)
    assert verb
    monkeypatch.setitem(vars(verb), "run", run)


def test_a_process_that_is_asked_to_end_leaves_the_rest_to_the_next() -> None:
    TramiteTaskFactory.create_batch(7)
    action = ask()
    looks = iter([False] * 4 + [True] * 9)
    bulk.carry_on(action, lambda: next(looks))
    assert (action.status, statuses()["held"]) == ("running", 4)
    bulk.step(Stop())
    assert (statuses()["held"], Event.objects.filter(new="held").count()) == (7, 7)


def test_undo_puts_back_the_rows_that_it_was_done_to_and_no_other() -> None:
    TramiteTaskFactory.create_batch(4)
    TramiteTaskFactory(status=Status.HELD, hold_reason="no paper")
    action = ask()
    bulk.step(Stop())
    action = BulkAction.objects.get()
    assert bulk.can_be_undone(action) and bulk.undo(action, "a mistake")
    assert not bulk.can_be_undone(action) and not bulk.undo(action, "again")
    bulk.step(Stop())
    assert statuses() == {"pending": 4, "held": 1}
    back = BulkAction.objects.get(undoes=action)
    assert (back.verb, back.done, back.total) == ("authorise", 4, 4)


def test_undo_of_a_value_puts_back_what_each_row_had() -> None:
    TramiteTaskFactory(priority=3)
    TramiteTaskFactory(priority=-2)
    TramiteTaskFactory(priority=9)
    action = ask("priority", "9")
    bulk.step(Stop())
    action = BulkAction.objects.get()
    assert (action.done, action.moved_on) == (2, 1)
    bulk.undo(action, "a mistake")
    bulk.step(Stop())
    assert sorted(TramiteTask.objects.values_list("priority", flat=True)) == [-2, 3, 9]


# --- Died -----------------------------------------------------------------------------------------


class Dead(BaseException):
    """As a kill: nothing behind it is run."""


@pytest.mark.parametrize("is_done", [True, False])
def test_the_row_under_way_at_a_death_is_not_known_and_never_repeated(
    monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    TramiteTaskFactory.create_batch(7)
    ask("priority", "5")
    calls: Counter[int] = Counter()
    verb = OFFERS["tramite"].called("priority")
    assert verb
    really = verb.run

    def run(task: TramiteTask, reason: str, value: int) -> bool:
        calls[task.pk] += 1
        if is_done or calls.total() != 5:
            really(task, reason, value)
        if calls.total() == 5:
            raise Dead
        return True

    replace_run(monkeypatch, "priority", run)
    with pytest.raises(Dead):
        bulk.step(Stop())
    bulk.step(Stop())
    action = BulkAction.objects.get()
    assert (action.status, action.done, action.unsure) == ("done", 6, 1)
    assert set(calls.values()) == {1}
    assert TramiteTask.objects.filter(priority=5).count() == 6 + is_done


def test_who_was_taken_for_dead_and_comes_back_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    TramiteTaskFactory.create_batch(2)
    action = ask()
    calls: list[int] = []

    def hold(task: TramiteTask, reason: str) -> bool:
        calls.append(task.pk)
        if len(calls) == 1:  # it stood still so long that its lease ran out
            Lease.objects.filter(name=f"bulk:{action.pk}").update(expires_at=None)
            bulk.step(Stop())
        return True

    replace_run(monkeypatch, "hold", hold)
    bulk.step(Stop())
    action.refresh_from_db()
    assert len(calls) == len(set(calls)) == 2
    assert (action.status, action.done, action.unsure) == ("done", 1, 1)


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_no_row_is_done_twice() -> None:
    TramiteTaskFactory.create_batch(40)
    ask("priority", "5")
    kills = sum(killed(rows=4) for _ in range(5))
    Lease.objects.update(expires_at=None)
    bulk.step(Stop())
    action = BulkAction.objects.get()
    assert kills == 5
    assert (action.status, action.done + action.unsure) == ("done", 40)
    assert action.unsure <= 5
    noted = Counter(Event.objects.filter(data__priority=5).values_list("object_id", flat=True))
    assert set(noted.values()) == {1}
    assert len(noted) >= action.done


def killed(rows: int) -> bool:
    """Whether a process of its own was killed in the middle of its n-th row."""
    Lease.objects.update(expires_at=None)
    connections.close_all()
    child = os.fork()
    if not child:
        verb = OFFERS["tramite"].called("priority")
        assert verb
        really, calls = verb.run, []

        def run(task: TramiteTask, reason: str, value: int) -> bool:
            calls.append(task)
            done = really(task, reason, value)
            if len(calls) == rows:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        vars(verb)["run"] = run
        try:
            bulk.step(Stop())
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


# --- Filters --------------------------------------------------------------------------------------


def test_rows_are_narrowed_by_their_own_fields() -> None:
    failed = TramiteTaskFactory(status=Status.FAILED, resource_id=700)
    TramiteTaskFactory(resource_id=800)
    for filters in (
        {"status": "failed"},
        {"status__in": "failed,cancelled"},
        {"resource_id__lt": "750"},
        {"site_id__startswith": "xaloc", "resource_id": "700"},
        {"created_at__lt": "2100-01-01", "status": "failed"},
    ):
        assert list(narrowed(TramiteTask, filters)) == [failed], filters


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("statu", "failed", "There is no filter statu"),
        ("status", "flying", "status is one of: pending"),
        ("status__regex", "f", "There is no filter"),
        ("resource_id", "many", "cannot be many"),
        ("resource_id", "9" * 30, "cannot be"),
        ("created_at__lt", "soon", "cannot be soon"),
        ("payload__client", "x", "There is no filter"),
        ("lease_token__isnull", "perhaps", "true or false"),
    ],
)
def test_a_filter_that_is_none_is_told(name: str, value: str, told: str) -> None:
    with pytest.raises(NoSuchFilter, match=told):
        narrowed(TramiteTask, {name: value})


def test_no_filter_asks_for_a_secret() -> None:
    for name in ("secret", "secret__startswith", "organisation__name"):
        with pytest.raises(NoSuchFilter):
            narrowed(WebhookEndpoint, {name: "x"})


# --- In the admin ---------------------------------------------------------------------------------

LIST = "/admin/queues/tramitetask/"


def test_all_that_match_are_done_in_the_background_and_followed_on_a_page(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_MOST", 5)
    client = signed_in("operator")
    rows = TramiteTaskFactory.create_batch(8)
    TramiteTaskFactory(site_id="madrid")
    data = {"action": "cancel", "_selected_action": [rows[0].pk], "index": "0"}
    data["select_across"] = "1"
    address = f"{LIST}?site_id__exact=xaloc_girona"
    assert "in the background" in client.post(address, data).content.decode()
    answer = client.post(address, {**data, "confirmed": "1", "reason": REASON})
    action = BulkAction.objects.get()
    page = reverse("admin:orchestrator_site_bulkaction_change", args=[action.pk])
    assert answer["Location"] == page
    assert (action.total, action.actor, statuses()["cancelled"]) == (8, "operator-person", 0)
    assert action.filter == "site_id__exact=xaloc_girona"
    live = client.get(page).content.decode()
    assert 'hx-target="#bulk"' in live and "/verb/stop/" in live
    bulk.step(Stop())
    after = client.get(page).content.decode()
    assert 'hx-target="#bulk"' not in after and "100 %" in after
    assert statuses() == {"cancelled": 8, "pending": 1}
    assert client.get(reverse("admin:orchestrator_site_bulkaction_changelist")).status_code == 200


def test_the_report_holds_every_row_and_no_formula(signed_in: SignedIn) -> None:
    TramiteTaskFactory.create_batch(3, status=Status.FAILED, site_id="=cmd()")
    action = ask("rerun")
    bulk.step(Stop())
    address = reverse("admin:orchestrator_site_bulkaction_report", args=[action.pk])
    answer = signed_in("viewer").get(address)
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    head, *lines = csv.reader(io.StringIO(text))
    assert (len(head), len(lines)) == (3, 3)
    assert all(line[2].startswith("'=cmd()") for line in lines)


def test_one_row_offers_the_way_back(signed_in: SignedIn) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory(priority=4)
    address = f"{LIST}{task.pk}/verb/priority/"
    assert 'value="4"' in client.get(address).content.decode()
    wrong = client.post(address, {"confirmed": "1", "reason": REASON, "value": "x"})
    assert "whole number" in wrong.content.decode()
    assert REASON in wrong.content.decode()
    answer = client.post(address, {"confirmed": "1", "reason": REASON, "value": "7"}, follow=True)
    assert f"{address}?value=4" in answer.content.decode()
    task.refresh_from_db()
    assert task.priority == 7


def test_who_may_not_do_the_verb_may_not_undo_it(signed_in: SignedIn) -> None:
    action = BulkAction.objects.create(
        kind="flow", verb="activate", reason=REASON, actor_kind="user", status="running", total=1
    )
    client = signed_in("operator")
    address = reverse("admin:orchestrator_site_bulkaction_verb", args=[action.pk, "stop"])
    assert client.post(address, {"confirmed": "1", "reason": REASON}).status_code == 403
    page = client.get(reverse("admin:orchestrator_site_bulkaction_change", args=[action.pk]))
    assert "/verb/stop/" not in page.content.decode()


# --- Over the API ---------------------------------------------------------------------------------


@pytest.fixture
def api(person: Callable[[str], User]) -> Caller:
    return Caller(key_of(person("operator"), scope="operate"))


ORDER = {"kind": "tramite", "verb": "cancel", "reason": REASON}


def test_the_api_asks_counts_and_follows(api: Caller) -> None:
    TramiteTaskFactory.create_batch(3)
    TramiteTaskFactory(status=Status.FAILED)
    every = {**ORDER, "filter": {}}
    rehearsed = api.send("bulk-actions/", {**every, "dry_run": True})
    assert (rehearsed["matches"], rehearsed["fitting"]) == (4, 3)
    assert not BulkAction.objects.exists()
    asked = api.send("bulk-actions/", {**ORDER, "filter": {"status": "pending"}}, status=202)
    assert (asked["total"], asked["status"], asked["filter"]) == (3, "queued", "status=pending")
    bulk.step(Stop())
    row = api.read(f"bulk-actions/{asked['id']}/")
    assert (row["status"], row["counts"]["done"], row["goneThrough"]) == ("done", 3, 3)
    assert statuses() == {"cancelled": 3, "failed": 1}
    assert len(api.read("bulk-actions/?status=done")["results"]) == 1


def test_the_api_stops_and_undoes(api: Caller) -> None:
    TramiteTaskFactory.create_batch(2)
    ids = [str(pk) for pk in TramiteTask.objects.values_list("pk", flat=True)]
    asked = api.send("bulk-actions/", {**ORDER, "verb": "hold", "ids": ids}, status=202)
    bulk.step(Stop())
    undone = api.send(f"bulk-actions/{asked['id']}/undo/", {"reason": REASON})
    assert undone["undoneBy"] and not undone["canBeUndone"]
    stopped = api.send(f"bulk-actions/{undone['undoneBy']}/stop/", {"reason": REASON})
    assert (stopped["status"], statuses()) == ("cancelled", {"held": 2})


@pytest.mark.parametrize(
    ("changes", "status", "fields"),
    [
        ({"filter": {"statu": "x"}}, 400, ["filter"]),
        ({"kind": "bulk-action", "filter": {}}, 400, ["kind"]),
        ({"verb": "fly", "filter": {}}, 400, ["verb"]),
        ({"verb": "priority", "filter": {}, "value": "x"}, 400, ["value"]),
        ({}, 400, ["non_field_errors"]),
        ({"ids": ["123456"]}, 404, []),
        ({"filter": {}}, 409, []),
        ({"kind": "flow", "verb": "activate", "filter": {}}, 403, []),
    ],
)
def test_what_the_api_cannot_do_is_told(
    api: Caller, changes: dict[str, Any], status: int, fields: list[str]
) -> None:
    assert problem(api.send("bulk-actions/", {**ORDER, **changes}, status=status))[1] == fields


def test_a_viewer_looks_and_a_member_does_not(person: Callable[[str], User]) -> None:
    viewer, member = Caller(key_of(person("viewer"))), Caller(key_of(MemberFactory().user))
    viewer.read("bulk-actions/")
    viewer.send("bulk-actions/", {**ORDER, "filter": {}}, status=403)
    member.read("bulk-actions/", status=403)
    member.send("bulk-actions/", {**ORDER, "filter": {}}, status=403)


# --- What must not happen -------------------------------------------------------------------------


def test_a_row_that_cannot_be_read_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = WebhookEndpointFactory.create_batch(2)
    action = ask("disable", kind="webhook")
    manager, lost = WebhookEndpoint._default_manager, str(rows[0].pk)
    filtered = type(manager).filter

    def filter_(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs == {"pk": lost}:
            raise ValueError("no key opens this")
        return filtered(self, *args, **kwargs)

    monkeypatch.setattr(type(manager), "filter", filter_)
    assert bulk.step(Stop())
    action.refresh_from_db()
    assert (action.status, action.done, action.refused, action.unsure) == ("done", 1, 1, 0)


def test_a_broker_that_is_away_fails_nothing(
    api: Caller, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise doorbell.BROKER_AWAY[0]("connection refused")

    monkeypatch.setattr(doorbell, "async_task", away)
    TramiteTaskFactory()
    asked = {"kind": "tramite", "verb": "hold", "filter": {}, "reason": REASON}
    with django_capture_on_commit_callbacks(execute=True):
        api.send("bulk-actions/", asked, 202)
    assert bulk.step(Stop()) and statuses() == {"held": 1}


def test_staff_with_a_place_in_an_organisation_acts_on_no_other_s(
    person: Callable[[str], User], signed_in: SignedIn
) -> None:
    JobFactory(status="queued")
    action = ask("cancel", kind="job")
    operator = person("operator")
    MemberFactory(user=operator)
    caller = Caller(key_of(operator))
    asked = {"kind": "job", "verb": "cancel", "filter": {}, "reason": REASON, "dry_run": True}
    caller.send("bulk-actions/", asked, 403)
    caller.read("bulk-actions/", 403)
    client = Client()
    client.force_login(operator)
    listed = client.get(reverse("admin:orchestrator_site_bulkaction_changelist"))
    assert listed.context["cl"].result_count == 0
    others = reverse("admin:orchestrator_site_bulkaction_report", args=[action.pk])
    assert client.get(others).status_code == 404


def test_a_key_stops_only_what_its_scope_could_ask_for(person: Callable[[str], User]) -> None:
    SigningKey.current()
    TramiteTaskFactory()
    chief = person("admin")
    narrow = Caller(key_of(chief, "operate"))
    keys, appeals = ask("revoke", kind="signing-key"), ask()
    narrow.send(f"bulk-actions/{keys.pk}/stop/", {"reason": REASON}, 403)
    narrow.send(f"bulk-actions/{appeals.pk}/stop/", {"reason": REASON})
    Caller(key_of(chief, name="wide")).send(f"bulk-actions/{keys.pk}/stop/", {"reason": REASON})


def test_undoing_a_drain_puts_no_quarantined_device_into_service() -> None:
    well, broken = DeviceFactory(), DeviceFactory(status="quarantined")
    action = ask("drain", kind="device")
    bulk.step(Stop())
    undone = bulk.undo(BulkAction.objects.get(pk=action.pk), REASON)
    bulk.step(Stop())
    assert undone
    standing = dict(Device.objects.values_list("pk", "status"))
    assert standing == {well.pk: "in_service", broken.pk: "quarantined"}
