"""What staff see of the mirror, and what they do about it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId, json_util
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from pymongo import MongoClient

from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from orchestrator_site.verbs import OFFERS, apply
from queues import alerts, metrics
from queues.mirror import asking, beside, door, reading, standing
from queues.mirror.kinds import GENERATORS, MINI, NBC
from queues.mirror.publishing import Publisher
from queues.models import Generator, MirrorChange, MirrorState, NbcRecord, SetAside
from tests.distribution import generators
from tests.factories import NbcRecordFactory
from tests.postgres import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
Mongo = MongoClient[Any]
SURE = {"confirmed": "1", "reason": "mended by hand"}
CHANGES = "admin:queues_mirrorchange_changelist"
ASIDE = "admin:queues_setaside_changelist"
DAMAGED = "INVENTED"  # no CURP


@pytest.fixture
def away(settings: Any) -> None:
    """A Mongo where nobody listens."""
    settings.MONGODB_URI = f"mongodb://127.0.0.1:{free_port()}/"


@pytest.fixture
def mute(settings: Any) -> Iterator[None]:
    """A Mongo that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.MONGODB_URI = f"mongodb://127.0.0.1:{server.getsockname()[1]}/"
        yield


@pytest.fixture
def none(settings: Any) -> None:
    settings.MONGODB_URI = ""


def aside(**values: Any) -> MirrorChange:
    row = {"kind": "nbc", "key": "n-1", "error": "too large", "set_aside_at": timezone.now()}
    return MirrorChange.objects.create(**{**row, **values})


def refused(**values: Any) -> SetAside:
    """A person whose document cannot be read, as the reader leaves it."""
    _id = ObjectId()
    door.collection(NBC).insert_one({"_id": _id, "curp": DAMAGED, **values})
    reading.step()
    return SetAside.objects.get(document__contains=str(_id))


def mirror_of(row: SetAside) -> Any:
    found = door.collection(NBC).find_one({"_id": json_util.loads(row.document)["_id"]})
    assert found is not None
    return found.get("_mirror")


def text_of(client: Client, page: str, **query: Any) -> str:
    answer = client.get(page, query)
    assert answer.status_code == 200
    return answer.content.decode()


def verb(client: Client, row: Any, name: str = "retry") -> Any:
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}_verb"
    return client.post(reverse(page, args=[row.pk, name]), SURE, follow=True)


def page_of(name: str = "G_SISEC") -> str:
    (row,) = [one for one in generators() if one.name == name]
    return reverse("admin:queues_generator_change", args=[row.pk])


# --- The lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [CHANGES, ASIDE])
def test_how_the_mirror_fares_stands_above_the_lists(
    signed_in: SignedIn, away: None, page: str
) -> None:
    MirrorState.switch(True)
    MirrorState.failed("no route to Mongo")
    MirrorChange.objects.create(kind="nbc", key="n-0", at=db_now() - timedelta(seconds=90))
    aside()
    answer = signed_in("viewer").get(reverse(page))
    found = answer.context["mirror"]
    assert (found.depth, found.out, found.into, found.is_up) == (1, 1, 0, False)
    assert 90 <= found.lag.total_seconds() < 100
    assert "no route to Mongo" in answer.content.decode()


def test_without_a_mirror_the_lists_say_so(signed_in: SignedIn, none: None) -> None:
    assert "MONGODB_URI is not set" in text_of(signed_in("viewer"), reverse(CHANGES))


def test_changes_are_listed_by_whether_they_were_set_aside(signed_in: SignedIn) -> None:
    client, stuck = signed_in("viewer"), aside()
    waiting = MirrorChange.objects.create(kind="device", key="devices/one")

    def listed(**query: str) -> list[MirrorChange]:
        return list(client.get(reverse(CHANGES), query).context["cl"].queryset)

    assert listed() == [waiting, stuck]
    assert listed(aside="yes") == [stuck] == listed(q="too large")
    assert listed(aside="no") == [waiting] == listed(kind="device")


# --- Another go -----------------------------------------------------------------------------------


def test_a_change_that_was_set_aside_is_published_again(signed_in: SignedIn) -> None:
    row, client = aside(), signed_in("operator")
    verb(client, row)
    row.refresh_from_db()
    assert (row.set_aside_at, row.error) == (None, "")
    event = Event.objects.get()
    assert (event.reason, event.actor) == ("mended by hand", "operator-person")
    assert event.data == {"document": "nbc n-1", "error": "too large"}
    verb(client, row)
    assert Event.objects.count() == 1


def test_a_document_that_was_mended_is_read_again(signed_in: SignedIn, mirrored: Mongo) -> None:
    row = refused()
    assert mirror_of(row) == {"refused": row.reason}
    person = NbcRecordFactory.build()
    _id = json_util.loads(row.document)["_id"]
    door.collection(NBC).update_one({"_id": _id}, {"$set": {"curp": person.curp}})
    assert reading.step() == 0  # while it is marked
    answer = verb(signed_in("operator"), row)
    assert answer.redirect_chain == [(reverse(ASIDE), 302)]
    assert not SetAside.objects.exists()
    assert mirror_of(row) is None
    assert reading.step() == 1
    assert NbcRecord.objects.get().curp == person.curp
    event = Event.objects.get(object_type="queues.setaside")
    assert (event.new, event.reason) == ("tried again", "mended by hand")


def test_what_is_still_wrong_is_set_aside_again(signed_in: SignedIn, mirrored: Mongo) -> None:
    row = refused()
    verb(signed_in("operator"), row)
    assert reading.step() == 0
    again = SetAside.objects.get()
    assert (again.document, again.reason) == (row.document, row.reason)
    assert again.pk != row.pk


def test_only_the_refusal_is_taken_off_a_document_that_the_mirror_knows(mirrored: Mongo) -> None:
    row = refused()
    door.collection(NBC).update_one({}, {"$set": {"_mirror.v": 7}})
    (retry,) = OFFERS["set-aside"].verbs
    assert apply(retry, [row], "again").done == 1
    assert mirror_of(row) == {"v": 7}


def test_of_a_document_that_is_gone_only_the_row_is_left_to_forget(mirrored: Mongo) -> None:
    row = refused()
    door.collection(NBC).delete_many({})
    (retry,) = OFFERS["set-aside"].verbs
    assert apply(retry, [row], "again").done == 1
    assert not SetAside.objects.exists()


def test_a_document_whose_id_was_cut_off_is_refused_with_what_to_do(mirrored: Mongo) -> None:
    SetAside.note(NBC[1], '{"_id": "' + "x" * 300, "no CURP")
    (retry,) = OFFERS["set-aside"].verbs
    (told,) = apply(retry, SetAside.objects.all(), "again").refused
    assert "_mirror" in told
    assert SetAside.objects.exists()


def test_with_mongo_away_a_retry_is_refused_and_many_do_not_wait_one_by_one(
    signed_in: SignedIn, away: None
) -> None:
    for number in range(20):
        SetAside.note(NBC[1], f'{{"_id": "{number}"}}', "no CURP")
    (retry,) = OFFERS["set-aside"].verbs
    begun = time.monotonic()
    tally = apply(retry, SetAside.objects.all(), "again")
    assert time.monotonic() - begun < 5 * asking.PATIENCE
    assert (tally.done, len(tally.refused), SetAside.objects.count()) == (0, 20, 20)
    answer = verb(signed_in("operator"), SetAside.objects.first())
    assert "Mongo does not answer" in answer.content.decode()


def test_the_api_reads_and_retries_as_the_admin_does(signed_in: SignedIn, mirrored: Mongo) -> None:
    change, row = aside(), refused()
    ask, because = signed_in("operator"), {"reason": "mended by hand"}
    listed = ask.get("/api/v1/mirror-changes/", {"set_aside_at__isnull": "false"}).json()
    assert [one["key"] for one in listed["results"]] == ["n-1"]
    (one,) = ask.get("/api/v1/set-aside/", {"collection": NBC[1]}).json()["results"]
    assert (one["document"], one["reason"]) == (row.document, row.reason)
    for path in (f"mirror-changes/{change.pk}", f"set-aside/{row.pk}"):
        done = ask.post(f"/api/v1/{path}/retry/", because, "application/json")
        assert done.status_code == 200, done.content
    assert done.json()["id"] == row.pk
    assert not SetAside.objects.exists()
    assert not MirrorChange.objects.filter(set_aside_at__isnull=False).exists()
    assert ask.post(f"/api/v1/set-aside/{row.pk}/retry/", because).status_code == 404


def test_over_the_api_too_an_absent_mongo_is_a_refusal(signed_in: SignedIn, away: None) -> None:
    SetAside.note(NBC[1], '{"_id": "1"}', "no CURP")
    page = f"/api/v1/set-aside/{SetAside.objects.get().pk}/retry/"
    answer = signed_in("operator").post(page, {"reason": "again"}, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert "Mongo does not answer" in answer.json()["error"]["message"]


# --- A generator beside its document --------------------------------------------------------------


def test_a_generator_s_page_marks_the_fields_that_differ(
    signed_in: SignedIn, publisher: Publisher
) -> None:
    page, client = page_of(), signed_in("viewer")
    Generator.objects.update(last_update=timezone.now(), available_devices=4)
    assert "Mongo has no document of it yet." in text_of(client, page)
    while publisher.step():
        pass
    told = text_of(client, page)
    assert "generator_name" in told and "differs" not in told
    changed = {"$set": {"available_devices": 9, "note": "<b>theirs</b>"}}
    door.collection(GENERATORS).update_one({"_id": "G_SISEC"}, changed)
    told = text_of(client, page)
    assert told.count("differs") == 1
    assert "&lt;b&gt;theirs" in told and "_mirror" not in told


def test_what_nobody_should_have_written_into_it_is_shown_all_the_same(
    signed_in: SignedIn, publisher: Publisher
) -> None:
    page = page_of()
    Generator.objects.update(available_devices=4)
    while publisher.step():
        pass
    odd: dict[str, Any] = {"available_devices": "9" * 5000, "instance": ["x"]}
    odd |= {f"field_{number}": number for number in range(500)}
    door.collection(GENERATORS).update_one({"_id": "G_SISEC"}, {"$set": odd})
    told = text_of(signed_in("viewer"), page)
    assert told.count("differs") == 2
    assert "9" * 301 not in told and "field_400" not in told


def test_what_old_workers_report_of_their_generator_does_not_differ(
    signed_in: SignedIn, publisher: Publisher
) -> None:
    page = page_of()
    Generator.objects.filter(name="G_SISEC").update(worked_by="mongo")
    while publisher.step():
        pass
    door.collection(GENERATORS).update_one({"_id": "G_SISEC"}, {"$set": {"total_devices": 7}})
    told = text_of(signed_in("viewer"), page)
    assert ">7<" in told and "differs" not in told


@pytest.mark.once
@pytest.mark.parametrize(
    ("mongo", "told"),
    [
        ("away", "Mongo does not answer"),
        ("mute", "Mongo does not answer"),
        ("none", "MONGODB_URI is not set"),
    ],
)
def test_a_generator_s_page_opens_in_time_whatever_mongo_does(
    signed_in: SignedIn, request: pytest.FixtureRequest, mongo: str, told: str
) -> None:
    request.getfixturevalue(mongo)
    page, client = page_of(), signed_in("viewer")
    begun = time.monotonic()
    shown = text_of(client, page)
    spent = time.monotonic() - begun
    assert told in shown
    assert spent < asking.PATIENCE + 3  # the page's own part, on a busy machine
    begun = time.monotonic()
    with pytest.raises(asking.Away, match=told):
        beside.of_generator(Generator.objects.get(name="G_SISEC"))
    assert time.monotonic() - begun < asking.PATIENCE / 2  # it is left alone for a while


def test_a_mongo_that_is_back_is_asked_again(
    signed_in: SignedIn, mirrored: Mongo, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    over = (time.monotonic() - 1, "Mongo does not answer")
    monkeypatch.setitem(asking._away, settings.MONGODB_URI, over)
    assert "no document of it yet" in text_of(signed_in("viewer"), page_of())
    assert settings.MONGODB_URI not in asking._away


@pytest.mark.once
def test_a_password_in_the_address_is_not_shown(signed_in: SignedIn, settings: Any) -> None:
    settings.MONGODB_URI = f"mongodb://root:verysecret@127.0.0.1:{free_port()}/"
    assert "verysecret" not in text_of(signed_in("viewer"), page_of())


# --- The overview and the menu --------------------------------------------------------------------


def test_the_overview_shows_the_mirror_only_where_there_is_one(
    signed_in: SignedIn, settings: Any
) -> None:
    client = signed_in("viewer")
    settings.MONGODB_URI = ""
    told = text_of(client, reverse("admin:index"))
    assert "Mirror in Mongo" not in told and reverse(ASIDE) not in told
    settings.MONGODB_URI = "mongodb://127.0.0.1:9/"
    told = text_of(client, reverse("admin:index"))
    assert "Mirror in Mongo" in told and reverse(ASIDE) in told


# --- Figures and warnings -------------------------------------------------------------------------


def figures() -> dict[str, float]:
    registry = CollectorRegistry()

    class Ours:
        def collect(self) -> Any:
            return metrics._mirror()

    registry.register(Ours())
    lines = generate_latest(registry).decode().splitlines()
    pairs = (one.rpartition(" ") for one in lines if not one.startswith("#"))
    return {name.removeprefix("orchestrator_mirror_"): float(told) for name, _, told in pairs}


def test_without_a_mirror_there_are_no_figures_and_no_warnings(none: None) -> None:
    assert figures() == {}
    assert [*alerts.mirror_lags(), *alerts.documents_set_aside()] == []


def test_a_mirror_that_was_left_on_is_told_of_though_no_mongo_is_configured(none: None) -> None:
    MirrorState.switch(True)
    MirrorChange.objects.create(kind="nbc", key="n-0")
    assert (figures()["up"], figures()["outbox_depth"]) == (0, 1)


def test_the_figures_tell_how_the_mirror_fares(away: None) -> None:
    MirrorState.switch(True)
    now = db_now()
    MirrorState.went_well(published_at=now, read_at=now - timedelta(seconds=2))
    MirrorChange.objects.create(kind="nbc", key="n-0", at=now - timedelta(seconds=400))
    MirrorChange.objects.create(kind="nbc", key="n-2")
    aside(at=now - timedelta(days=1))
    SetAside.note(MINI, '{"_id": "1"}', "no CURP")
    told = figures()
    assert (told["up"], told["outbox_depth"]) == (1, 2)
    assert (told['set_aside{direction="out"}'], told['set_aside{direction="in"}']) == (1, 1)
    assert 400 <= told["lag_seconds"] < 420 and 2 <= told["read_age_seconds"] < 22


@pytest.mark.parametrize("seconds", [59, 61])
def test_a_mirror_that_nobody_works_is_down(away: None, seconds: int) -> None:
    MirrorState.switch(True)
    MirrorState.went_well(read_at=db_now() - timedelta(seconds=seconds))
    found = standing.current()
    assert found is not None
    assert found.is_up == (seconds < standing.SILENT.total_seconds())


def test_staff_are_warned_of_a_mirror_that_is_behind_and_why(away: None) -> None:
    MirrorState.switch(True)
    past = db_now() - timedelta(seconds=301)
    MirrorState.went_well(read_at=past)
    MirrorState.failed("no route to Mongo")
    MirrorChange.objects.create(kind="nbc", key="n-0", at=past)
    readings = {one.subject: one for one in alerts.mirror_lags()}
    assert set(readings) == {"from Mongo", "to Mongo"}
    for one in readings.values():
        assert one.value is not None and one.value > 300
        assert one.message.endswith("no route to Mongo")
    aside()
    told = {one.subject: one.value for one in alerts.documents_set_aside()}
    assert told == {"to Mongo": 1, "from Mongo": 0}
    rules = {one.name: (one.default_threshold, one.comparison) for one in alerts.MEASURES}
    assert (rules["mirror_lag"], rules["mirror_set_aside"]) == ((300, ">"), (0, ">"))
