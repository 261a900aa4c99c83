"""The audit: everything that people do and change, once, in a chain that shows what was altered."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from brain.models import ClientAuthorisation, Organismo
from orchestrator_site import audit_sources, auditing
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.auditing import Head
from orchestrator_site.membership import log_in
from orchestrator_site.models import AlertRule, ApiKey, AuditEntry, Event, Lease
from tests.callers import Caller, key_of
from tests.factories import DeviceFactory, ProviderFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
Person = Callable[[str], User]
LIST = "admin:orchestrator_site_auditentry_changelist"


@pytest.fixture(autouse=True)
def nothing_before(db: None) -> None:
    """What the migrations made is sealed, and no test's business."""
    auditing.collect()
    cache.clear()


def sealed() -> list[AuditEntry]:
    """The entries that are new, oldest first."""
    last = auditing.head().number
    auditing.collect()
    return list(AuditEntry.objects.filter(number__gt=last).order_by("number"))


def happened(name: str = "ana", kind: str = ActorKind.USER, **values: Any) -> Event:
    """An event of an actor's."""
    at = values.pop("at", timezone.now())
    told = {"object_type": "devices.device", "object_id": "7", "old": "a", "new": "b", **values}
    return Event.objects.create(actor_kind=kind, actor=name, at=at, **told)


@contextmanager
def unguarded() -> Iterator[None]:
    """As who owns the database could do it: without the trigger."""
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_never_changes")
        else:
            cursor.execute("DROP TRIGGER audit_never_changes")
    yield


# --- What becomes an entry ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ActorKind.USER, ActorKind.API_KEY, ActorKind.COMMAND])
def test_what_a_person_does_is_an_entry(kind: str) -> None:
    device = DeviceFactory()
    event = happened("ana", kind, object_id=str(device.pk), reason="stuck", data={"task_id": 3})
    (entry,) = sealed()
    assert (entry.actor_kind, entry.actor, entry.action) == (kind, "ana", "b")
    assert (entry.object_type, entry.object_name) == ("devices.device", str(device))
    assert (entry.before, entry.after) == ({"status": "a"}, {"status": "b", "task_id": 3})
    assert (entry.at, entry.reason, entry.source_id) == (event.at, "stuck", str(event.pk))


@pytest.mark.parametrize("kind", [ActorKind.SYSTEM, ActorKind.WORKER, ActorKind.BRAIN])
def test_what_a_machine_does_is_none(kind: str) -> None:
    happened("worker-1", kind)
    assert sealed() == []


def test_a_scraper_is_a_machine_though_it_has_a_key(person: Person) -> None:
    scraper = User.objects.create_user("robot")
    scraper.groups.set(Group.objects.filter(name="scraper"))
    both = person("operator")
    both.groups.add(Group.objects.get(name="scraper"))
    more = User.objects.create_user("robot-of-ana")
    more.groups.set([Group.objects.get(name="scraper"), Group.objects.create(name="night shift")])
    assert audit_sources._scrapers() == ["robot"]
    happened("robot/key", ActorKind.API_KEY)
    happened(f"{both}/key", ActorKind.API_KEY)
    assert [entry.actor for entry in sealed()] == ["operator-person/key"]


def test_a_change_of_configuration_tells_before_and_after() -> None:
    with acting_as(ActorKind.API_KEY, "ana/script"):
        rule = AlertRule.objects.create(name="queue", measure="queue", threshold=100)
        rule.threshold = 200
        rule.save()
        rule.delete()
    made, changed, deleted = sealed()
    assert [one.action for one in (made, changed, deleted)] == ["made", "changed", "deleted"]
    assert {one.actor for one in (made, changed, deleted)} == {"ana/script"}
    assert made.before == {} and made.after["name"] == "queue"
    assert (changed.before, changed.after) == ({"threshold": "100.00"}, {"threshold": "200.00"})
    assert deleted.before["threshold"] == "200.00" and deleted.after == {}


def test_a_save_that_changes_nothing_is_no_entry(organismo: Organismo) -> None:
    assert [entry.action for entry in sealed()] == ["made"]
    organismo.save()
    assert sealed() == []


def test_rows_behind_a_row_are_part_of_it(signed_in: SignedIn) -> None:
    rule = AlertRule.objects.create(name="queue", measure="queue", threshold=100)
    sealed()
    data = {"name": "Sunday", "rules": [rule.pk], "reason": "disks"}
    now = timezone.localtime()
    for name, at in (("starts_at", now), ("ends_at", now + timedelta(hours=1))):
        data |= {f"{name}_0": at.strftime("%Y-%m-%d"), f"{name}_1": at.strftime("%H:%M:%S")}
    page = reverse("admin:orchestrator_site_maintenancewindow_add")
    assert signed_in("admin").post(page, data).status_code == 302
    entries = sealed()
    assert {entry.actor for entry in entries} == {"admin-person"}
    assert {entry.object_type for entry in entries} == {"orchestrator_site.maintenancewindow"}
    assert entries[0].after["reason"] == "disks"
    assert entries[-1].after["rules"] == [rule.pk]


def test_an_authorisation_made_over_the_api_is_an_entry(person: Person) -> None:
    row = ClientAuthorisation.objects.create(numclient=5, file="a.pdf")
    sealed()
    caller = Caller(key_of(person("admin")))
    caller.ask("PATCH", f"authorisations/{row.pk}/", {"notes": "until May"})
    entries = [one for one in sealed() if one.object_type == "brain.clientauthorisation"]
    (entry,) = entries
    assert (entry.actor_kind, entry.actor) == ("api_key", "admin-person/script")
    assert (entry.before, entry.after) == ({"notes": ""}, {"notes": "until May"})


def test_a_key_is_an_entry_without_what_it_is_made_of(person: Person) -> None:
    user = person("admin")
    key_of(user, name="nightly")
    log_in(user)
    entries = sealed()
    assert [entry.after["name"] for entry in entries] == ["nightly"]
    assert set(entries[0].after) == {"name", "user_id", "prefix", "scope"}


def test_a_user_s_rights_are_an_entry_of_names(signed_in: SignedIn, person: Person) -> None:
    client, user = signed_in("admin"), person("viewer")
    sealed()
    operators = Group.objects.get(name="operator")
    page = reverse("admin:auth_user_change", args=[user.pk])
    data = {"username": user.username, "is_active": "on", "groups": [operators.pk]}
    data |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert client.post(page, data).status_code == 302
    (entry,) = sealed()
    assert (entry.actor, entry.object_name) == ("admin-person", user.username)
    assert entry.before == {"groups": ["viewer"], "is_staff": True}
    assert entry.after == {"groups": ["operator"], "is_staff": False}
    gone = reverse("admin:auth_user_delete", args=[user.pk])
    assert client.post(gone, {"post": "yes"}).status_code == 302
    (entry,) = sealed()
    assert (entry.action, entry.before["groups"]) == ("deleted", ["operator"])


def test_a_password_is_told_to_be_changed_and_no_more(signed_in: SignedIn, person: Person) -> None:
    client, user = signed_in("admin"), person("viewer")
    sealed()
    page = reverse("admin:auth_user_password_change", args=[user.pk])
    data = {"password1": "an-invented-1", "password2": "an-invented-1", "usable_password": "true"}
    assert client.post(page, data).status_code == 302
    (entry,) = sealed()
    assert (entry.object_name, entry.action) == (user.username, "changed")
    assert "invented" not in json.dumps(entry.after) and "md5" not in json.dumps(entry.after)


def test_a_change_that_an_event_tells_is_no_second_entry_of_the_log(signed_in: SignedIn) -> None:
    provider = ProviderFactory(title="Granos")
    client = signed_in("admin")
    sealed()
    page = reverse("admin:brain_provider_change", args=[provider.pk])
    data = {"title": "Granos SL", "url": provider.url, "hosts": "", "active": "on"}
    assert client.post(page, data).status_code == 302
    (entry,) = sealed()
    assert (entry.source, entry.before["title"]) == ("event", "Granos")
    assert entry.after["title"] == "Granos SL"
    gone = reverse("admin:brain_provider_delete", args=[provider.pk])
    assert client.post(gone, {"post": "yes"}).status_code == 302
    (entry,) = sealed()
    assert (entry.source, entry.action, entry.object_name) == ("log", "deleted", "Granos SL")


@pytest.mark.parametrize(
    ("data", "before", "after"),
    [
        ({"title": ["a", "b"]}, {"title": "a"}, {"title": "b"}),
        ({"before": {"x": 1}, "now": {"x": 2}}, {"x": 1}, {"x": 2}),
        ({"before": ["u"], "after": []}, {"value": ["u"]}, {"value": []}),
        ({"name": "new"}, {}, {"name": "new"}),
        ({"api_token": ["a", "b"]}, {"api_token": "(secret)"}, {"api_token": "(secret)"}),
        ({"deep": {"password": "x", "at": 2.0}}, {}, {"deep": {"password": "(secret)", "at": 2}}),
    ],
)
def test_the_shapes_of_events_are_told_as_before_and_after(
    data: Any, before: Any, after: Any
) -> None:
    happened(old="", new="changed", data=data)
    (entry,) = sealed()
    assert (entry.before, entry.after) == (before, after)


# --- Once, in order, none lost --------------------------------------------------------------------


def test_each_is_sealed_once_by_time() -> None:
    now = timezone.now()
    for seconds in (3, 1, 2):
        happened(f"p{seconds}", at=now - timedelta(seconds=seconds))
    assert [entry.actor for entry in sealed()] == ["p3", "p2", "p1"]
    assert sealed() == []


def test_what_is_committed_late_with_a_smaller_id_is_not_lost() -> None:
    now = timezone.now()
    late = happened("late", at=now - timedelta(minutes=50))
    values = {f.attname: getattr(late, f.attname) for f in Event._meta.concrete_fields}
    late.delete()
    happened("first", at=now)
    assert [entry.actor for entry in sealed()] == ["first"]
    Event.objects.create(**values)
    assert [entry.actor for entry in sealed()] == ["late"]


def test_a_host_whose_clock_is_fast_moves_nobody_s_time() -> None:
    happened("tomorrow", at=timezone.now() + timedelta(days=1))
    assert sealed() == []
    happened("today")
    assert [entry.actor for entry in sealed()] == ["today"]


def test_more_than_a_batch_is_sealed_and_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "BATCH", 4)
    monkeypatch.setattr(audit_sources, "CHUNK", 3)
    at = timezone.now()
    for number in range(10):
        happened(f"p{number}", at=at)
    assert auditing.collect(most=5) == 5
    assert auditing.collect() == 5
    actors = AuditEntry.objects.order_by("-number").values_list("actor", flat=True)[:10]
    assert list(actors) == [f"p{number}" for number in reversed(range(10))]


def test_while_another_seals_nothing_is_sealed() -> None:
    happened()
    other = Lease.acquire(auditing.SEALER, "another", timedelta(minutes=1))
    assert other is not None
    assert auditing.collect() is None and auditing.tick() is None
    other.release()
    assert auditing.tick() == 1


@pytest.mark.django_db(transaction=True)
def test_of_sealers_at_once_each_event_has_one_entry() -> None:
    for number in range(30):
        happened(f"p{number}")
    together(4, lambda _number: auditing.collect())
    auditing.collect()
    assert AuditEntry.objects.filter(source="event").count() == 30
    assert auditing.verify().broken is None


def test_the_database_refuses_to_change_an_entry() -> None:
    happened()
    (entry,) = sealed()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(actor="eve")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's tables are flushed so")
def test_postgresql_refuses_to_delete_one() -> None:
    happened()
    (entry,) = sealed()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).delete()


# --- Verifying ------------------------------------------------------------------------------------


@pytest.fixture
def chain() -> list[AuditEntry]:
    """Three entries of events, behind those of the migrations."""
    for name in ("ana", "luis", "eva"):
        happened(name, reason="a reason")
    return sealed()


def rewritten(entry: AuditEntry, **values: Any) -> None:
    """As somebody would who knows how hashes are made, but for the entries behind it."""
    for name, value in values.items():
        setattr(entry, name, value)
    with unguarded():
        AuditEntry.objects.filter(pk=entry.pk).update(**values, hash=auditing.digest(entry))


def test_a_chain_that_nobody_touched_stands(chain: list[AuditEntry]) -> None:
    verdict = auditing.verify()
    assert verdict.broken is None
    assert verdict.entries == chain[-1].number == verdict.head.number
    assert verdict.head == auditing.head()
    assert verdict.sources >= 3


def broken() -> tuple[int, str]:
    found = auditing.verify().broken
    assert found is not None
    return found.number, found.kind


def test_a_changed_field_breaks_its_entry(chain: list[AuditEntry]) -> None:
    with unguarded():
        AuditEntry.objects.filter(pk=chain[1].pk).update(actor="eve")
    assert broken() == (chain[1].number, "hash")


@pytest.mark.parametrize("name", [*auditing.HASHED, "at", "case_id"])
def test_every_field_is_part_of_the_hash(chain: list[AuditEntry], name: str) -> None:
    entry, other = chain[1], {"at": timezone.now(), "before": {"x": 1}, "after": {"x": 1}}
    before = auditing.digest(entry)
    setattr(entry, name, other.get(name, 1))
    assert auditing.digest(entry) != before


def test_a_hash_made_anew_breaks_the_next_link(chain: list[AuditEntry]) -> None:
    Event.objects.filter(pk=chain[1].source_id).delete()  # nothing to compare it with
    rewritten(chain[1], actor="eve")
    assert broken() == (chain[2].number, "order")


def test_an_entry_that_is_gone_is_a_gap(chain: list[AuditEntry]) -> None:
    with unguarded():
        AuditEntry.objects.filter(pk__in=[chain[0].pk, chain[1].pk]).delete()
    assert broken() == (chain[0].number, "gap")


def test_an_end_that_is_cut_off_is_seen_by_who_kept_the_head(chain: list[AuditEntry]) -> None:
    kept = auditing.head()
    with unguarded():
        AuditEntry.objects.filter(pk=chain[2].pk).delete()
    assert auditing.verify().broken is None
    found = auditing.verify(kept).broken
    assert found is not None and (found.number, found.kind) == (kept.number, "head")


def test_a_chain_made_anew_is_seen_by_who_kept_the_head(chain: list[AuditEntry]) -> None:
    kept = auditing.head()
    Event.objects.filter(pk=chain[2].source_id).delete()
    rewritten(chain[2], actor="eve")
    assert auditing.verify().broken is None
    found = auditing.verify(kept).broken
    assert found is not None and (found.number, found.kind) == (chain[2].number, "head")


def test_a_changed_event_is_told_with_what_differs(chain: list[AuditEntry]) -> None:
    event = Event.objects.get(pk=chain[1].source_id)
    values = {f.attname: getattr(event, f.attname) for f in Event._meta.concrete_fields}
    event.delete()
    Event.objects.create(**{**values, "reason": "another", "data": {"x": 1}})
    found = auditing.verify().broken
    assert found is not None and (found.number, found.kind) == (chain[1].number, "source")
    assert "reason, after" in found.text


def test_a_changed_version_is_told(organismo: Organismo) -> None:
    organismo.filtro_texp = "7"
    organismo.save()
    made, changed = sealed()
    assert auditing.verify().broken is None
    Organismo.history.filter(history_id=made.source_id).update(filtro_texp="9")
    found = auditing.verify().broken
    assert found is not None and (found.number, found.kind) == (made.number, "source")
    Organismo.history.filter(history_id=made.source_id).update(filtro_texp="2,3")
    Organismo.history.filter(history_id=changed.source_id).update(actor="eve")
    found = auditing.verify().broken
    assert found is not None and "actor" in found.text


def test_a_source_that_is_no_more_breaks_nothing(chain: list[AuditEntry]) -> None:
    Event.objects.all().delete()
    AlertRule.history.all().delete()
    assert auditing.verify().broken is None


@pytest.mark.parametrize("text", ["", "7", "7:abc", "x:" + "0" * 64, "7:" + "G" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        Head.parse(text)


# --- Commands -------------------------------------------------------------------------------------


def run(name: str, *words: str) -> str:
    out = io.StringIO()
    call_command(name, *words, stdout=out)
    return out.getvalue()


def test_verifyaudit_seals_verifies_and_prints_the_head() -> None:
    happened()
    told = run("verifyaudit")
    head = auditing.head()
    assert f"{head.number} entries stand" in told and f"head {head}" in told
    noted = auditing.last_verified()
    assert noted is not None and (noted.new, noted.actor_kind) == ("verified", "command")
    assert noted.data["head"] == str(head)
    again = json.loads(run("verifyaudit", "--json", "--since", str(head)))
    assert again["ok"] and again["entries"] == head.number + 1, "its own event is audited too"


def test_verifyaudit_ends_with_an_error_where_a_link_is_broken(chain: list[AuditEntry]) -> None:
    with unguarded():
        AuditEntry.objects.filter(pk=chain[1].pk).update(reason="nothing")
    with pytest.raises(CommandError, match=rf"Broken at entry {chain[1].number} \(hash\)"):
        run("verifyaudit")
    noted = auditing.last_verified()
    assert noted is not None and noted.new == "broken"
    with pytest.raises(CommandError, match="NUMBER:HASH"):
        run("verifyaudit", "--since", "yesterday")


def test_exportaudit_writes_what_is_sealed(tmp_path: Path) -> None:
    happened("ana", reason="=1+1")
    old, new = tmp_path / "all.json", tmp_path / "later.csv"
    assert "entries in" in run("exportaudit", str(old))
    rows = json.loads(old.read_text())
    assert [row["number"] for row in rows] == list(range(1, auditing.head().number + 1))
    assert rows[-1]["after"] == {"status": "b"}
    run("exportaudit", str(new), "--since", "2999-01-01")
    assert len(new.read_text().splitlines()) == 1
    run("exportaudit", str(new), "--since", f"{timezone.localdate():%Y-%m-%d}")
    *_others, last = csv.DictReader(new.open(encoding="utf-8-sig"))
    assert (last["actor"], last["reason"]) == ("ana", "'=1+1")
    for words in (["x.txt"], ["x.csv", "--since", "soon"], [str(tmp_path / "no" / "x.csv")]):
        with pytest.raises(CommandError):
            run("exportaudit", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.json", "later.csv"]


# --- The admin ------------------------------------------------------------------------------------


def test_an_administrator_sees_at_once_who_did_what(signed_in: SignedIn) -> None:
    device = DeviceFactory()
    happened("ana", object_id=str(device.pk), reason="It hangs.")
    client = signed_in("admin")
    text = client.get(reverse(LIST)).content.decode()
    assert "ana" in text and "It hangs." in text and str(device) in text
    assert reverse("admin:devices_device_change", args=[device.pk]) in text
    assert "Never verified" in text
    call_command("verifyaudit", stdout=io.StringIO())
    text = client.get(reverse(LIST)).content.decode()
    assert "Never verified" not in text and auditing.head().hash[:12] in text
    page = reverse("admin:orchestrator_site_auditentry_change", args=[auditing.head().number])
    assert auditing.head().hash in client.get(page).content.decode()
    assert client.post(page, {"actor": "eve"}).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_it_is_for_administrators(role: str, signed_in: SignedIn, person: Person) -> None:
    client = signed_in(role)
    assert client.get(reverse(LIST)).status_code == 403
    export = reverse("admin:orchestrator_site_auditentry_export", args=["csv"])
    assert client.get(export).status_code == 403
    caller = Caller(key_of(User.objects.get(username=f"{role}-person")))
    caller.read("audit/", 403)
    caller.read("audit/export/csv/", 403)


def test_the_list_is_searched_and_filtered(signed_in: SignedIn) -> None:
    case = "018f0000-0000-7000-8000-000000000001"
    happened("ana", case_id=case)
    happened("luis/key", ActorKind.API_KEY, object_type="brain.organismo", new="paused")
    client = signed_in("admin")

    def shown(**asked: str) -> set[str]:
        page = client.get(reverse(LIST), asked)
        assert page.status_code == 200, page.content
        return {row.actor for row in page.context["cl"].result_list if row.source == "event"}

    assert shown() == {"ana", "luis/key"}
    assert shown(q="luis") == {"luis/key"}
    assert shown(q=case) == {"ana"}
    assert shown(q="nobody") == set()
    assert shown(actor_kind__exact="api_key") == {"luis/key"}
    assert shown(action="paused") == {"luis/key"}
    assert shown(object_type="devices.device") == {"ana"}
    assert shown(at_from="2999-01-01") == set()


def test_what_the_filter_shows_is_exported(signed_in: SignedIn) -> None:
    happened("ana", reason="=cmd()")
    happened("luis")
    client = signed_in("admin")
    client.get(reverse(LIST))

    def exported(kind: str, **asked: str) -> bytes:
        url = reverse("admin:orchestrator_site_auditentry_export", args=[kind])
        answer = client.get(url, asked)
        assert answer.status_code == 200
        assert f".{kind}" in answer["Content-Disposition"]
        return b"".join(answer)

    rows = list(csv.DictReader(io.StringIO(exported("csv", q="ana").decode("utf-8-sig"))))
    assert [(row["actor"], row["reason"]) for row in rows] == [("ana", "'=cmd()")]
    sheet = load_workbook(io.BytesIO(exported("xlsx", q="ana"))).active
    assert [cell.data_type for cell in list(sheet.rows)[1] if cell.value == "=cmd()"] == ["s"]
    assert json.loads(exported("json", q="luis"))[0]["actor"] == "luis"
    assert json.loads(exported("json", q="nobody")) == []


def test_the_list_asks_few_questions(signed_in: SignedIn) -> None:
    for number in range(30):
        happened("ana", object_id=str(number))
    client = signed_in("admin")
    client.get(reverse(LIST))
    with CaptureQueriesContext(connection) as asked:
        client.get(reverse(LIST))
    assert len(asked) <= 12, "\n".join(one["sql"][:150] for one in asked)


# --- The API --------------------------------------------------------------------------------------


def test_a_script_reads_filters_and_exports(person: Person) -> None:
    caller = Caller(key_of(person("admin")))
    happened("ana")
    happened("luis", new="paused", object_type="brain.organismo")
    auditing.collect()
    newest, *_others = caller.read("audit/")["results"]
    assert newest["number"] == auditing.head().number
    assert caller.read(f"audit/{newest['number']}/")["hash"] == auditing.head().hash
    (row,) = caller.read("audit/?action=paused")["results"]
    assert row["actor"] == "luis"
    assert caller.read("audit/?at_from=2999-01-01T00:00:00Z")["results"] == []
    caller.read("audit/?actr=luis", 400)
    (told,) = json.loads(b"".join(caller.get("/api/v1/audit/export/json/?actor=ana")))
    assert told["actor"] == "ana"
    caller.read("audit/export/doc/", 404)
    page = caller.read("audit/?page_size=1")
    (second,) = caller.get(page["next"]).json()["results"]
    assert second["number"] == newest["number"] - 1
    caller.send("audit/", {}, 403)


def test_a_key_that_is_deleted_over_the_api_leaves_an_entry(person: Person) -> None:
    row = ApiKey(name="old", user=person("admin"))
    row.issue()
    row.save()
    sealed()
    row.delete()
    (entry,) = sealed()
    assert (entry.action, entry.before["name"]) == ("deleted", "old")
